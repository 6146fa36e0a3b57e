//! What browsers send.

use crate::protocol::{BrowserMessage, HostId, RunId, split};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The longest name of a subscription, in bytes.
const MAX_SUB_BYTES: usize = 256;

/// A message of a browser.
#[derive(Debug)]
pub(super) enum Wish {
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    WatchMetrics(WatchMetrics),
    /// One that we do not know.
    Unknown,
}

/// `subscribe`.
#[derive(Debug, Deserialize)]
pub(super) struct Subscribe {
    pub(super) sub: Option<String>,
    pub(super) host_id: HostId,
    pub(super) run_id: Option<RunId>,
    pub(super) from: Option<i64>,
}

/// `unsubscribe`.
#[derive(Debug, Deserialize)]
pub(super) struct Unsubscribe {
    pub(super) sub: String,
}

/// `watch_metrics`.
#[derive(Debug, Deserialize)]
pub(super) struct WatchMetrics {
    pub(super) hosts: Vec<HostId>,
}

/// The messages of a frame, in order; the error says why the connection is closed.
pub(super) fn read(frame: &str) -> Result<Vec<Wish>, &'static str> {
    let messages = split(frame).map_err(|_| "malformed")?;
    messages
        .iter()
        .map(|message| {
            let wish = match BrowserMessage::of(&message.kind) {
                Some(BrowserMessage::Subscribe) => {
                    let wish: Subscribe =
                        serde_json::from_str(message.json).map_err(|_| "malformed")?;
                    let sub = wish.sub.as_deref().unwrap_or_default();
                    if sub.len() > MAX_SUB_BYTES {
                        return Err("a sub is over 256 bytes");
                    }
                    Wish::Subscribe(wish)
                }
                Some(BrowserMessage::Unsubscribe) => {
                    Wish::Unsubscribe(serde_json::from_str(message.json).map_err(|_| "malformed")?)
                }
                Some(BrowserMessage::WatchMetrics) => {
                    Wish::WatchMetrics(serde_json::from_str(message.json).map_err(|_| "malformed")?)
                }
                None => {
                    serde_json::from_str::<IgnoredAny>(message.json).map_err(|_| "malformed")?;
                    Wish::Unknown
                }
            };
            Ok(wish)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_a_whole_or_not_at_all() {
        let frame = r#"[{"type":"subscribe","host_id":"h1"},{"type":"new","x":1},{"type":"unsubscribe","sub":"a"}]"#;
        let wishes = read(frame).unwrap();
        assert!(matches!(
            wishes.as_slice(),
            [Wish::Subscribe(_), Wish::Unknown, Wish::Unsubscribe(_)]
        ));
        assert!(read(r#"[{"type":"subscribe","host_id":"h1"},{"type":"unsubscribe"}]"#).is_err());
        assert!(read("{").is_err());
        let long = format!(
            r#"{{"type":"subscribe","host_id":"h1","sub":"{}"}}"#,
            "x".repeat(257)
        );
        assert!(read(&long).unwrap_err().contains("256"));
    }
}
