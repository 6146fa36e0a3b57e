//! A frame is one WebSocket message: one message object, or an array of them in order.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The largest frame either side accepts, in bytes.
pub const MAX_FRAME_BYTES: usize = 1024 * 1024;

/// Longest name of somebody, or nonce, that a message may carry, in bytes.
pub const MAX_NAME_BYTES: usize = 256;

/// Cuts a name off that is longer than [`MAX_NAME_BYTES`]: it is stored with the run, whoever sent it.
pub fn shorten_name(name: &mut Option<String>) {
    if let Some(name) = name {
        name.truncate(name.floor_char_boundary(MAX_NAME_BYTES));
    }
}

/// A message whose type is known and whose fields are not yet read.
#[derive(Debug)]
pub struct RawMessage<'a> {
    /// Its `type`.
    pub kind: Cow<'a, str>,
    /// The whole object, for `serde_json::from_str`.
    pub json: &'a str,
}

/// What a frame can be that is no frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Not JSON, or not an object or an array of objects with a `type` each.
    #[error("a frame must be an object, or an array of objects, with a \"type\" each: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// The messages of a frame, in order.
pub fn split(frame: &str) -> Result<Vec<RawMessage<'_>>, FrameError> {
    if frame.trim_ascii_start().starts_with('[') {
        let objects: Vec<&RawValue> = serde_json::from_str(frame)?;
        objects
            .into_iter()
            .map(|object| message(object.get()))
            .collect()
    } else {
        Ok(vec![message(frame)?])
    }
}

/// Reads the type alone. Our own programs write it first, which saves looking through a whole batch of lines.
fn message(json: &str) -> Result<RawMessage<'_>, FrameError> {
    if let Some(rest) = json.strip_prefix("{\"type\":\"")
        && let Some(end) = memchr::memchr2(b'"', b'\\', rest.as_bytes())
        && rest.as_bytes()[end] == b'"'
    {
        return Ok(RawMessage {
            kind: Cow::Borrowed(&rest[..end]),
            json,
        });
    }
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
    }
    Ok(RawMessage {
        kind: serde_json::from_str::<Typed<'_>>(json)?.kind,
        json,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(frame: &str) -> Vec<String> {
        split(frame)
            .unwrap()
            .into_iter()
            .map(|m| m.kind.into_owned())
            .collect()
    }

    #[test]
    fn a_frame_holds_one_message_or_many_in_order() {
        assert_eq!(kinds(r#"{"type":"heartbeat"}"#), ["heartbeat"]);
        assert_eq!(
            kinds(r#" {"host_id":"a", "type":"out\u0070ut"}"#),
            ["output"]
        );
        assert_eq!(kinds(r#"[{"type":"a"},{"x":1,"type":"b"}]"#), ["a", "b"]);
        assert!(kinds("[]").is_empty());
    }

    #[test]
    fn what_has_no_type_is_malformed() {
        for bad in [
            "",
            "nonsense",
            "{}",
            "[1]",
            "[{}]",
            "7",
            r#"{"type":7}"#,
            r#"[{"type":"a"}"#,
        ] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }
}
