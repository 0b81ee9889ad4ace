//! The counters of all workers together: since the last report, which is logged, and since the start, which is shown.

use std::sync::{Mutex, MutexGuard, PoisonError};

use prometheus::{IntCounterVec, Opts};

use crate::counters::Counters;

/// Where everyone's counters come together.
pub struct Statistics {
    period: Mutex<Counters>,
    total: Mutex<Counters>,
    metric: IntCounterVec,
}

impl Statistics {
    /// Nothing counted yet.
    ///
    /// # Errors
    /// Only when the metric's name is malformed.
    pub fn new() -> Result<Self, prometheus::Error> {
        let opts =
            Opts::new("quintet_streams_trigger_total", "What happened to events and streams of a trigger.");
        let metric = IntCounterVec::new(opts, &["trigger", "counter"])?;
        Ok(Self { period: Mutex::default(), total: Mutex::default(), metric })
    }

    /// Adds what somebody has counted.
    pub fn add(&self, counters: Counters) {
        for (trigger, own) in counters.iter() {
            let inc = |name: &str, by: u64| self.metric.with_label_values(&[trigger, name]).inc_by(by);
            inc("Match checks", own.matching.checks());
            inc("Match passed", own.matching.passed());
            inc("Fire checks", own.firing.checks());
            inc("Fire passed", own.firing.passed());
            for (name, count) in own.counts() {
                inc(name, *count);
            }
        }
        lock(&self.total).merge(counters.clone());
        lock(&self.period).merge(counters);
    }

    /// Hands over what was counted since the last time.
    pub fn take_period(&self) -> Counters {
        std::mem::take(&mut *lock(&self.period))
    }

    /// What was counted since the start.
    #[must_use]
    pub fn total(&self) -> Counters {
        lock(&self.total).clone()
    }

    /// The same for Prometheus.
    #[must_use]
    pub fn metric(&self) -> &IntCounterVec {
        &self.metric
    }
}

fn lock(counters: &Mutex<Counters>) -> MutexGuard<'_, Counters> {
    counters.lock().unwrap_or_else(PoisonError::into_inner)
}
