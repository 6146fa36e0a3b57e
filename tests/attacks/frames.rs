//! WebSockets of those who attack.

use crate::crowd::{frame, is_slow};
use crate::tally::{CLOSED, HEARD, Tally};
use serde_json::Value;
use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A WebSocket, and what came of it and is no whole frame yet.
pub(crate) struct Frames {
    pub(crate) name: &'static str,
    pub(crate) stream: TcpStream,
    bytes: Vec<u8>,
    is_head_read: bool,
    /// How much of a frame was sent.
    pub(crate) written: usize,
}

/// Answers that show that a message was looked at.
const ANSWERS: [&str; 3] = [
    r#""type":"subscribed""#,
    r#""type":"error""#,
    r#""type":"registered""#,
];

impl Frames {
    /// One whose status was read.
    pub(crate) fn after_head(name: &'static str, stream: TcpStream) -> Self {
        Self {
            name,
            stream,
            bytes: Vec::new(),
            is_head_read: false,
            written: 0,
        }
    }

    /// Reads for so long and counts what comes; `false` when the connection is over.
    pub(crate) fn take(&mut self, tally: &Tally, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut bytes = [0; 65_536];
        let patience = Some(Duration::from_millis(1));
        let _ = self.stream.set_nonblocking(time.is_zero());
        let _ = self.stream.set_read_timeout(patience);
        loop {
            match self.stream.read(&mut bytes) {
                Ok(read @ 1..) => self.bytes.extend(&bytes[..read]),
                Err(error) if is_slow(&error) => {
                    if Instant::now() >= end {
                        return true;
                    }
                }
                _ => {
                    tally.add(self.name, CLOSED, 1);
                    return false;
                }
            }
            if !self.count(tally) {
                return false;
            }
        }
    }

    /// Counts what whole frames there are; `false` after one that closes.
    fn count(&mut self, tally: &Tally) -> bool {
        if !self.is_head_read {
            let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n");
            let Some(end) = end else {
                return true;
            };
            self.bytes.drain(..end + 4);
            self.is_head_read = true;
        }
        while let Some((kind, payload, length)) = first_frame(&self.bytes) {
            if kind == 8 {
                let code = payload
                    .first_chunk()
                    .copied()
                    .map_or(1005, u16::from_be_bytes);
                tally.add(self.name, code, 1);
                return false;
            }
            let text = String::from_utf8_lossy(payload);
            let heard: usize = ANSWERS.iter().map(|one| text.matches(one).count()).sum();
            tally.add(self.name, HEARD, heard as u64);
            self.bytes.drain(..length);
        }
        true
    }
}

/// The kind and payload of the frame at the beginning, and how long it is in all.
fn first_frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let kind = bytes.first()? & 0x0f;
    let (head, length) = match *bytes.get(1)? {
        126 => (
            4,
            u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?).into(),
        ),
        127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        length => (2, u64::from(length)),
    };
    let end = head + usize::try_from(length).ok()?;
    Some((kind, bytes.get(head..end)?, end))
}

/// A frame of text with these messages.
pub(crate) fn messages(all: &[Value]) -> Vec<u8> {
    frame(0x81, Value::from(all).to_string().as_bytes())
}
