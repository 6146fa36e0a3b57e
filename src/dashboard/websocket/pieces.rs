//! A stream of WebSocket frames that passes long frames on as several short ones (RFC 6455, section 5.4). The library
//! reserves memory for a whole frame as soon as its header is there, and keeps it after the frame was read; of short
//! frames it holds no more than one.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Longest payload of a frame that is passed on as it is, in bytes. Masks repeat after four bytes: a multiple of four.
const PIECE_BYTES: u64 = 4 * 1024;
/// Longest message that is read without a permit, in bytes.
pub(super) const FREE_BYTES: u64 = 16 * 1024;
/// What a frame of a message counts for at least, in bytes: one without a payload is work, too.
const MIN_FRAME_BYTES: u64 = 64;
/// How many frames are begun without a pause: others have their turn then, also where none of them is a whole message.
const FRAMES_AT_ONCE: u32 = 256;
/// Longest header of a frame, in bytes.
const MAX_HEADER_BYTES: usize = 14;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
/// Opcodes from here on are those of control frames.
const CONTROL: u8 = 0x08;
const MASKED: u8 = 0x80;

type Acquiring = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send + Sync>>;

/// The frames of a client, long ones in pieces.
pub(super) struct Pieces<S> {
    stream: S,
    /// Longest frame that is cut into pieces, in bytes; the header of a longer one is passed on for the library to
    /// refuse.
    max_frame_bytes: u64,
    header: Header,
    /// What of the frame that the client sends was not passed on yet.
    frame: Frame,
    /// How much of the payload of the present piece was not passed on yet, in bytes.
    piece: u64,
    /// How much of the present message was begun to be passed on, in bytes; short frames count for more.
    message: u64,
    /// Since the client last had to be waited for.
    frames_at_once: u32,
    permits: Option<Arc<Semaphore>>,
    acquiring: Option<Acquiring>,
    permit: Option<OwnedSemaphorePermit>,
}

/// A header that is being read or passed on.
#[derive(Default)]
struct Header {
    bytes: [u8; MAX_HEADER_BYTES],
    /// How many of them there are.
    length: usize,
    /// How many were passed on; only of a header that was written here.
    passed: usize,
    is_ours: bool,
}

/// A frame of the client behind its header.
#[derive(Default)]
struct Frame {
    /// First byte of the header of its next piece, but for whether that is the last.
    kind: u8,
    is_final: bool,
    mask: Option<[u8; 4]>,
    left: u64,
    /// Whether the header of its next piece is to be written.
    has_piece: bool,
}

impl<S> Pieces<S> {
    pub(super) fn new(stream: S, max_frame_bytes: usize) -> Self {
        Self {
            stream,
            max_frame_bytes: max_frame_bytes as u64,
            header: Header::default(),
            frame: Frame::default(),
            piece: 0,
            message: 0,
            frames_at_once: 0,
            permits: None,
            acquiring: None,
            permit: None,
        }
    }

    /// Has each long message wait for one of these permits, and keep it until it is [done](Self::done).
    pub(super) fn limit(&mut self, permits: Arc<Semaphore>) {
        self.permits = Some(permits);
    }

    /// Whether it waits for a permit.
    pub(super) fn is_held_up(&self) -> bool {
        self.acquiring.is_some()
    }

    /// Gives back the permit of a message.
    pub(super) fn done(&mut self) {
        self.permit = None;
    }

    /// Writes the header of the next piece of the frame, as soon as its message may be so long.
    fn begin_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_refused = self.frame.left > self.max_frame_bytes;
        let length = if is_refused {
            self.frame.left
        } else {
            self.frame.left.min(PIECE_BYTES)
        };
        if self.frame.kind & OPCODE < CONTROL && !is_refused {
            if self.message + length > FREE_BYTES {
                ready!(self.poll_permit(context))?;
            }
            self.message += length.max(MIN_FRAME_BYTES);
            // The library counts payloads alone, and frames without one could go on for ever.
            if self.message > 2 * self.max_frame_bytes.max(FREE_BYTES) {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
        }
        let is_last = length == self.frame.left;
        self.header
            .write(&self.frame, is_last && self.frame.is_final, length);
        // Those behind it go on with it.
        self.frame.kind &= !(RESERVED | OPCODE);
        self.frame.left -= length;
        self.frame.has_piece = !is_last;
        self.piece = length;
        Poll::Ready(Ok(()))
    }

    fn poll_permit(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (Some(permits), None) = (&self.permits, &self.permit) else {
            return Poll::Ready(Ok(()));
        };
        let acquiring = self.acquiring.get_or_insert_with(|| {
            let permits = Arc::clone(permits);
            Box::pin(async move { permits.acquire_owned().await.ok() })
        });
        let permit = ready!(acquiring.as_mut().poll(context));
        (self.acquiring, self.permit) = (None, permit);
        // Nobody closes the semaphore; if somebody did, nothing long would be read any more.
        let closed = || Err(io::ErrorKind::ConnectionAborted.into());
        Poll::Ready(self.permit.as_ref().map_or_else(closed, |_| Ok(())))
    }

    /// Goes on with a frame whose header was read.
    fn begin_frame(&mut self) {
        self.frame = self.header.read();
        self.header = Header::default();
        if (1..CONTROL).contains(&(self.frame.kind & OPCODE)) {
            self.message = 0;
        }
    }
}

impl Header {
    /// How many bytes it has, as far as that is known.
    fn expected(&self) -> usize {
        if self.length < 2 {
            return 2;
        }
        let extended = match self.bytes[1] & !MASKED {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.bytes[1] & MASKED == 0 { 0 } else { 4 };
        2 + extended + mask
    }

    /// The frame behind a header that is whole.
    fn read(&self) -> Frame {
        let [first, second, rest @ ..] = self.bytes;
        let (left, rest) = match second & !MASKED {
            126 => (
                u64::from(u16::from_be_bytes([rest[0], rest[1]])),
                &rest[2..],
            ),
            127 => {
                let mut length = [0; 8];
                length.copy_from_slice(&rest[..8]);
                (u64::from_be_bytes(length), &rest[8..])
            }
            short => (u64::from(short), &rest[..]),
        };
        let mask = (second & MASKED != 0).then(|| [rest[0], rest[1], rest[2], rest[3]]);
        Frame {
            kind: first & !FIN,
            is_final: first & FIN != 0,
            mask,
            left,
            has_piece: true,
        }
    }

    /// Writes the header of a piece.
    fn write(&mut self, frame: &Frame, is_final: bool, length: u64) {
        *self = Self {
            is_ours: true,
            ..Self::default()
        };
        let masked = if frame.mask.is_some() { MASKED } else { 0 };
        self.push(&[frame.kind | if is_final { FIN } else { 0 }]);
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ ..126), _) => self.push(&[masked | short]),
            (_, Ok(medium)) => {
                self.push(&[masked | 126]);
                self.push(&medium.to_be_bytes());
            }
            _ => {
                self.push(&[masked | 127]);
                self.push(&length.to_be_bytes());
            }
        }
        if let Some(mask) = frame.mask {
            self.push(&mask);
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.length..][..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// Passes on what fits of a header that was written here; whether there was something.
    fn pass(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        if !self.is_ours {
            return false;
        }
        let bytes = &self.bytes[self.passed..self.length];
        let passed = bytes.len().min(buffer.remaining());
        buffer.put_slice(&bytes[..passed]);
        self.passed += passed;
        if self.passed == self.length {
            *self = Self::default();
        }
        true
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Pieces<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = self.poll_pieces(context, buffer);
        if polled.is_pending() {
            self.frames_at_once = 0;
        }
        polled
    }
}

impl<S: AsyncRead + Unpin> Pieces<S> {
    fn poll_pieces(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self;
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if this.header.pass(buffer) {
                return Poll::Ready(Ok(()));
            }
            if this.piece > 0 {
                let most = usize::try_from(this.piece).unwrap_or(usize::MAX);
                let most = most.min(buffer.remaining());
                let read = ready!(read(
                    &mut this.stream,
                    context,
                    buffer.initialize_unfilled_to(most)
                ))?;
                buffer.advance(read);
                this.piece -= read as u64;
                return Poll::Ready(Ok(()));
            }
            if this.frame.has_piece {
                ready!(this.begin_piece(context))?;
                continue;
            }
            let (have, expected) = (this.header.length, this.header.expected());
            if have == expected {
                if this.frames_at_once == FRAMES_AT_ONCE {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                this.frames_at_once += 1;
                this.begin_frame();
                continue;
            }
            let rest = &mut this.header.bytes[have..expected];
            match ready!(read(&mut this.stream, context, rest))? {
                0 => return Poll::Ready(Ok(())),
                read => this.header.length += read,
            }
        }
    }
}

/// Reads into these bytes; gives how many there were, 0 at the end.
fn read(
    stream: &mut (impl AsyncRead + Unpin),
    context: &mut Context<'_>,
    bytes: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut buffer = ReadBuf::new(bytes);
    ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
    Poll::Ready(Ok(buffer.filled().len()))
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Pieces<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[path = "pieces_tests.rs"]
mod tests;
