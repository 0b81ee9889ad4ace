//! A request on its way out.

use crate::body::{BrokenBody, Upload};
use bytes::{Buf, Bytes};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

/// A request ready to go: its head as bytes, and its body as it comes.
#[derive(Debug)]
pub(crate) struct Outgoing {
    head: Bytes,
    upload: Upload,
    is_chunked: bool,
    /// Whether the answer has no body whatever it says: to a HEAD.
    is_head: bool,
    /// Whether a piece of the body has been taken: then it cannot be sent again.
    is_begun: bool,
}

impl Outgoing {
    /// A request; `is_chunked` when the head announces chunks, `is_head` when the method is HEAD.
    #[must_use]
    pub(crate) fn new(head: Bytes, upload: Upload, is_chunked: bool, is_head: bool) -> Self {
        Self { head, upload, is_chunked, is_head, is_begun: false }
    }

    /// The body.
    #[must_use]
    pub(crate) fn upload(&self) -> &Upload {
        &self.upload
    }

    /// Whether all of it is still here to be sent once more.
    #[must_use]
    pub(crate) fn is_repeatable(&self) -> bool {
        !self.is_begun
    }

    /// Lets go of a request whose answer is known: the client is heard out for a moment, so that it hears us.
    pub(crate) fn discard(self) {
        self.upload.discard();
    }

    /// Whether the answer has no body whatever it says.
    #[must_use]
    pub(super) fn is_head(&self) -> bool {
        self.is_head
    }
}

/// How far one try of sending has come.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// Everything before the piece: the head at first, later a chunk's size.
    before: Bytes,
    piece: Bytes,
    after: &'static [u8],
    is_last: bool,
}

/// Why sending ended early.
#[derive(Debug)]
pub(super) enum SendFailure {
    /// The service takes no more.
    Refused(io::Error),
    /// The client's body broke off, or is over its limit.
    Spoilt(BrokenBody),
}

impl Sending {
    /// At the start.
    pub(super) fn new(outgoing: &Outgoing) -> Self {
        Self { before: outgoing.head.clone(), ..Self::default() }
    }

    /// Sends on; ready when all has gone out.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut TcpStream,
        outgoing: &mut Outgoing,
    ) -> Poll<Result<(), SendFailure>> {
        loop {
            // The piece is fetched before the head is written, so that a small request goes out at once.
            let is_waiting = self.poll_piece(cx, outgoing).map_err(SendFailure::Spoilt)?.is_pending();
            if self.is_empty() {
                return if is_waiting { Poll::Pending } else { Poll::Ready(Ok(())) };
            }
            let slices = [IoSlice::new(&self.before), IoSlice::new(&self.piece), IoSlice::new(self.after)];
            let written = ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &slices));
            match written.map_err(SendFailure::Refused)? {
                0 => return Poll::Ready(Err(SendFailure::Refused(io::ErrorKind::WriteZero.into()))),
                bytes => self.advance(bytes),
            }
        }
    }

    /// Fetches the next piece when the last has gone; ready when there is one, or nothing more will come.
    fn poll_piece(&mut self, cx: &mut Context<'_>, outgoing: &mut Outgoing) -> Poll<Result<(), BrokenBody>> {
        while !self.is_last && self.piece.is_empty() && self.after.is_empty() {
            let Some(data) = ready!(outgoing.upload.poll_next(cx)).transpose()? else {
                self.is_last = true;
                self.after = if outgoing.is_chunked { b"0\r\n\r\n" } else { b"" };
                break;
            };
            outgoing.is_begun = true;
            // A chunk without bytes would be the last one.
            if outgoing.is_chunked && !data.is_empty() {
                let size = format!("{:x}\r\n", data.len());
                self.before = [&self.before[..], size.as_bytes()].concat().into();
                self.after = b"\r\n";
            }
            self.piece = data;
        }
        Poll::Ready(Ok(()))
    }

    fn is_empty(&self) -> bool {
        self.before.is_empty() && self.piece.is_empty() && self.after.is_empty()
    }

    fn advance(&mut self, mut bytes: usize) {
        for part in [&mut self.before, &mut self.piece] {
            let step = bytes.min(part.len());
            part.advance(step);
            bytes -= step;
        }
        self.after = self.after.get(bytes..).unwrap_or_default();
    }
}
