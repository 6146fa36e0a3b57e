//! Takes terminal escapes out of text: colours, cursor movements, titles, links.

use std::borrow::Cow;

/// Removes escapes from text that comes in pieces of any size.
///
/// Escapes begin with ESC. None reaches beyond its line, so a line reads the same alone and within its log.
/// A title, a link or another text for the terminal goes only where it has its end: what is open stays as text,
/// so that nothing hides the rest of its line.
#[derive(Clone, Debug, Default)]
pub struct Stripper {
    state: State,
    /// The text for the terminal whose end has not come yet; it may turn out to be text of the line.
    quoted: Vec<u8>,
}

/// Longest text for the terminal, in bytes; a longer one is text of the line. As long as a line can be.
const MAX_QUOTED_BYTES: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// Behind ESC.
    Escape,
    /// Behind ESC and a byte from 0x20 to 0x2F: more of these, then one more.
    Intermediate,
    /// Behind `ESC [`: parameters, then a letter.
    Control,
    /// Behind `ESC ]` and its like: any text until BEL or `ESC \`.
    Quoted,
    /// ESC within such a text.
    QuotedEscape,
}

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

impl Stripper {
    /// Appends what is left of `input` to `output`.
    pub fn strip(&mut self, mut input: &[u8], output: &mut Vec<u8>) {
        while !input.is_empty() {
            if self.state == State::Text {
                let end = memchr::memchr(ESC, input).unwrap_or(input.len());
                output.extend_from_slice(&input[..end]);
                input = &input[end..];
            }
            if self.state == State::Text
                && let Some(length) = control_length(input)
            {
                input = &input[length..];
                continue;
            }
            let Some((&byte, rest)) = input.split_first() else {
                return;
            };
            input = rest;
            let before = self.state;
            let keep;
            (self.state, keep) = before.after(byte);
            self.settle_quoted(before, byte, output);
            if keep {
                output.push(byte);
            }
        }
    }

    /// Appends what is still held back: nothing more comes.
    pub fn finish(&mut self, output: &mut Vec<u8>) {
        output.append(&mut self.quoted);
        self.state = State::Text;
    }

    /// Keeps the text for the terminal while it is open, drops it at its end, and gives it back where it has none.
    fn settle_quoted(&mut self, before: State, byte: u8, output: &mut Vec<u8>) {
        use State::{Quoted, QuotedEscape, Text};
        match (before, self.state) {
            (Quoted, Quoted) => {
                self.quoted.push(byte);
                if self.quoted.len() > MAX_QUOTED_BYTES {
                    self.finish(output);
                }
            }
            (Quoted, QuotedEscape) => {}
            (Quoted, Text) if byte == BEL => self.quoted.clear(),
            (QuotedEscape, Text) if byte == b'\\' => self.quoted.clear(),
            (Quoted | QuotedEscape, _) => output.append(&mut self.quoted),
            _ => {}
        }
    }
}

/// `line` without its escapes; borrowed where it has none.
pub fn strip_line(line: &str) -> Cow<'_, str> {
    if memchr::memchr(ESC, line.as_bytes()).is_none() {
        return Cow::Borrowed(line);
    }
    let mut plain = Vec::with_capacity(line.len());
    let mut stripper = Stripper::default();
    stripper.strip(line.as_bytes(), &mut plain);
    stripper.finish(&mut plain);
    Cow::Owned(String::from_utf8_lossy(&plain).into_owned())
}

/// Length of the whole colour or cursor movement at the beginning of `input`, in bytes. These are nearly all escapes
/// there are, and with this they cost a fraction of what they cost byte by byte.
fn control_length(input: &[u8]) -> Option<usize> {
    let parameters = input.strip_prefix(b"\x1b[")?;
    let end = parameters
        .iter()
        .position(|byte| !matches!(byte, 0x20..=0x3f))?;
    matches!(parameters[end], 0x40..=0x7e).then_some(b"\x1b[".len() + end + 1)
}

impl State {
    /// What follows, and whether the byte is text. A byte that no escape can hold ends it and is text.
    fn after(self, byte: u8) -> (Self, bool) {
        use State::{Control, Escape, Intermediate, Quoted, QuotedEscape, Text};
        match (self, byte) {
            (_, b'\n') => (Text, true),
            (Quoted, BEL) | (QuotedEscape, b'\\') => (Text, false),
            (Quoted, ESC) => (QuotedEscape, false),
            (Quoted, _) => (Quoted, false),
            (_, ESC) => (Escape, false),
            (Escape | QuotedEscape, b'[') => (Control, false),
            (Escape | QuotedEscape, b']' | b'P' | b'X' | b'^' | b'_') => (Quoted, false),
            (Escape | QuotedEscape | Intermediate, 0x20..=0x2f) => (Intermediate, false),
            (Control, 0x20..=0x3f) => (Control, false),
            (Escape | QuotedEscape | Intermediate | Control, 0x30..=0x7e) => (Text, false),
            (_, _) => (Text, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn colours_titles_and_links_go_and_text_stays() {
        for (line, plain) in [
            ("plain", "plain"),
            ("\x1b[31;1merror:\x1b[0m no", "error: no"),
            ("\x1b[38:2::1:2:3mx", "x"),
            ("\x1b]0;title\x07a", "a"),
            ("\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1bP1$r0m\x1b\\a", "a"),
            ("\x1b(Ba\x1b=b\x1b#8c", "abc"),
            ("\x1b[?25la\x1b[Kb", "ab"),
            ("\x1b[3é", "é"),
            ("\x1b\x1b[1ma", "a"),
            ("a\x1b[31", "a"),
            ("a\x1b", "a"),
            ("\0\t\x07", "\0\t\x07"),
        ] {
            assert_eq!(strip_line(line), plain, "{line:?}");
        }
    }

    #[test]
    fn no_escape_reaches_beyond_its_line_and_what_is_open_stays_text() {
        for (open, text) in [
            ("\x1b", ""),
            ("\x1b[1", ""),
            ("\x1b]0;rm -rf /", "0;rm -rf /"),
            ("\x1bPq", "q"),
            ("\x1b(", ""),
            ("\x1b]0;t\x1b", "0;t"),
            ("\x1b]0;t\x1b[31mred", "0;tred"),
            ("\x1b]0;t\x1b]1;u\x07v", "0;tv"),
            ("\x1b]0;t\x1b\x07", "0;t\x07"),
        ] {
            let mut output = Vec::new();
            Stripper::default().strip(format!("a{open}\nb").as_bytes(), &mut output);
            assert_eq!(output, format!("a{text}\nb").as_bytes(), "{open:?}");
            assert_eq!(strip_line(&format!("a{open}")), format!("a{text}"));
        }
    }

    #[test]
    fn a_text_for_the_terminal_that_is_longer_than_a_line_is_text() {
        let long = "x".repeat(2 * MAX_QUOTED_BYTES);
        assert_eq!(
            strip_line(&format!("\x1b]0;{long}\x07")).len(),
            2 + long.len() + 1
        );
    }

    /// Bytes of which many are parts of escapes.
    fn terminal_text() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            Just(ESC),
            Just(b'\n'),
            Just(BEL),
            prop::sample::select(&b"[]P\\;m0( x"[..]),
            any::<u8>(),
        ];
        prop::collection::vec(part, 0..60)
    }

    proptest! {
        #[test]
        fn where_the_text_is_cut_makes_no_difference(text in terminal_text(), at in 0usize..60) {
            let (mut whole, mut cut) = (Vec::new(), Vec::new());
            Stripper::default().strip(&text, &mut whole);
            let (head, tail) = text.split_at(at.min(text.len()));
            let mut stripper = Stripper::default();
            stripper.strip(head, &mut cut);
            stripper.strip(tail, &mut cut);
            prop_assert_eq!(whole, cut);
        }

        #[test]
        fn a_text_in_one_piece_reads_the_same_as_one_byte_at_a_time(text in terminal_text()) {
            let (mut whole, mut bytewise) = (Vec::new(), Vec::new());
            Stripper::default().strip(&text, &mut whole);
            let mut stripper = Stripper::default();
            for byte in &text {
                stripper.strip(std::slice::from_ref(byte), &mut bytewise);
            }
            prop_assert_eq!(whole, bytewise);
        }

        #[test]
        fn lines_stay_lines_and_no_escape_is_left(text in terminal_text()) {
            let mut plain = Vec::new();
            Stripper::default().strip(&text, &mut plain);
            prop_assert!(!plain.contains(&ESC));
            let lines = |bytes: &[u8]| bytes.iter().filter(|b| **b == b'\n').count();
            prop_assert_eq!(lines(&text), lines(&plain));
        }

        #[test]
        fn a_line_stays_utf8_and_reads_the_same_within_its_log(text in any::<String>(), at in 0usize..9) {
            let line: String = text.replace('\n', "").chars().flat_map(|c| match at {
                0 => vec!['\x1b', c],
                1 => vec!['\x1b', '[', c],
                2 => vec!['\x1b', ']', c],
                _ => vec![c],
            }).collect();
            let mut within = Vec::new();
            Stripper::default().strip(format!("\x1b]x\n{line}\n").as_bytes(), &mut within);
            prop_assert_eq!(String::from_utf8(within).unwrap(), format!("x\n{}\n", strip_line(&line)));
        }

        #[test]
        fn text_without_escapes_stays_as_it_is(text in "[^\x1b]*") {
            prop_assert!(matches!(strip_line(&text), Cow::Borrowed(same) if same == text));
        }
    }
}
