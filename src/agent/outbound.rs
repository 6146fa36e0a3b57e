//! The sending half of a connection. It has room for two frames, so a dashboard that takes nothing makes
//! the agent wait with reading its spools, and with nothing else.

use super::connect::Socket;
use super::session::End;
use crate::protocol::close;
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use std::time::Duration;
use tokio::sync::mpsc::{self, Permit};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};

/// Frames that wait for the socket.
const ROOM: usize = 2;

/// How long one frame may take.
const LIMIT: Duration = Duration::from_secs(30);

/// How long an orderly end may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Hands frames to the task that writes them.
pub(super) struct Outbound {
    frames: mpsc::Sender<Message>,
    /// `None` once its end was seen.
    writer: Option<JoinHandle<End>>,
}

impl Outbound {
    pub(super) fn start(sink: SplitSink<Socket, Message>) -> Self {
        let (frames, queue) = mpsc::channel(ROOM);
        Self {
            frames,
            writer: Some(tokio::spawn(write(sink, queue))),
        }
    }

    /// Waits until there is room for a frame; `None` when nothing can be sent any more. Safe to cancel.
    pub(super) async fn room(&self) -> Option<Permit<'_, Message>> {
        self.frames.reserve().await.ok()
    }

    /// Why nothing can be sent any more.
    pub(super) async fn failure(&mut self) -> End {
        match self.writer.take() {
            Some(writer) => writer.await.unwrap_or(End::Stuck),
            None => End::Stuck,
        }
    }

    /// Says why, where there is something to say, and drops the socket.
    pub(super) async fn close(self, code: Option<u16>) {
        let Some(mut writer) = self.writer else {
            return;
        };
        if let Some(code) = code {
            let frame = CloseFrame {
                code: code.into(),
                reason: "".into(),
            };
            // The socket may be gone, and then there is nobody to tell.
            let _ = timeout(CLOSE_LIMIT, self.frames.send(Message::Close(Some(frame)))).await;
        }
        drop(self.frames);
        if timeout(CLOSE_LIMIT, &mut writer).await.is_err() {
            writer.abort();
        }
    }
}

/// What the dashboard is told at the end.
pub(super) fn code_of(end: &End) -> Option<u16> {
    match end {
        End::Shutdown | End::Removed => Some(close::GOING_AWAY),
        End::Malformed(_) => Some(close::MALFORMED),
        // The answer to a close: the dashboard sees that this machine is alive.
        End::Closed(Some(frame)) => Some(frame.code.into()),
        _ => None,
    }
}

async fn write(mut sink: SplitSink<Socket, Message>, mut queue: mpsc::Receiver<Message>) -> End {
    while let Some(frame) = queue.recv().await {
        match timeout(LIMIT, sink.send(frame)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error.into(),
            Err(_) => return End::Stuck,
        }
    }
    End::Shutdown
}
