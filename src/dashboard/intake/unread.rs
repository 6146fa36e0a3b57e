//! A frame of which not all messages were taken in yet.

use super::{Violation, aside};
use crate::dashboard::websocket::Utf8Bytes;
use crate::protocol::{AgentMessage, split};
use std::ops::Range;

/// The messages of a frame that are still to be taken in. A frame may hold tens of thousands of small ones, which must
/// not all be done at once because they came together: what each costs is charged before the next one is looked at.
#[derive(Debug)]
pub(super) struct Unread {
    frame: Utf8Bytes,
    /// The type of each, where it is known, and where it stands in the frame.
    messages: std::vec::IntoIter<(Option<AgentMessage>, Range<u32>)>,
}

impl Unread {
    /// All messages of a frame.
    ///
    /// # Errors
    /// When it is malformed.
    pub(super) fn of(frame: &Utf8Bytes) -> Result<Self, Violation> {
        let messages = aside(frame, split);
        let messages = messages.map_err(|error| Violation::Malformed(error.to_string()))?;
        let start = frame.as_ptr().addr();
        let mut places = Vec::with_capacity(messages.len());
        for message in messages {
            // Each is a part of the frame, which has at most a mebibyte.
            let from = message.json.as_ptr().addr() - start;
            let to = from + message.json.len();
            let place = u32::try_from(from).unwrap_or(0)..u32::try_from(to).unwrap_or(0);
            places.push((AgentMessage::of(&message.kind), place));
        }
        Ok(Self {
            frame: frame.clone(),
            messages: places.into_iter(),
        })
    }

    /// Whether all of them were taken.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.as_slice().is_empty()
    }

    /// The next one: its type, where it is known, and the whole object.
    pub(super) fn next(&mut self) -> Option<(Option<AgentMessage>, &str)> {
        let (kind, place) = self.messages.next()?;
        let json = self.frame.get(place.start as usize..place.end as usize);
        Some((kind, json.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_read_once_and_in_order() {
        let frames = [
            (r#" {"type":"status","x":"é"}"#, 1),
            (
                r#"[{"type":"output"}, {"x":"é","type":"new"},{"type":"status"}]"#,
                3,
            ),
            ("[]", 0),
        ];
        for (frame, count) in frames {
            let mut unread = Unread::of(&frame.into()).unwrap();
            let mut read = Vec::new();
            while let Some((kind, json)) = unread.next() {
                let value: serde_json::Value = serde_json::from_str(json).unwrap();
                let named = AgentMessage::of(value["type"].as_str().unwrap());
                assert_eq!(kind, named, "{json}");
                read.push(json.trim().to_owned());
            }
            assert!(unread.is_empty() && read.len() == count);
            assert_eq!(
                read.concat(),
                frame.replace(['[', ']', ' '], "").replace("},{", "}{")
            );
        }
        assert!(Unread::of(&"[{}]".into()).is_err());
    }
}
