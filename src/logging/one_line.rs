//! Keeps a message on one line of its own, whatever is in it: what others say must not look like messages of ours, nor
//! do anything to the terminal on which they are read.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

/// Writes messages, of which each comes in one piece and ends with a newline.
pub(super) struct OneLine<W>(pub(super) W);

impl<W: io::Write> io::Write for OneLine<W> {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(message);
        match text.strip_suffix('\n') {
            Some(line) => self
                .0
                .write_all(format!("{}\n", escaped(line)).as_bytes())?,
            None => self.0.write_all(escaped(&text).as_bytes())?,
        }
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The text with what a terminal would act on written as in Rust: control characters, line ends of Unicode, and what
/// changes the direction of what follows.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if acts(character) {
            // Writing to a string does not fail.
            let _ = write!(shown, "{}", character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

fn acts(character: char) -> bool {
    let changes_direction = matches!(
        character,
        '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    let ends_a_line = matches!(character, '\u{2028}' | '\u{2029}');
    character.is_control() || changes_direction || ends_a_line
}

#[cfg(test)]
mod tests {
    use super::*;
    use io::Write as _;

    #[test]
    fn a_message_is_one_line_whatever_is_in_it() {
        let mut out = OneLine(Vec::new());
        out.write_all("x: a\nb\r\u{1b}[2Jc\u{202e}d\u{85}e\u{2028}f \u{e4}\n".as_bytes())
            .unwrap();
        let text = String::from_utf8(out.0).unwrap();
        assert_eq!(
            text,
            "x: a\\nb\\r\\u{1b}[2Jc\\u{202e}d\\u{85}e\\u{2028}f \u{e4}\n"
        );
        assert!(matches!(escaped("plain"), Cow::Borrowed("plain")));
    }
}
