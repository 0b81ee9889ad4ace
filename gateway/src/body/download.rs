//! A service's answer on its way to the client, and what it holds on to until it has passed: its place in the
//! limits, its weight in the balancing.

use super::BrokenBody;
use crate::limits::Place;
use crate::upstream::{Answer, InFlight};
use crate::watch::Watching;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use shared::logging::Seldom;
use shared::stop::Stop;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// What an answer holds until it has passed.
#[derive(Debug)]
pub(crate) struct Lease {
    /// Weight of the replica in the balancing.
    pub(crate) in_flight: InFlight,
    /// Place in the area's limit; only held.
    pub(crate) _place: Place,
}

/// How a stream is ended: nothing is a good end.
type Ending = Option<BrokenBody>;

/// An answer under way.
pub(crate) struct Download {
    source: Answer,
    lease: Option<Lease>,
    /// Longest pause of the service; unset for streams, which may be quiet for long.
    idle: Option<Duration>,
    pause: Option<Pin<Box<Sleep>>>,
    /// Ends a stream when the gateway stops, or its reader may have no more of it: it would not end by itself.
    ending: Option<Pin<Box<dyn Future<Output = Ending>>>>,
    /// The reader of a stream.
    watching: Option<Watching>,
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Download {
    /// An answer that may pause for `idle`.
    #[must_use]
    pub(crate) fn new(source: Answer, lease: Lease, idle: Duration) -> Self {
        let (lease, idle) = (Some(lease), Some(idle));
        let mut download = Self { source, lease, idle, pause: None, ending: None, watching: None };
        download.release_at_end();
        download
    }

    /// An answer that goes on until somebody ends it. A feed ends well when the gateway stops, for its readers come again;
    /// of anything else the end would seem to be there.
    #[must_use]
    pub(crate) fn endless(
        source: Answer,
        lease: Lease,
        stop: Stop,
        watching: Option<Watching>,
        is_feed: bool,
    ) -> Self {
        let cut = watching.as_ref().map(Watching::signal);
        let stopped = move || (!is_feed).then_some(BrokenBody::Stopping);
        let ending: Pin<Box<dyn Future<Output = Ending>>> = Box::pin(async move {
            let Some(cut) = cut else {
                stop.stopped().await;
                return stopped();
            };
            tokio::select! {
                () = stop.stopped() => stopped(),
                () = cut.stopped() => Some(BrokenBody::CutOff),
            }
        });
        Self { source, lease: Some(lease), idle: None, pause: None, ending: Some(ending), watching }
    }

    /// Whether all of it has passed.
    #[must_use]
    pub(crate) fn is_end(&self) -> bool {
        self.source.is_end_stream()
    }

    /// What is known about its length.
    #[must_use]
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.source.size_hint()
    }

    /// The next piece.
    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        // A service that always has more to say must not keep its reader.
        if self.watching.as_ref().is_some_and(Watching::is_cut) {
            return Poll::Ready(Some(Err(BrokenBody::CutOff)));
        }
        match Pin::new(&mut self.source).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.pause = None;
                self.release_at_end();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.lease = None;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(cause))) => {
                self.break_off(&cause);
                Poll::Ready(Some(Err(Box::new(cause).into())))
            }
            Poll::Pending => self.poll_patience(cx),
        }
    }

    /// While nothing comes: whether it has been too long, or the stream is to end.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        if let Some(ending) = &mut self.ending
            && let Poll::Ready(why) = ending.as_mut().poll(cx)
        {
            self.ending = None;
            return Poll::Ready(why.map(Err));
        }
        let Some(idle) = self.idle else { return Poll::Pending };
        let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(idle)));
        if pause.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.break_off(&BrokenBody::Stalled);
        Poll::Ready(Some(Err(BrokenBody::Stalled)))
    }

    fn release_at_end(&mut self) {
        if self.source.is_end_stream() {
            self.lease = None;
        }
    }

    /// Gives back what the answer held, which is not whole. Of a stream that is no failure of the replica: services cut off
    /// who reads too slowly.
    fn break_off(&mut self, cause: &dyn fmt::Display) {
        static BROKEN: Seldom = Seldom::new();
        let Some(Lease { in_flight, _place }) = self.lease.take() else { return };
        BROKEN.say(|held_back| {
            log::warn!(held_back; "{} broke off in the middle of an answer: {cause}", in_flight.replica());
        });
        if self.idle.is_some() {
            in_flight.broke_off();
        }
    }
}
