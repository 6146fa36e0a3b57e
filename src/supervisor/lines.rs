//! Bytes of a stream in, lines out. The same bytes give the same lines, however they were cut into reads.

use crate::protocol::MAX_LINE_BYTES;
use memchr::{memchr, memchr_iter, memmem, memrchr};
use serde::{Deserialize, Serialize};

/// How much of a line without newline is kept; more is given out in pieces of [`MAX_LINE_BYTES`], after
/// which a `\r` can no longer take it back. Large, so that what is longer than a line of the log can still
/// be decoded as a whole.
const MAX_HELD_BYTES: usize = 1024 * 1024;

/// The same where the line is a message of nix, which must be whole to be decoded: a trace that was asked for has
/// megabytes.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// How far into a line the message of nix may begin.
const MAX_BEFORE_MESSAGE: usize = 4096;

/// Splits one stream at `\n`. A trailing `\r` goes, of text overwritten by a bare `\r` the last state stays,
/// invalid UTF-8 becomes U+FFFD.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct LineSplitter {
    /// The beginning of a line whose end has not come, without what was overwritten.
    held: Vec<u8>,
    /// A `\r` came behind `held`: whatever comes before a newline overwrites it.
    returned: bool,
}

impl LineSplitter {
    /// Takes the next bytes and gives out the lines that they end, mostly borrowed from `bytes`.
    /// A line may be up to 1 MiB long; the decoder cuts it for the log.
    pub(super) fn feed(&mut self, mut bytes: &[u8], emit: &mut impl FnMut(&str)) {
        if !self.is_at_start() {
            let Some(end) = memchr(b'\n', bytes) else {
                return self.hold(bytes, emit);
            };
            self.hold(&bytes[..end], emit);
            self.finish(emit);
            bytes = &bytes[end + 1..];
        }
        let Some(end) = memrchr(b'\n', bytes) else {
            return self.hold(bytes, emit);
        };
        let (whole, rest) = bytes.split_at(end + 1);
        match std::str::from_utf8(whole) {
            Ok(text) if memchr(b'\r', whole).is_none() => self.feed_plain(text, emit),
            _ => {
                for line in whole[..end].split(|byte| *byte == b'\n') {
                    self.hold_all(line, emit);
                }
            }
        }
        self.hold(rest, emit);
    }

    /// The stream has ended: what has no newline is a line too.
    pub(super) fn finish_stream(&mut self, emit: &mut impl FnMut(&str)) {
        if !self.is_at_start() {
            self.finish(emit);
        }
    }

    fn is_at_start(&self) -> bool {
        self.held.is_empty() && !self.returned
    }

    /// Whole lines, valid and without `\r`.
    fn feed_plain(&mut self, text: &str, emit: &mut impl FnMut(&str)) {
        let mut start = 0;
        for end in memchr_iter(b'\n', text.as_bytes()) {
            let line = &text[start..end];
            if line.len() <= MAX_LINE_BYTES {
                emit(line);
            } else {
                self.hold_all(line.as_bytes(), emit);
            }
            start = end + 1;
        }
    }

    /// One whole line.
    fn hold_all(&mut self, line: &[u8], emit: &mut impl FnMut(&str)) {
        self.hold(line, emit);
        self.finish(emit);
    }

    /// Keeps a part of a line, which has no newline in it.
    fn hold(&mut self, part: &[u8], emit: &mut impl FnMut(&str)) {
        let mut rest = part;
        while let Some(end) = memchr(b'\r', rest) {
            self.hold_text(&rest[..end], emit);
            self.returned = true;
            rest = &rest[end + 1..];
        }
        self.hold_text(rest, emit);
    }

    /// Keeps text without `\r`.
    fn hold_text(&mut self, mut text: &[u8], emit: &mut impl FnMut(&str)) {
        if text.is_empty() {
            return;
        }
        if self.returned {
            self.held.clear();
            self.returned = false;
        }
        while self.held.len() + text.len() > MAX_HELD_BYTES {
            let limit = self.limit();
            if self.held.len() + text.len() <= limit {
                break;
            }
            let (fits, rest) = text.split_at(limit.saturating_sub(self.held.len()));
            self.held.extend_from_slice(fits);
            self.spill(emit);
            text = rest;
        }
        self.held.extend_from_slice(text);
    }

    /// How much is kept of the line that is held.
    fn limit(&self) -> usize {
        let begin = &self.held[..self.held.len().min(MAX_BEFORE_MESSAGE)];
        if memmem::find(begin, b"@nix {").is_some() {
            MAX_MESSAGE_BYTES
        } else {
            MAX_HELD_BYTES
        }
    }

    /// Takes out what is held if it is this text alone, whose line has not ended.
    pub(super) fn take_if(&mut self, text: &str) -> bool {
        let is_it = !self.returned && self.held == text.as_bytes();
        if is_it {
            self.held.clear();
        }
        is_it
    }

    /// Gives out the beginning of what is held, in whole pieces, and keeps the rest.
    fn spill(&mut self, emit: &mut impl FnMut(&str)) {
        let unfinished = unfinished_char(&self.held);
        let (complete, tail) = self.held.split_at(self.held.len() - unfinished);
        let text = String::from_utf8_lossy(complete);
        let mut rest: &str = &text;
        while let Some((piece, more)) = cut(rest) {
            emit(piece);
            rest = more;
        }
        self.held = [rest.as_bytes(), tail].concat();
    }

    /// Ends the line.
    fn finish(&mut self, emit: &mut impl FnMut(&str)) {
        emit(&String::from_utf8_lossy(&self.held));
        self.held.clear();
        self.held.shrink_to(MAX_LINE_BYTES);
        self.returned = false;
    }
}

/// The first piece of a text that is too long for one line, and the rest, which is never empty.
fn cut(text: &str) -> Option<(&str, &str)> {
    (text.len() > MAX_LINE_BYTES).then(|| text.split_at(text.floor_char_boundary(MAX_LINE_BYTES)))
}

/// How many bytes at the end may be the beginning of a character whose rest has not come.
fn unfinished_char(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    match bytes[from..].utf8_chunks().last() {
        Some(chunk) if !chunk.invalid().is_empty() => {
            let tail = chunk.invalid();
            let could_go_on = std::str::from_utf8(tail).is_err_and(|e| e.error_len().is_none());
            if could_go_on { tail.len() } else { 0 }
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines_of<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
        let mut lines = Vec::new();
        let mut splitter = LineSplitter::default();
        let mut emit = |mut line: &str| {
            while let Some((piece, more)) = cut(line) {
                lines.push(piece.to_owned());
                line = more;
            }
            lines.push(line.to_owned());
        };
        for chunk in chunks {
            splitter.feed(chunk, &mut emit);
        }
        splitter.finish_stream(&mut emit);
        lines
    }

    /// What the contract says, without any thought of chunks or memory.
    fn contract(bytes: &[u8]) -> Vec<String> {
        let mut raw: Vec<&[u8]> = bytes.split(|b| *b == b'\n').collect();
        if raw.last().is_some_and(|last| last.is_empty()) {
            raw.pop();
        }
        raw.into_iter()
            .flat_map(|line| {
                let end = line.iter().rposition(|b| *b != b'\r').map_or(0, |i| i + 1);
                let start = line[..end].iter().rposition(|b| *b == b'\r');
                let text = String::from_utf8_lossy(&line[start.map_or(0, |i| i + 1)..end]);
                let mut rest = text.as_ref();
                let mut lines = Vec::new();
                while rest.len() > MAX_LINE_BYTES {
                    let mut at = MAX_LINE_BYTES;
                    while !rest.is_char_boundary(at) {
                        at -= 1;
                    }
                    lines.push(rest[..at].to_owned());
                    rest = &rest[at..];
                }
                lines.push(rest.to_owned());
                lines
            })
            .collect()
    }

    #[test]
    fn lines_are_split_at_newlines_and_the_last_needs_none() {
        assert_eq!(lines_of([&b"a\n\nb"[..]]), ["a", "", "b"]);
        assert_eq!(lines_of([&b"a\n"[..]]), ["a"]);
        assert!(lines_of([&b""[..]]).is_empty());
    }

    #[test]
    fn of_overwritten_text_the_last_state_stays() {
        assert_eq!(
            lines_of([&b"10%\r50%\r100%\r\n\r\nend\r"[..]]),
            ["100%", "", "end"]
        );
        assert_eq!(lines_of([&b"10%\r"[..], b"20%", b"\r", b"\n"]), ["20%"]);
    }

    #[test]
    fn invalid_utf8_is_replaced_and_nul_and_colour_are_kept() {
        assert_eq!(
            lines_of([&b"a\xffb\n\0\x1b[31mred\x1b[0m\n"[..]]),
            ["a\u{fffd}b", "\0\x1b[31mred\x1b[0m"]
        );
        assert_eq!(lines_of([&b"caf\xc3"[..], b"\xa9\n"]), ["café"]);
    }

    #[test]
    fn a_line_over_64_kib_is_split_between_characters() {
        let text = "é".repeat(MAX_LINE_BYTES);
        let lines = lines_of([format!("x{text}\n").as_bytes()]);
        assert_eq!(lines.concat(), format!("x{text}"));
        assert!(lines.iter().all(|line| line.len() <= MAX_LINE_BYTES));
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn a_progress_bar_without_end_is_not_kept() {
        let mut splitter = LineSplitter::default();
        for i in 0..100_000 {
            splitter.feed(format!("{i} of many\r").as_bytes(), &mut |_| {});
        }
        assert!(splitter.held.capacity() < 1024);
        let mut lines = Vec::new();
        splitter.feed(b"\n", &mut |line| lines.push(line.to_owned()));
        assert_eq!(lines, ["99999 of many"]);
    }

    #[test]
    fn a_line_without_end_is_given_out_in_pieces_and_little_of_it_is_kept() {
        let chunk = "é€x".repeat(20_000);
        let mut splitter = LineSplitter::default();
        let mut text = String::new();
        for _ in 0..50 {
            splitter.feed(chunk.as_bytes(), &mut |line| {
                assert!(line.len() <= MAX_LINE_BYTES);
                text.push_str(line);
            });
            assert!(splitter.held.len() <= MAX_HELD_BYTES);
        }
        splitter.finish_stream(&mut |line| text.push_str(line));
        assert!(text == chunk.repeat(50));
    }

    #[test]
    fn a_line_over_what_is_held_is_split_like_any_other() {
        let mut bytes = vec![b'x'; MAX_HELD_BYTES - 1];
        bytes.extend("é\u{10ffff}".repeat(30_000).as_bytes());
        bytes.extend(b"\xf0\x9f\xff\xe2\x82");
        let want = contract(&bytes);
        for size in [1_000, 65_536, 1_048_577, bytes.len()] {
            assert!(lines_of(bytes.chunks(size)) == want, "in reads of {size}");
        }
    }

    /// Text that is likely to hold what matters here.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            4 => "[a-z ]{0,12}".prop_map(String::into_bytes),
            3 => Just(b"\n".to_vec()),
            2 => Just(b"\r".to_vec()),
            1 => Just("é€\u{1f600}".as_bytes().to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..6),
            1 => (65_000usize..66_000).prop_map(|n| vec![b'y'; n]),
        ];
        proptest::collection::vec(part, 0..15).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn any_bytes_in_any_reads_give_the_lines_of_the_contract(
            bytes in stream(),
            sizes in proptest::collection::vec(prop_oneof![1usize..9, 1usize..70_000], 1..20),
        ) {
            let mut chunks = Vec::new();
            let mut rest = &bytes[..];
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, more) = rest.split_at((*size).min(rest.len()));
                chunks.push(chunk);
                rest = more;
            }
            prop_assert!(lines_of(chunks) == contract(&bytes));
        }
    }

    #[test]
    fn a_message_of_nix_is_one_line_however_long_it_is_within_memory() {
        let lengths = |text: &[u8]| {
            let (mut splitter, mut lengths) = (LineSplitter::default(), Vec::new());
            for chunk in text.chunks(60_000) {
                splitter.feed(chunk, &mut |line| lengths.push(line.len()));
            }
            lengths
        };
        let message = format!("@nix {{\"msg\":\"{}\"}}", "x".repeat(3 * MAX_HELD_BYTES));
        for before in ["", "text "] {
            let line = format!("{before}{message}");
            let text = format!("{line}\nend\n");
            assert_eq!(lengths(text.as_bytes()), [line.len(), 3]);
        }
        let endless = format!("@nix {{{}", "x".repeat(MAX_MESSAGE_BYTES));
        assert!(lengths(endless.as_bytes()).len() > 1);
    }
}
