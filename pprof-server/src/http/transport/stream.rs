//! This connection gives up on a client who does not read.
//!
//! `connections` hands it to hyper. hyper bounds how long a request may take to arrive, but waits
//! for ever for an answer to be taken, and the answer holds a whole profile in memory.
//!
//! Path: *read path*.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::slots::Slot;

/// The longest time in which the client takes no byte.
const MAX_STALL: Duration = Duration::from_secs(10);
/// The longest time from the first byte of an answer to its last. A connection serves one request.
const MAX_ANSWER_TIME: Duration = Duration::from_secs(60);

/// A stream whose writes fail with `TimedOut` when they stall.
#[derive(Debug)]
pub(crate) struct BoundedStream<S> {
    stream: S,
    slot: Slot,
    max_stall: Duration,
    /// Set at the first write.
    answer_deadline: Option<Instant>,
    /// It runs while a write waits.
    stall: Option<Pin<Box<Sleep>>>,
}

impl<S> BoundedStream<S> {
    pub(crate) fn new(stream: S, slot: Slot) -> BoundedStream<S> {
        BoundedStream { stream, slot, max_stall: MAX_STALL, answer_deadline: None, stall: None }
    }

    /// Passes on the result of a write, and turns a wait that is over its time into an error.
    fn bound(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let now = Instant::now();
        let answer_deadline = *self.answer_deadline.get_or_insert(now + MAX_ANSWER_TIME);
        if written.is_ready() {
            self.stall = None;
            self.slot.gets_on();
            return written;
        }
        let give_up_at = answer_deadline.min(now + self.max_stall);
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep_until(give_up_at)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for BoundedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for BoundedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buffer);
        self.bound(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, buffers);
        self.bound(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::super::slots::Slots;
    use super::*;
    use std::future::poll_fn;
    use tokio::net::TcpListener;

    fn run(future: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(future);
    }

    #[test]
    fn a_client_that_reads_nothing_is_cut() {
        run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let _silent = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let mut stream = BoundedStream::new(listener.accept().await.unwrap().0, Slots::default().slot());
            stream.max_stall = Duration::from_millis(200);
            let started = Instant::now();
            let error = loop {
                if let Err(error) = poll_fn(|cx| Pin::new(&mut stream).poll_write(cx, &[0; 65536])).await {
                    break error;
                }
            };
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(started.elapsed() >= Duration::from_millis(200), "{:?}", started.elapsed());
        });
    }
}
