//! A client's socket that does not wait for ever: neither for the rest of a request nor for a reader that has
//! stopped reading.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// What is expected of the client at the moment. Shared by its socket and its request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Phase(Arc<AtomicU8>);

/// The head of a request, once its first byte is there.
const HEAD: u8 = 0;
/// More of a request's body.
const BODY: u8 = 1;
/// Nothing: it is our turn, or a websocket's.
const ANSWERING: u8 = 2;

impl Phase {
    /// The next request is welcome.
    pub(crate) fn head(&self) {
        self.0.store(HEAD, Relaxed);
    }

    /// The rest of the body is awaited.
    pub(crate) fn body(&self) {
        self.0.store(BODY, Relaxed);
    }

    /// The request is complete.
    pub(crate) fn answering(&self) {
        self.0.store(ANSWERING, Relaxed);
    }

    fn get(&self) -> u8 {
        self.0.load(Relaxed)
    }
}

/// A client's socket.
pub(super) struct ClientIo {
    stream: TcpStream,
    phase: Phase,
    patience: Duration,
    reading: Option<Pin<Box<Sleep>>>,
    writing: Option<Pin<Box<Sleep>>>,
}

impl ClientIo {
    pub(super) fn new(stream: TcpStream, phase: Phase, patience: Duration) -> Self {
        Self { stream, phase, patience, reading: None, writing: None }
    }

    /// Bytes came: the head of a request has a time from its first byte on, a body from its last.
    fn note_read(&mut self) {
        let deadline = Instant::now() + self.patience;
        match (self.phase.get(), &mut self.reading) {
            (ANSWERING, reading) => *reading = None,
            (_, reading @ None) => *reading = Some(Box::pin(sleep(self.patience))),
            (BODY, Some(reading)) => reading.as_mut().reset(deadline),
            (_, Some(_)) => (),
        }
    }

    /// No bytes came: whether it has been too long.
    fn poll_reading(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.phase.get() {
            ANSWERING => self.reading = None,
            BODY if self.reading.is_none() => self.reading = Some(Box::pin(sleep(self.patience))),
            _ => (),
        }
        poll_deadline(&mut self.reading, cx)
    }

    fn note_write<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.writing = None;
            return outcome;
        }
        let patience = self.patience;
        self.writing.get_or_insert_with(|| Box::pin(sleep(patience)));
        match poll_deadline(&mut self.writing, cx) {
            Poll::Ready(Err(cause)) => Poll::Ready(Err(cause)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    }
}

fn poll_deadline(deadline: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    let Some(sleep) = deadline else { return Poll::Pending };
    std::task::ready!(sleep.as_mut().poll(cx));
    Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client stopped")))
}

impl AsyncRead for ClientIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        match outcome {
            Poll::Pending => self.poll_reading(cx),
            Poll::Ready(_) => {
                self.note_read();
                outcome
            }
        }
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note_write(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note_write(cx, outcome)
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
