//! A stream that reads much at once for a reader that asks for little, and holds a buffer only while there is
//! something in it. Ten thousand quiet connections so hold none.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is read at once, in bytes; of this a connection may hold what its reader has not taken yet.
const READ_BYTES: usize = 16 * 1024;

thread_local! {
    /// Where bytes are read into before it is known how many there are.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Reads ahead from `stream`.
pub(super) struct ReadAhead<S> {
    stream: S,
    /// What was read and not taken, from `taken` on; without memory when that is nothing.
    ahead: Vec<u8>,
    taken: usize,
}

impl<S> ReadAhead<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            ahead: Vec::new(),
            taken: 0,
        }
    }

    /// Gives what was read before; whether there was something.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let ahead = &self.ahead[self.taken..];
        if ahead.is_empty() {
            return false;
        }
        let given = ahead.len().min(buffer.remaining());
        buffer.put_slice(&ahead[..given]);
        self.taken += given;
        if self.taken == self.ahead.len() {
            (self.ahead, self.taken) = (Vec::new(), 0);
        }
        true
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.give(buffer) {
            return Poll::Ready(Ok(()));
        }
        if buffer.remaining() >= READ_BYTES {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(READ_BYTES, 0);
            let mut read = ReadBuf::new(scratch);
            ready!(Pin::new(&mut this.stream).poll_read(context, &mut read))?;
            let now = read.filled().len().min(buffer.remaining());
            let (now, later) = read.filled().split_at(now);
            buffer.put_slice(now);
            this.ahead.extend_from_slice(later);
            Poll::Ready(Ok(()))
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn bytes_come_in_order_whatever_is_asked_for_and_nothing_is_held_once_they_are_taken() {
        let sent: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        for piece in [1, 7, 1_024, READ_BYTES - 1, READ_BYTES, 3 * READ_BYTES] {
            let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
            let mut ours = ReadAhead::new(ours);
            let writer = tokio::spawn({
                let sent = sent.clone();
                async move { theirs.write_all(&sent).await.unwrap() }
            });
            let (mut got, mut buffer) = (Vec::new(), vec![0; piece]);
            loop {
                let read = ours.read(&mut buffer).await.unwrap();
                if read == 0 {
                    break;
                }
                got.extend_from_slice(&buffer[..read]);
                assert!(ours.ahead.capacity() <= READ_BYTES);
            }
            writer.await.unwrap();
            assert!(got == sent, "in pieces of {piece}");
            assert_eq!(ours.ahead.capacity(), 0, "in pieces of {piece}");
        }
    }

    #[tokio::test]
    async fn a_large_message_is_read_from_the_socket_in_large_pieces() {
        struct Counted {
            left: usize,
            reads: usize,
        }
        impl AsyncRead for Counted {
            fn poll_read(
                mut self: Pin<&mut Self>,
                _: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let length = buffer.remaining().min(self.left);
                buffer.put_slice(&vec![7; length]);
                self.left -= length;
                self.reads += 1;
                Poll::Ready(Ok(()))
            }
        }
        let left = 64 * 1024;
        let mut stream = ReadAhead::new(Counted { left, reads: 0 });
        let mut buffer = [0; 1_024];
        while stream.read(&mut buffer).await.unwrap() > 0 {}
        // One more, for the end.
        assert_eq!(stream.stream.reads, left / READ_BYTES + 1);
    }
}
