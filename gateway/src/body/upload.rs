//! The client's body on its way to a service: counted against the limit, watched for pauses.

use super::BrokenBody;
use crate::limits::BodyPlace;
use crate::server::{BodyPhase, Phase};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// Bytes of a refused body that are read away, and the time for it.
const DRAINED_BYTES: usize = 64 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// How an upload ended, or that it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UploadEnd {
    /// More is to come.
    Open,
    /// All of it was passed on.
    Complete,
    /// It went over the limit of so many bytes.
    TooLarge(u64),
    /// The client paused too long.
    Stalled,
    /// The client broke off, or what it sent is no body.
    Lost,
}

/// What the rest of the gateway sees of an upload under way.
#[derive(Debug, Clone)]
pub(crate) struct UploadState {
    started: Instant,
    /// Only of a body that there is.
    progress: Option<Rc<Progress>>,
}

#[derive(Debug)]
struct Progress {
    end: Cell<UploadEnd>,
    moved_at: Cell<Instant>,
    /// Whether the next piece has been asked for and is not there.
    is_awaited: Cell<bool>,
}

impl UploadState {
    /// How it ended; a body that there is not was complete from the start.
    #[must_use]
    pub(crate) fn end(&self) -> UploadEnd {
        self.progress.as_ref().map_or(UploadEnd::Complete, |progress| progress.end.get())
    }

    /// When the last piece passed; a service's time to answer starts here.
    #[must_use]
    pub(crate) fn moved_at(&self) -> Instant {
        self.progress.as_ref().map_or(self.started, |progress| progress.moved_at.get())
    }

    /// When a service that has `patience` must have answered. `None` while it waits for the client, as we do: that time is
    /// the client's, and its socket knows the end of it.
    #[must_use]
    pub(crate) fn answer_due(&self, patience: Duration) -> Option<Instant> {
        let is_awaited = self.progress.as_ref().is_some_and(|progress| progress.is_awaited.get());
        (!is_awaited).then(|| self.moved_at() + patience)
    }
}

/// What a look at the client's body gave: a piece, its end, or what went wrong.
type Polled = Option<Result<Frame<Bytes>, hyper::Error>>;

/// A request body.
#[derive(Debug)]
pub(crate) struct Upload {
    source: Option<Incoming>,
    /// What came of it before anybody could take it.
    first: Option<Polled>,
    limit_bytes: u64,
    left_bytes: u64,
    state: UploadState,
    phase: Option<BodyPhase>,
    /// Whether the client waits to be asked for it (`Expect: 100-continue`): the first look at it asks.
    is_unasked: bool,
    /// Held until all of it has passed.
    place: Option<BodyPlace>,
}

impl Upload {
    /// A body that may hold `limit_bytes`; `phase` tells the client's connection when all of it is there.
    #[must_use]
    pub(crate) fn new(source: Incoming, limit_bytes: u64, phase: &Phase, started: Instant) -> Self {
        if source.is_end_stream() {
            return Self::empty(started);
        }
        let (end, moved_at) = (Cell::new(UploadEnd::Open), Cell::new(started));
        let progress = Progress { end, moved_at, is_awaited: Cell::default() };
        let state = UploadState { started, progress: Some(Rc::new(progress)) };
        let phase = Some(phase.of_body());
        Self {
            source: Some(source),
            first: None,
            limit_bytes,
            left_bytes: limit_bytes,
            state,
            phase,
            is_unasked: false,
            place: None,
        }
    }

    /// The same; when `is_unasked`, the client waits to be asked for it.
    #[must_use]
    pub(crate) fn unasked(mut self, is_unasked: bool) -> Self {
        self.is_unasked = is_unasked;
        self
    }

    /// The same, holding `place` until it is complete.
    #[must_use]
    pub(crate) fn holding(mut self, place: Option<BodyPlace>) -> Self {
        self.place = place;
        self
    }

    /// No body.
    #[must_use]
    pub(crate) fn empty(started: Instant) -> Self {
        let state = UploadState { started, progress: None };
        Self {
            source: None,
            first: None,
            limit_bytes: 0,
            left_bytes: 0,
            state,
            phase: None,
            is_unasked: false,
            place: None,
        }
    }

    /// How it is going.
    #[must_use]
    pub(crate) fn state(&self) -> UploadState {
        self.state.clone()
    }

    /// Asks the client's connection for the first piece, which is kept until it is taken. A client that waits to be asked
    /// waits on until there is a service that takes it.
    pub(crate) fn prefetch(&mut self, cx: &mut Context<'_>) {
        if let Some(source) = &mut self.source
            && !self.is_unasked
            && self.first.is_none()
            && let Poll::Ready(first) = Pin::new(source).poll_frame(cx)
        {
            self.first = Some(first);
        }
    }

    fn drain(&mut self) {
        if let Some(progress) = &self.state.progress {
            // By nobody whose time would have to wait.
            progress.is_awaited.set(false);
        }
        if let Some(source) = self.source.take() {
            drain(source, self.phase.take());
        }
    }

    fn finish(&mut self, end: UploadEnd) {
        if let Some(progress) = &self.state.progress {
            progress.end.set(end);
        }
        self.place = None;
        match (end, self.phase.take()) {
            (UploadEnd::Complete, Some(phase)) => phase.complete(),
            (UploadEnd::Stalled | UploadEnd::Lost, Some(phase)) => phase.lost(),
            (_, phase) => self.phase = phase,
        }
    }

    /// Judges what came.
    fn take(&mut self, frame: Polled) -> Option<Result<Frame<Bytes>, BrokenBody>> {
        if let Some(progress) = &self.state.progress {
            progress.moved_at.set(Instant::now());
            progress.is_awaited.set(false);
        }
        match frame {
            None => {
                self.finish(UploadEnd::Complete);
                None
            }
            Some(Err(cause)) => {
                self.finish(if is_timeout(&cause) { UploadEnd::Stalled } else { UploadEnd::Lost });
                Some(Err(cause.into()))
            }
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
                let Some(left_bytes) = self.left_bytes.checked_sub(bytes) else {
                    self.finish(UploadEnd::TooLarge(self.limit_bytes));
                    self.drain();
                    return Some(Err(BrokenBody::TooLarge));
                };
                self.left_bytes = left_bytes;
                if self.source.as_ref().is_some_and(Body::is_end_stream) {
                    self.finish(UploadEnd::Complete);
                }
                Some(Ok(frame))
            }
        }
    }
}

/// Whether the client's socket gave up waiting.
fn is_timeout(cause: &hyper::Error) -> bool {
    let io = std::error::Error::source(cause).and_then(|source| source.downcast_ref::<std::io::Error>());
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::TimedOut)
}

/// Reads on for a moment: a client that is still sending when its connection ends would never see our answer.
fn drain(mut source: Incoming, phase: Option<BodyPhase>) {
    let reading = async move {
        let mut left_bytes = DRAINED_BYTES;
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut source).poll_frame(cx)).await {
            let Ok(frame) = frame else {
                if let Some(phase) = phase {
                    phase.lost();
                }
                return;
            };
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left_bytes.checked_sub(bytes) else { return };
            left_bytes = rest;
        }
        if let Some(phase) = phase {
            phase.complete();
        }
    };
    tokio::task::spawn_local(async {
        // Past its time the client has had its chance.
        let _ = tokio::time::timeout(DRAIN_TIME, reading).await;
    });
}

impl Drop for Upload {
    /// Whatever went wrong with the request, the client gets to read the answer: what it still sends is read away. One that
    /// waits to be asked reads at once, and is not asked.
    fn drop(&mut self) {
        if self.state.end() != UploadEnd::Open {
            return;
        }
        if self.is_unasked || matches!(self.first, Some(Some(Err(_)))) {
            self.finish(UploadEnd::Lost);
        } else {
            self.drain();
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        let upload = self.get_mut();
        upload.is_unasked = false;
        let Some(source) = &mut upload.source else { return Poll::Ready(None) };
        let frame = match upload.first.take() {
            Some(first) => first,
            None => match Pin::new(source).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    if let Some(progress) = &upload.state.progress {
                        progress.is_awaited.set(true);
                    }
                    return Poll::Pending;
                }
            },
        };
        Poll::Ready(upload.take(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.source.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let Some(source) = &self.source else { return SizeHint::with_exact(0) };
        let hint = source.size_hint();
        let first =
            self.first.iter().flatten().flatten().filter_map(Frame::data_ref).map(Bytes::len).sum::<usize>();
        match (hint.exact(), u64::try_from(first)) {
            (Some(rest), Ok(first)) => SizeHint::with_exact(rest.saturating_add(first)),
            _ => hint,
        }
    }
}
