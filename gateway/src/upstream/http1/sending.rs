//! A request on its way out: its head, then its body piece by piece, each asked for when the one before has gone.

use super::LinkError;
use super::head::{self, Framing};
use crate::body::{Upload, UploadState};
use bytes::{Buf, Bytes};
use hyper::Request;
use hyper::body::Body;
use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, Cursor, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::AsyncWrite;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::{Instant, timeout_at};
use tokio_util::io::poll_write_buf;

/// Pieces up to this size are copied behind what is to be written already: that costs less than a longer list of
/// buffers for the system.
const COPIED_BYTES: usize = 16 << 10;

/// Most memory that is kept for the next request.
const KEPT_BYTES: usize = 32 << 10;

/// A service that takes nothing for so long after it has answered gets no more of the request.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is to be sent, and the way there.
#[derive(Debug)]
pub(super) struct Sending {
    output: OwnedWriteHalf,
    /// These three are to be written, one after the other.
    front: Cursor<Vec<u8>>,
    piece: Bytes,
    tail: &'static [u8],
    /// What follows them.
    upload: Option<(Upload, Framing)>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing has been written.
    Begun,
    /// Under way.
    Going,
    /// All has gone.
    Done,
}

impl Sending {
    /// A way on which nothing has been sent.
    #[must_use]
    pub(super) fn new(output: OwnedWriteHalf) -> Self {
        let (front, piece, tail) = (Cursor::default(), Bytes::new(), &b""[..]);
        Self { output, front, piece, tail, upload: None, stage: Stage::Done }
    }

    /// Begins with a request; gives it back when its head is all of it.
    pub(super) fn begin(&mut self, request: Request<Upload>) -> Option<Request<Upload>> {
        let framing = match request.body().size_hint().exact() {
            _ if request.body().is_end_stream() => Framing::Nothing,
            Some(bytes) => Framing::Length(bytes),
            None => Framing::Chunks,
        };
        self.clear();
        head::write(&request, framing, self.front.get_mut());
        self.stage = Stage::Begun;
        if framing == Framing::Nothing {
            self.upload = None;
            return Some(request);
        }
        self.upload = Some((request.into_body(), framing));
        None
    }

    /// Whether all has gone.
    #[must_use]
    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Sends as far as it goes; ready when all has gone.
    ///
    /// # Errors
    /// When the connection or the body breaks off.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        loop {
            match self.stage {
                Stage::Done => return Poll::Ready(Ok(())),
                Stage::Begun => {
                    self.stage = Stage::Going;
                    // The body's first piece shares the head's packet if it is here.
                    let _ = self.poll_piece(cx)?;
                }
                Stage::Going if self.is_written() => {
                    self.clear();
                    if self.upload.is_none() {
                        self.stage = Stage::Done;
                    } else {
                        ready!(self.poll_piece(cx)?);
                    }
                }
                Stage::Going => {
                    if ready!(self.poll_write(cx))? == 0 {
                        return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
                    }
                }
            }
        }
    }

    /// Sends what is left after the answer has begun, apart from it: a client may read all of the answer before it sends
    /// on, or the other way round. Tells `is_cut` when the connection fails.
    pub(super) async fn finish(mut self, is_cut: Rc<Cell<bool>>) {
        // Without a body to be asked for, its last piece is still on its way.
        let (progress, began) = (self.upload.as_ref().map(|(upload, _)| upload.state()), Instant::now());
        let moved_at = || progress.as_ref().map_or(began, UploadState::moved_at);
        loop {
            let deadline = moved_at() + PATIENCE;
            match timeout_at(deadline, poll_fn(|cx| self.poll(cx))).await {
                Ok(Ok(())) => {
                    // Closing this way alone would tell the service that nobody waits for its answer any more.
                    self.output.forget();
                    return;
                }
                Ok(Err(cause)) => {
                    log::debug!("the rest of a request was not sent: {cause}");
                    is_cut.set(cause.is_reset());
                    return;
                }
                Err(_elapsed) if moved_at() + PATIENCE > deadline => (),
                Err(_elapsed) => return,
            }
        }
    }

    /// The way, when it is used for another protocol.
    #[must_use]
    pub(super) fn into_output(self) -> OwnedWriteHalf {
        self.output
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let output = Pin::new(&mut self.output);
        if !self.piece.is_empty() || !self.tail.is_empty() {
            let mut pieces = (&mut self.front).chain(&mut self.piece).chain(&mut self.tail);
            return poll_write_buf(output, cx, &mut pieces);
        }
        // One buffer is a little cheaper for the system than a list of one.
        let written = ready!(output.poll_write(cx, self.front.chunk()))?;
        self.front.advance(written);
        Poll::Ready(Ok(written))
    }

    fn is_written(&self) -> bool {
        !self.front.has_remaining() && self.piece.is_empty() && self.tail.is_empty()
    }

    fn clear(&mut self) {
        self.front.set_position(0);
        self.front.get_mut().clear();
        self.front.get_mut().shrink_to(KEPT_BYTES);
    }

    /// Puts the body's next piece behind what is to be written.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        let Some((upload, framing)) = &mut self.upload else { return Poll::Ready(Ok(())) };
        let (framing, frame) = (*framing, ready!(Pin::new(&mut *upload).poll_frame(cx)));
        let is_last = frame.is_none() || upload.is_end_stream();
        // A client's trailers are not passed on.
        let piece = frame.transpose()?.and_then(|frame| frame.into_data().ok()).unwrap_or_default();
        if is_last {
            self.upload = None;
        }
        self.push(framing, piece, is_last);
        Poll::Ready(Ok(()))
    }

    fn push(&mut self, framing: Framing, piece: Bytes, is_last: bool) {
        let front = self.front.get_mut();
        let is_chunked = framing == Framing::Chunks;
        if is_chunked && !piece.is_empty() {
            // Writing to memory does not fail.
            drop(write!(front, "{:X}\r\n", piece.len()));
        }
        self.tail = match (piece.is_empty(), is_last) {
            _ if !is_chunked => b"",
            (true, false) => b"",
            (false, false) => b"\r\n",
            (true, true) => b"0\r\n\r\n",
            (false, true) => b"\r\n0\r\n\r\n",
        };
        if piece.len() <= COPIED_BYTES {
            front.extend_from_slice(&piece);
            front.extend_from_slice(std::mem::take(&mut self.tail));
        } else {
            self.piece = piece;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn a_last_piece_that_is_on_its_way_is_finished() {
        // More than the sockets hold.
        const BYTES: usize = 16 << 20;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut service, _) = listener.accept().await.unwrap();
        let (_input, output) = stream.into_split();
        let mut sending = Sending::new(output);
        (sending.piece, sending.stage) = (vec![b'x'; BYTES].into(), Stage::Going);
        let mut read = vec![0; BYTES];
        let ((), read) = tokio::join!(sending.finish(Rc::default()), service.read_exact(&mut read));
        assert_eq!(read.unwrap(), BYTES);
    }
}
