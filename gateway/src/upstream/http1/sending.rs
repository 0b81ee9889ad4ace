//! A request on its way out: its head, then its body piece by piece, each asked for when the one before has gone.

use super::LinkError;
use super::head::{self, Framing};
use crate::body::Upload;
use bytes::{Buf, Bytes};
use hyper::Request;
use hyper::body::Body;
use std::io::{self, Cursor, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_util::io::poll_write_buf;

/// Pieces up to this size are copied behind what is to be written already: that costs less than a longer list of
/// buffers for the system.
const COPIED_BYTES: usize = 16 << 10;

/// Most memory that is kept for the next request.
const KEPT_BYTES: usize = 32 << 10;

/// What is to be sent, and has not been.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// These three are to be written, one after the other.
    front: Cursor<Vec<u8>>,
    piece: Bytes,
    tail: &'static [u8],
    /// What follows them.
    upload: Option<(Upload, Framing)>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    /// Nothing has been written, and the body has not been asked for.
    Begun,
    /// The body's first piece was asked for. It shares the head's packet if it comes while the others take their turn.
    Lingering { has_piece: bool },
    /// Under way.
    Going,
    /// All has gone.
    #[default]
    Done,
}

impl Sending {
    /// Begins with a request.
    pub(super) fn begin(&mut self, request: Request<Upload>) {
        let framing = match request.body().size_hint().exact() {
            _ if request.body().is_end_stream() => Framing::Nothing,
            Some(bytes) => Framing::Length(bytes),
            None => Framing::Chunks,
        };
        self.clear();
        head::write(&request, framing, self.front.get_mut());
        self.upload = (framing != Framing::Nothing).then(|| (request.into_body(), framing));
        self.stage = Stage::Begun;
    }

    /// Whether all has gone.
    #[must_use]
    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Sends as far as it goes; ready when all has gone.
    ///
    /// Before the first byte every other task that is ready takes its turn: what came in at one moment is prepared first
    /// and then sent, one request after the other. That wakes a service once for many, and gives a body's first piece,
    /// which the client's connection reads in this same task, the time to come along.
    ///
    /// # Errors
    /// When the connection or the body breaks off.
    pub(super) fn poll(
        &mut self,
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), LinkError>> {
        loop {
            match self.stage {
                Stage::Done => return Poll::Ready(Ok(())),
                Stage::Begun => {
                    self.stage = Stage::Lingering { has_piece: self.poll_piece(cx)?.is_ready() };
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Stage::Lingering { has_piece } => {
                    self.stage = Stage::Going;
                    if !has_piece {
                        // Here or not, the head goes now.
                        let _ = self.poll_piece(cx)?;
                    }
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
                    if ready!(self.poll_write(stream, cx))? == 0 {
                        return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
                    }
                }
            }
        }
    }

    /// What has not been taken of the body.
    pub(super) fn take_upload(&mut self) -> Option<Upload> {
        self.upload.take().map(|(upload, _)| upload)
    }

    fn poll_write(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.piece.is_empty() || !self.tail.is_empty() {
            let mut output = (&mut self.front).chain(&mut self.piece).chain(&mut self.tail);
            return poll_write_buf(Pin::new(stream), cx, &mut output);
        }
        // One buffer is a little cheaper for the system than a list of one.
        let written = ready!(Pin::new(stream).poll_write(cx, self.front.chunk()))?;
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
