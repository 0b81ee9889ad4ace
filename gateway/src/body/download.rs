//! A service's answer on its way to the client, and what it holds on to until it has passed: its place in the
//! limits, its weight in the balancing, its connection.

use super::BrokenBody;
use crate::alarm::Alarm;
use crate::limits::Place;
use crate::upstream::{Answer, InFlight, Pool};
use bytes::Bytes;
use hyper::body::SizeHint;
use shared::stop::Stop;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// What an answer holds until it has passed.
#[derive(Debug)]
pub(crate) struct Lease {
    /// Where its connection goes then.
    pub(crate) pool: Rc<Pool>,
    /// Weight of the replica in the balancing.
    pub(crate) in_flight: InFlight,
    /// Place in the area's limit; only held.
    pub(crate) _place: Place,
}

/// An answer under way.
pub(crate) struct Download {
    /// The answer and what it holds; gone when all of it has passed.
    open: Option<(Answer, Lease)>,
    patience: Patience,
}

/// How long a service may be quiet in the middle of its answer.
enum Patience {
    /// So long; the timer runs while it is.
    Idle(Duration, Option<(Instant, Alarm)>),
    /// As long as it likes, until the gateway stops: such an answer would not end by itself.
    Endless(Pin<Box<dyn Future<Output = ()>>>),
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download").field("open", &self.open).finish_non_exhaustive()
    }
}

impl Download {
    /// An answer that may pause for `idle`.
    #[must_use]
    pub(crate) fn new(answer: Answer, lease: Lease, idle: Duration) -> Self {
        let mut download = Self { open: Some((answer, lease)), patience: Patience::Idle(idle, None) };
        download.close_at_end();
        download
    }

    /// An answer that goes on until somebody ends it.
    #[must_use]
    pub(crate) fn endless(answer: Answer, lease: Lease, stop: Stop) -> Self {
        let stopping = Box::pin(async move { stop.stopped().await });
        let mut download = Self { open: Some((answer, lease)), patience: Patience::Endless(stopping) };
        download.close_at_end();
        download
    }

    /// Whether all of it has passed.
    #[must_use]
    pub(crate) fn is_end(&self) -> bool {
        self.open.is_none()
    }

    /// What is known about its length.
    #[must_use]
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.open.as_ref().map_or_else(|| SizeHint::with_exact(0), |(answer, _)| answer.size_hint())
    }

    /// The next piece.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenBody>>> {
        let Some((answer, lease)) = &mut self.open else { return Poll::Ready(None) };
        match answer.poll_next(cx) {
            Poll::Pending => {
                let broken = ready!(self.patience.poll(cx));
                if let (BrokenBody::Stalled, Some((_, lease))) = (&broken, self.open.take()) {
                    lease.in_flight.broke_off();
                }
                Poll::Ready(Some(Err(broken)))
            }
            Poll::Ready(Some(Ok(data))) => {
                if let Patience::Idle(_, pause) = &mut self.patience {
                    *pause = None;
                }
                self.close_at_end();
                Poll::Ready(Some(Ok(data)))
            }
            Poll::Ready(Some(Err(failure))) => {
                lease.in_flight.broke_off();
                self.open = None;
                Poll::Ready(Some(Err(Box::new(failure).into())))
            }
            Poll::Ready(None) => {
                self.close();
                Poll::Ready(None)
            }
        }
    }

    fn close_at_end(&mut self) {
        if self.open.as_ref().is_some_and(|(answer, _)| answer.is_end()) {
            self.close();
        }
    }

    /// All of it has passed: gives back what it held.
    fn close(&mut self) {
        if let Some((answer, lease)) = self.open.take()
            && let Some(link) = answer.into_link()
        {
            lease.pool.give_back(link);
        }
    }
}

impl Patience {
    /// Ready when it has come to its end.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<BrokenBody> {
        match self {
            Self::Endless(stopping) => stopping.as_mut().poll(cx).map(|()| BrokenBody::Stopping),
            Self::Idle(idle, pause) => {
                let (end, alarm) = pause.get_or_insert_with(|| (Instant::now() + *idle, Alarm::new(*idle)));
                alarm.poll_until(cx, *end).map(|()| BrokenBody::Stalled)
            }
        }
    }
}
