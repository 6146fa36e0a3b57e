//! What browsers send.

use super::metrics::MAX_WATCHED;
use crate::protocol::{BrowserMessage, HostId, RunId, split};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The longest name of a subscription, in bytes.
const MAX_SUB_BYTES: usize = 256;
/// The most messages in a frame. They are kept until each had its turn.
pub(super) const MAX_MESSAGES: usize = 2_000;

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
    if messages.len() > MAX_MESSAGES {
        return Err("more than 2,000 messages in a frame");
    }
    messages
        .iter()
        .map(|message| {
            let wish = match BrowserMessage::of(&message.kind) {
                Some(BrowserMessage::Subscribe) => {
                    let wish: Subscribe =
                        serde_json::from_str(message.json).map_err(|_| "malformed")?;
                    let sub = wish.sub.as_deref().unwrap_or_default();
                    if sub.len() > MAX_SUB_BYTES {
                        return Err("`sub` is longer than 256 bytes");
                    }
                    Wish::Subscribe(wish)
                }
                Some(BrowserMessage::Unsubscribe) => {
                    Wish::Unsubscribe(serde_json::from_str(message.json).map_err(|_| "malformed")?)
                }
                Some(BrowserMessage::WatchMetrics) => {
                    let mut wish: WatchMetrics =
                        serde_json::from_str(message.json).map_err(|_| "malformed")?;
                    // What is left out would take memory for as long as the page is open.
                    wish.hosts.truncate(MAX_WATCHED);
                    wish.hosts.shrink_to_fit();
                    Wish::WatchMetrics(wish)
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
    fn of_hosts_that_are_watched_so_many_are_kept_as_may_be() {
        let hosts = vec![r#""h1""#; 100_000].join(",");
        let frame = format!(r#"{{"type":"watch_metrics","hosts":[{hosts}]}}"#);
        let wishes = read(&frame).unwrap();
        let [Wish::WatchMetrics(wish)] = wishes.as_slice() else {
            panic!("{wishes:?}");
        };
        assert_eq!(wish.hosts.len(), MAX_WATCHED);
        assert_eq!(wish.hosts.capacity(), MAX_WATCHED);
    }

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
        let frame_of =
            |messages: usize| format!("[{}]", vec![r#"{"type":""}"#; messages].join(","));
        assert_eq!(read(&frame_of(MAX_MESSAGES)).unwrap().len(), MAX_MESSAGES);
        assert!(
            read(&frame_of(MAX_MESSAGES + 1))
                .unwrap_err()
                .contains("2,000")
        );
        let long = format!(
            r#"{{"type":"subscribe","host_id":"h1","sub":"{}"}}"#,
            "x".repeat(257)
        );
        assert!(read(&long).unwrap_err().contains("256"));
    }
}
