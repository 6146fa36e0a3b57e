//! WebSockets of agents and browsers. There are as many as hosts, nearly all of them quiet, so each holds little memory
//! while nothing comes and nothing goes.

mod pieces;
mod upgrade;

pub(crate) use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
pub(crate) use upgrade::Upgrade;

use crate::protocol::MAX_FRAME_BYTES;
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use pieces::Pieces;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// How much is read at once, in bytes, of what was read ahead from the socket. The library holds a buffer of this size
/// for ever, and one of a few KiB once it read a longer message.
const READ_BYTES: usize = 256;

/// Longest text that is sent in one piece, in bytes. The library keeps the memory of the longest piece that it ever sent.
const PIECE_BYTES: usize = 4 * 1024;

/// The most that waits to be sent, in bytes: one piece, and answers to pings. Without a limit a peer that pings and
/// takes no answer has them pile up.
const MAX_UNSENT_BYTES: usize = 256 * 1024;

/// Longest reason of a close frame, in bytes; the protocol allows 123.
const MAX_REASON_BYTES: usize = 120;

/// A WebSocket that was opened.
pub(crate) struct Socket {
    stream: Box<WebSocketStream<Pieces<TokioIo<Upgraded>>>>,
    /// Whether the last message that came may have a permit.
    is_done: bool,
}

impl Socket {
    async fn open(upgraded: Upgraded) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(MAX_UNSENT_BYTES)
            .max_message_size(Some(MAX_FRAME_BYTES))
            .max_frame_size(Some(MAX_FRAME_BYTES));
        let upgraded = Pieces::new(TokioIo::new(upgraded), MAX_FRAME_BYTES);
        let opened = WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(config));
        Self {
            stream: Box::new(opened.await),
            is_done: false,
        }
    }

    /// Has each long message wait for one of these permits before more of it than 16 KiB is read. It keeps the permit
    /// until the next message is asked for. Other sockets may share them: then all of them together hold few long
    /// messages, also half-sent ones.
    pub(crate) fn limit_long_messages(&mut self, permits: Arc<Semaphore>) {
        self.stream.get_mut().limit(permits);
    }

    /// Whether the next message is long and has no permit yet.
    pub(crate) fn is_held_up(&self) -> bool {
        self.stream.get_ref().is_held_up()
    }

    /// The next message; none at the end. Whoever stops waiting for it misses nothing.
    pub(crate) async fn recv(&mut self) -> Option<Result<Message, Error>> {
        if std::mem::take(&mut self.is_done) {
            self.stream.get_mut().done();
        }
        let received = self.stream.next().await;
        let is_data = |message: &Message| message.is_text() || message.is_binary();
        self.is_done = matches!(&received, Some(Ok(message)) if is_data(message));
        received
    }

    /// Sends a message. Whoever stops waiting for that can send nothing more but a close frame.
    pub(crate) async fn send(&mut self, message: Message) -> Result<(), Error> {
        let Message::Text(text) = message else {
            return self.stream.send(message).await;
        };
        if text.len() <= PIECE_BYTES {
            return self.stream.send(Message::Text(text)).await;
        }
        let mut rest: Bytes = text.into();
        let mut kind = Data::Text;
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(PIECE_BYTES));
            let frame = Frame::message(piece, OpCode::Data(kind), rest.is_empty());
            self.stream.feed(Message::Frame(frame)).await?;
            kind = Data::Continue;
        }
        self.stream.flush().await
    }

    /// Sends a close frame.
    pub(crate) async fn close(&mut self, code: u16, reason: &str) -> Result<(), Error> {
        let reason = &reason[..reason.floor_char_boundary(MAX_REASON_BYTES)];
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.into(),
        };
        self.stream.send(Message::Close(Some(frame))).await
    }
}
