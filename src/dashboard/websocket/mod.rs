//! WebSockets of agents and browsers. There are as many as hosts, nearly all of them quiet, so each holds little memory
//! while nothing comes and nothing goes.

mod upgrade;

pub(crate) use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
pub(crate) use upgrade::Upgrade;

use crate::protocol::MAX_FRAME_BYTES;
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// How much is read at once, in bytes, of what was read ahead from the socket. The library holds a buffer of this size
/// for ever; for a longer message it makes one of that message's size.
const READ_BYTES: usize = 256;

/// Longest text that is sent in one piece, in bytes. The library keeps the memory of the longest piece that it ever sent.
const PIECE_BYTES: usize = 4 * 1024;

/// The most that waits to be sent, in bytes: one piece, and answers to pings. Without a limit a peer that pings and
/// takes no answer has them pile up.
const MAX_UNSENT_BYTES: usize = 256 * 1024;

/// Longest reason of a close frame, in bytes; the protocol allows 123.
const MAX_REASON_BYTES: usize = 120;

/// A WebSocket that was opened.
pub(crate) struct Socket(Box<WebSocketStream<TokioIo<Upgraded>>>);

impl Socket {
    async fn open(upgraded: Upgraded) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(MAX_UNSENT_BYTES)
            .max_message_size(Some(MAX_FRAME_BYTES))
            .max_frame_size(Some(MAX_FRAME_BYTES));
        let upgraded = TokioIo::new(upgraded);
        let opened = WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(config));
        Self(Box::new(opened.await))
    }

    /// The next message; none at the end. Whoever stops waiting for it misses nothing.
    pub(crate) async fn recv(&mut self) -> Option<Result<Message, Error>> {
        self.0.next().await
    }

    /// Sends a message. Whoever stops waiting for that can send nothing more but a close frame.
    pub(crate) async fn send(&mut self, message: Message) -> Result<(), Error> {
        let Message::Text(text) = message else {
            return self.0.send(message).await;
        };
        if text.len() <= PIECE_BYTES {
            return self.0.send(Message::Text(text)).await;
        }
        let mut rest: Bytes = text.into();
        let mut kind = Data::Text;
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(PIECE_BYTES));
            let frame = Frame::message(piece, OpCode::Data(kind), rest.is_empty());
            self.0.feed(Message::Frame(frame)).await?;
            kind = Data::Continue;
        }
        self.0.flush().await
    }

    /// Sends a close frame.
    pub(crate) async fn close(&mut self, code: u16, reason: &str) -> Result<(), Error> {
        let reason = &reason[..reason.floor_char_boundary(MAX_REASON_BYTES)];
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.into(),
        };
        self.0.send(Message::Close(Some(frame))).await
    }
}
