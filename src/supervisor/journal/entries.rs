//! `journalctl --output=json`: entries in, the bytes of an activation's output out.

use crate::proctree::ACTIVATION_UNIT;
use memchr::memchr;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The longest entry, in bytes. journald cuts lines at 48 KiB; as JSON that is at most five times as long.
const MAX_ENTRY_BYTES: usize = 1 << 20;

/// Where in the journal the reading is. It can be stored and goes on where it was.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Entries {
    /// Of the last entry that was read as a whole; `None` at the beginning of the journal.
    cursor: Option<String>,
    /// The beginning of an entry whose end has not come.
    held: Vec<u8>,
    /// The entry that comes is too long, and is passed over to its end.
    too_long: bool,
}

/// As journalctl writes it. A field is a string, an array of bytes where it is no text, or an array of either
/// where there are several.
#[derive(Deserialize)]
struct Entry<'e> {
    #[serde(rename = "__CURSOR")]
    cursor: Option<String>,
    #[serde(rename = "MESSAGE", borrow)]
    message: Option<Field<'e>>,
    #[serde(rename = "_SYSTEMD_UNIT", borrow)]
    unit: Option<Field<'e>>,
    /// Why journald ended the line there; absent where a newline did.
    #[serde(rename = "_LINE_BREAK", borrow)]
    line_break: Option<Field<'e>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Field<'e> {
    Text(#[serde(borrow)] Cow<'e, str>),
    Bytes(Vec<u8>),
    Other(serde::de::IgnoredAny),
}

impl Field<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
            Self::Other(_) => b"",
        }
    }
}

impl Entries {
    /// Begins behind the entry with this cursor.
    pub(crate) fn after(cursor: Option<String>) -> Self {
        Self {
            cursor,
            ..Self::default()
        }
    }

    /// The last entry that was read.
    pub(crate) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Takes what journalctl wrote; `output` gets the bytes that the activation had written.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], output: &mut dyn FnMut(&[u8])) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (entry, rest) = (&bytes[..end], &bytes[end + 1..]);
            if self.held.is_empty() && !self.too_long {
                self.entry(entry, output);
            } else {
                self.hold(entry);
                let held = std::mem::take(&mut self.held);
                if !std::mem::take(&mut self.too_long) {
                    self.entry(&held, output);
                }
            }
            bytes = rest;
        }
        self.hold(bytes);
    }

    /// journalctl ended. Half an entry comes again as a whole from the next one.
    pub(crate) fn end(&mut self) {
        self.held = Vec::new();
        self.too_long = false;
    }

    fn hold(&mut self, part: &[u8]) {
        if self.held.len() + part.len() > MAX_ENTRY_BYTES {
            tracing::error!("an entry of the journal is too long and was left out of the log");
            self.held = Vec::new();
            self.too_long = true;
        }
        if !self.too_long {
            self.held.extend_from_slice(part);
        }
    }

    fn entry(&mut self, json: &[u8], output: &mut dyn FnMut(&[u8])) {
        let entry: Entry<'_> = match serde_json::from_slice(json) {
            Ok(entry) => entry,
            Err(error) => return tracing::error!(%error, "an entry of the journal cannot be read"),
        };
        let bytes =
            |field: &Option<Field<'_>>| field.as_ref().map_or(&b""[..], Field::bytes).to_vec();
        if bytes(&entry.unit).starts_with(ACTIVATION_UNIT.as_bytes()) {
            output(&bytes(&entry.message));
            // journald cuts there what the activation wrote as one line.
            if !matches!(&*bytes(&entry.line_break), b"line-max" | b"pid-change") {
                output(b"\n");
            }
        }
        self.cursor = entry.cursor.or(self.cursor.take());
    }
}

/// The cursor of the last entry that journalctl printed.
pub(super) fn cursor_of(entries: &str) -> Option<String> {
    let last = entries.lines().next_back()?;
    serde_json::from_str::<Entry<'_>>(last).ok()?.cursor
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: &str = "nixos-rebuild-switch-to-configuration-a1b2.service";

    fn entry(cursor: &str, unit: &str, message: &serde_json::Value) -> String {
        let entry = serde_json::json!({
            "__CURSOR": cursor, "__REALTIME_TIMESTAMP": "1", "MESSAGE": message, "_SYSTEMD_UNIT": unit,
        });
        format!("{entry}\n")
    }

    fn read(entries: &mut Entries, text: &str) -> String {
        let mut read = Vec::new();
        entries.feed(text.as_bytes(), &mut |bytes| read.extend_from_slice(bytes));
        String::from_utf8_lossy(&read).into_owned()
    }

    #[test]
    fn lines_of_an_activation_are_read_and_all_others_passed_over() {
        let mut entries = Entries::default();
        let text = [
            entry("1", UNIT, &"one".into()),
            entry("2", "other.service", &"two".into()),
            entry("3", UNIT, &serde_json::Value::Null),
            entry("4", UNIT, &serde_json::json!([195, 164, 255])),
            "no JSON\n".to_owned(),
        ];
        assert_eq!(read(&mut entries, &text.concat()), "one\n\nä\u{fffd}\n");
        assert_eq!(entries.cursor(), Some("4"));
    }

    #[test]
    fn any_cut_gives_the_same_and_half_an_entry_comes_again() {
        let [first, second] = [("1", "one"), ("2", "two")]
            .map(|(cursor, message)| entry(cursor, UNIT, &message.into()));
        let text = format!("{first}{second}");
        for (head, tail) in (0..text.len()).map(|cut| text.split_at(cut)) {
            let mut entries = Entries::default();
            let whole = read(&mut entries, head) + &read(&mut entries, tail);
            assert_eq!(whole, "one\ntwo\n");
            let mut entries = Entries::default();
            let before = read(&mut entries, head);
            entries.end();
            let rest = match entries.cursor() {
                None => &text,
                Some("1") => &second,
                _ => "",
            };
            assert_eq!(before + &read(&mut entries, rest), "one\ntwo\n");
        }
    }

    #[test]
    fn what_journald_cut_is_one_line_again() {
        let mut entries = Entries::default();
        let cut = |why: &str, text: &str| {
            let entry = serde_json::json!({"__CURSOR": "1", "MESSAGE": text, "_SYSTEMD_UNIT": UNIT, "_LINE_BREAK": why});
            format!("{entry}\n")
        };
        let text = [
            cut("line-max", "a"),
            cut("pid-change", "b"),
            cut("eof", "c"),
        ]
        .concat();
        assert_eq!(read(&mut entries, &text), "abc\n");
    }

    #[test]
    fn an_entry_without_end_takes_no_memory_and_the_next_is_read() {
        let mut entries = Entries::default();
        for _ in 0..100 {
            read(&mut entries, &"x".repeat(100_000));
        }
        assert!(entries.held.len() <= MAX_ENTRY_BYTES);
        let next = format!("\n{}", entry("2", UNIT, &"next".into()));
        assert_eq!(read(&mut entries, &next), "next\n");
    }

    #[test]
    fn the_cursor_is_that_of_the_last_entry() {
        let text = [entry("1", UNIT, &"a".into()), entry("2", UNIT, &"b".into())].concat();
        assert_eq!(cursor_of(&text).as_deref(), Some("2"));
        assert_eq!(cursor_of(""), None);
    }
}
