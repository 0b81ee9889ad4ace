//! One connection to a replica: a request out, its answer in, and then the next.

use super::framing::{Framing, Step};
use super::head::Head;
use super::sending::{Outgoing, SendFailure, Sending};
use crate::body::BrokenBody;
use bytes::{Bytes, BytesMut};
use hyper::body::SizeHint;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;
use tokio_util::io::poll_read_buf;

/// Bytes read at once while nothing is known about what comes.
const SMALL_READ: usize = 8 << 10;

/// Bytes read at once from a large body.
const LARGE_READ: usize = 64 << 10;

/// A connection on which nothing is under way.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    inbox: BytesMut,
}

/// Why there is no answer, or no whole one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The service closed the connection.
    #[error("connection closed")]
    Ended,
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What came is no HTTP/1.1.
    #[error("malformed answer: {0}")]
    Malformed(&'static str),
    /// The request's own body broke off.
    #[error(transparent)]
    Spoilt(BrokenBody),
}

/// An answer that has begun.
#[derive(Debug)]
pub(crate) struct Answer {
    link: Link,
    framing: Framing,
    /// The rest of the request: a service may answer before it has read everything.
    rest: Option<Box<(Sending, Outgoing)>>,
    /// Whether the connection may carry another request after this.
    is_reusable: bool,
}

impl Link {
    /// A fresh connection.
    #[must_use]
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, inbox: BytesMut::new() }
    }

    /// Whether an idle connection is still good: open, and quiet.
    #[must_use]
    pub(crate) fn is_fit(&self) -> bool {
        let read = self.stream.try_read(&mut [0]);
        self.inbox.is_empty() && read.is_err_and(|cause| cause.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends the request of `slot` and waits for the head of its answer. After a failure the request is where it was;
    /// whether it can be sent again, it knows itself.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn exchange(mut self, slot: &mut Option<Outgoing>) -> Result<(Head, Answer), Failure> {
        let Some(outgoing) = slot.as_mut() else { return Err(Failure::Ended) };
        let mut sending = Sending::new(outgoing);
        let mut sent = None;
        let head = poll_fn(|cx| {
            if sent.is_none()
                && let Poll::Ready(outcome) = sending.poll(cx, &mut self.stream, outgoing)
            {
                match outcome {
                    Err(SendFailure::Spoilt(cause)) => return Poll::Ready(Err(Failure::Spoilt(cause))),
                    // A service that takes no more may have answered already.
                    Err(SendFailure::Refused(cause)) => sent = Some(Err(cause)),
                    Ok(()) => sent = Some(Ok(())),
                }
            }
            self.poll_head(cx, outgoing.is_head())
        })
        .await;
        let head = match (head, sent) {
            (Ok(head), None) => {
                let rest = slot.take().map(|outgoing| Box::new((sending, outgoing)));
                return Ok(self.answered(head, rest, false));
            }
            (Ok(head), Some(sent)) => return Ok(self.answered(head, None, sent.is_ok())),
            (Err(Failure::Ended), Some(Err(cause))) => cause.into(),
            (Err(failure), _) => failure,
        };
        Err(head)
    }

    fn answered(self, head: Head, rest: Option<Box<(Sending, Outgoing)>>, is_sent: bool) -> (Head, Answer) {
        let is_reusable = head.is_kept_alive && (is_sent || rest.is_some());
        let answer = Answer { link: self, framing: head.framing, rest, is_reusable };
        (head, answer)
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, is_bodiless: bool) -> Poll<Result<Head, Failure>> {
        loop {
            if !self.inbox.is_empty()
                && let Some(head) = Head::take(&mut self.inbox, is_bodiless)?
            {
                let is_final = !head.status.is_informational() || head.status.as_u16() == 101;
                if is_final {
                    return Poll::Ready(Ok(head));
                }
                continue;
            }
            if ready!(self.poll_fill(cx, SMALL_READ))? == 0 {
                return Poll::Ready(Err(Failure::Ended));
            }
        }
    }

    /// Reads what there is; 0 at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        let spare = self.inbox.capacity() - self.inbox.len();
        if spare < wanted / 2 {
            self.inbox.reserve(wanted);
        }
        poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.inbox)
    }
}

impl Answer {
    /// Whether all of it has come, as far as that is known without looking.
    #[must_use]
    pub(crate) fn is_end(&self) -> bool {
        self.framing.is_end()
    }

    /// What is known about the length of the rest.
    #[must_use]
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.framing.size_hint()
    }

    /// The next piece of the body, while the rest of the request goes out.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        self.send_rest(cx);
        loop {
            match self.framing.step(&mut self.link.inbox)? {
                Step::Data(data) => return Poll::Ready(Some(Ok(data))),
                Step::End => return Poll::Ready(None),
                Step::Hungry => (),
            }
            let wanted = match self.framing {
                Framing::Length(left) => {
                    usize::try_from(left).unwrap_or(LARGE_READ).clamp(SMALL_READ, LARGE_READ)
                }
                Framing::Chunked(_) | Framing::UntilClose => LARGE_READ / 2,
            };
            if ready!(self.link.poll_fill(cx, wanted))? == 0 {
                self.is_reusable = false;
                if !self.framing.may_end_now() {
                    return Poll::Ready(Some(Err(Failure::Ended)));
                }
                self.framing = Framing::EMPTY;
                return Poll::Ready(None);
            }
        }
    }

    /// The connection, if it can carry another request now.
    #[must_use]
    pub(crate) fn into_link(self) -> Option<Link> {
        let Self { mut link, framing, rest, is_reusable } = self;
        if link.inbox.capacity() > 2 * SMALL_READ && link.inbox.is_empty() {
            link.inbox = BytesMut::new();
        }
        if let Some(rest) = rest {
            rest.1.discard();
            return None;
        }
        (is_reusable && framing.is_end() && link.inbox.is_empty()).then_some(link)
    }

    /// The bare connection after a change of protocols, and what has arrived on it already.
    #[must_use]
    pub(crate) fn into_stream(self) -> (TcpStream, BytesMut) {
        (self.link.stream, self.link.inbox)
    }

    fn send_rest(&mut self, cx: &mut Context<'_>) {
        let Some((sending, outgoing)) = self.rest.as_deref_mut() else { return };
        match sending.poll(cx, &mut self.link.stream, outgoing) {
            Poll::Pending => (),
            Poll::Ready(Ok(())) => self.rest = None,
            Poll::Ready(Err(_unwanted)) => {
                // The service has answered and does not care for the rest; nor do we.
                self.rest = None;
                self.is_reusable = false;
            }
        }
    }
}
