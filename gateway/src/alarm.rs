//! A timer that is moved far more often than it rings.
//!
//! Setting and clearing a timer for every request costs more than the rest of the gateway's own work. An alarm stays set
//! for the time it was first set for; when it rings, it is looked up whether the time has moved on meanwhile, and only
//! then is it set anew.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// A timer for one task at a time.
#[derive(Debug)]
pub(crate) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    /// Rings at first after about `time`.
    #[must_use]
    pub(crate) fn new(time: Duration) -> Self {
        Self(Box::pin(sleep(time)))
    }

    /// Wakes the task once more within `time`, without looking at the clock each time.
    pub(crate) fn poll_again(&mut self, cx: &mut Context<'_>, time: Duration) {
        if self.0.as_mut().poll(cx).is_ready() {
            self.0.as_mut().reset(Instant::now() + time);
            // It has just been set: not before `time`.
            let _ = self.0.as_mut().poll(cx);
        }
    }

    /// Ready when `deadline` has passed.
    pub(crate) fn poll_until(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        if self.0.deadline() > deadline {
            self.0.as_mut().reset(deadline);
        }
        loop {
            ready!(self.0.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            self.0.as_mut().reset(deadline);
        }
    }
}
