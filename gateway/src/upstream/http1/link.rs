//! One connection: a request out, its answer in, and again.

use super::body::Rest;
use super::head::{self, Head};
use super::sending::Sending;
use super::{LinkError, READ_BYTES};
use crate::body::Upload;
use bytes::{Bytes, BytesMut};
use hyper::header::UPGRADE;
use hyper::{Method, Request, Response, StatusCode};
use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::io::poll_read_buf;

/// Bytes that are read at once at first; twice as many after each read that filled them, up to [`READ_BYTES`].
const FIRST_READ_BYTES: usize = 8 << 10;

/// A connection to a service.
#[derive(Debug)]
pub(in crate::upstream) struct Link {
    input: OwnedReadHalf,
    /// What has been read and not yet been taken.
    read: BytesMut,
    /// Gone when it goes on by itself.
    sending: Option<Sending>,
    /// The request, as long as nothing of an answer has come; only one without a body.
    asked: Option<Request<Upload>>,
    /// Why sending stopped, as long as an answer may still come.
    failure: Option<LinkError>,
    /// Whether sending failed after it went on by itself.
    is_cut: Option<Rc<Cell<bool>>>,
    method: Method,
    is_upgrade: bool,
    /// What is to come of the answer's body.
    rest: Rest,
    is_kept: bool,
    /// The service has agreed to another protocol.
    is_switched: bool,
    read_bytes: usize,
}

impl Link {
    /// A connection on which nothing has been said.
    #[must_use]
    pub(in crate::upstream) fn new(stream: TcpStream) -> Self {
        let (input, output) = stream.into_split();
        Self {
            input,
            read: BytesMut::new(),
            sending: Some(Sending::new(output)),
            asked: None,
            failure: None,
            is_cut: None,
            method: Method::GET,
            is_upgrade: false,
            rest: Rest::Nothing,
            is_kept: true,
            is_switched: false,
            read_bytes: FIRST_READ_BYTES,
        }
    }

    /// Whether the service has neither closed it nor said something unasked; else the connection is of no more use. Costs
    /// nothing as long as it has not.
    #[must_use]
    pub(in crate::upstream) fn is_quiet(&self) -> bool {
        // Not `poll_peek`: a task that has done much in its turn is told that nothing has come.
        let read = self.input.try_read(&mut [0]);
        read.is_err_and(|cause| cause.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether it can carry another request: this one is out, its answer in, and nothing more came.
    #[must_use]
    pub(in crate::upstream) fn is_free(&self) -> bool {
        let is_sent = self.sending.as_ref().is_some_and(Sending::is_done);
        self.is_kept && !self.is_switched && self.is_end() && is_sent && self.read.is_empty()
    }

    /// Makes itself small for the time until the next exchange, if the last answer was a large one.
    pub(in crate::upstream) fn shrink(&mut self) {
        if self.read_bytes > FIRST_READ_BYTES {
            self.read = BytesMut::new();
            self.read_bytes = FIRST_READ_BYTES;
        }
    }

    /// Begins an exchange. The connection must be free, or new.
    pub(in crate::upstream) fn begin(&mut self, request: Request<Upload>) {
        self.method.clone_from(request.method());
        self.is_upgrade = request.headers().contains_key(UPGRADE);
        self.asked = self.sending.as_mut().and_then(|sending| sending.begin(request));
    }

    /// The request, if nothing of an answer has come and nothing of a body has gone.
    #[must_use]
    pub(in crate::upstream) fn take_unanswered(&mut self) -> Option<Request<Upload>> {
        self.asked.take()
    }

    /// Sends, and waits for the head of the answer. What is not out when that comes goes on by itself.
    ///
    /// # Errors
    /// [`LinkError`]; the connection is of no more use.
    pub(in crate::upstream) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<()>, LinkError>> {
        self.poll_send(cx)?;
        loop {
            let read = ready!(self.poll_read(cx));
            if !matches!(read, Ok(1..)) {
                // Sending broke off first: that is the cause.
                let cause = self.failure.take().or(read.err());
                return Poll::Ready(Err(cause.unwrap_or(LinkError::Closed)));
            }
            self.asked = None;
            if let Some(Head { answer, body, is_kept }) = head::take(&mut self.read, &self.method)? {
                self.is_switched = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
                if self.is_switched && !self.is_upgrade {
                    return Poll::Ready(Err(LinkError::Malformed("another protocol that nobody asked for")));
                }
                (self.rest, self.is_kept) = (body, is_kept);
                if let Some(sending) = self.sending.take_if(|sending| !sending.is_done()) {
                    let is_cut = self.is_cut.insert(Rc::default());
                    tokio::task::spawn_local(sending.finish(Rc::clone(is_cut)));
                }
                return Poll::Ready(Ok(answer));
            }
        }
    }

    /// The next piece of the answer's body; `None` at its end.
    ///
    /// # Errors
    /// [`LinkError`]; the connection is of no more use.
    pub(in crate::upstream) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, LinkError>>> {
        loop {
            if let Some(piece) = self.rest.take(&mut self.read)? {
                return Poll::Ready(Some(Ok(piece)));
            }
            if self.is_end() {
                return Poll::Ready(None);
            }
            if ready!(self.poll_read(cx))? == 0 {
                if self.rest != Rest::UntilClose || self.has_failed() {
                    return Poll::Ready(Some(Err(LinkError::Closed)));
                }
                self.rest = Rest::Nothing;
            }
        }
    }

    /// Whether sending met a reset. It is told once, to whoever asks first: where that was the way out, the way in sees an
    /// end like any other.
    fn has_failed(&self) -> bool {
        self.failure.as_ref().is_some_and(LinkError::is_reset)
            || self.is_cut.as_ref().is_some_and(|is_cut| is_cut.get())
    }

    /// Whether all of the answer's body has been taken.
    #[must_use]
    pub(in crate::upstream) fn is_end(&self) -> bool {
        self.rest == Rest::Nothing
    }

    /// Whether what follows on this connection is of another protocol.
    #[must_use]
    pub(in crate::upstream) fn is_switched(&self) -> bool {
        self.is_switched
    }

    /// Bytes of the body that are still to come, if that is known.
    #[must_use]
    pub(in crate::upstream) fn known_bytes(&self) -> Option<u64> {
        self.rest.known_bytes()
    }

    /// Both ways, and what has been read of the one, after the service has switched protocols.
    #[must_use]
    pub(in crate::upstream) fn into_parts(self) -> Option<(Bytes, OwnedReadHalf, OwnedWriteHalf)> {
        Some((self.read.freeze(), self.input, self.sending?.into_output()))
    }

    /// Sends as far as it goes. A service that does not read on may still answer, so a failure counts only then.
    ///
    /// # Errors
    /// When the client's body breaks off: then no answer is worth waiting for.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), LinkError> {
        let Some(sending) = self.sending.as_mut().filter(|sending| !sending.is_done()) else { return Ok(()) };
        match sending.poll(cx) {
            Poll::Ready(Err(cause @ LinkError::Upload(_))) => return Err(cause),
            Poll::Ready(Err(cause)) => {
                self.failure = Some(cause);
                self.sending = None;
            }
            Poll::Ready(Ok(())) | Poll::Pending => (),
        }
        Ok(())
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, LinkError>> {
        let known = self.rest.known_bytes().and_then(|bytes| usize::try_from(bytes).ok());
        // A buffer that is filled to its end would have to be read once more.
        let wanted = known.map_or(self.read_bytes, |bytes| bytes.saturating_add(1)).min(READ_BYTES);
        self.read_bytes = self.read_bytes.max(wanted);
        self.read.reserve(wanted.max(FIRST_READ_BYTES));
        let read = ready!(poll_read_buf(Pin::new(&mut self.input), cx, &mut self.read))?;
        if read >= self.read_bytes {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES);
        }
        Poll::Ready(Ok(read))
    }
}
