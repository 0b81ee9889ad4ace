//! Regular work: removal of what is old, and the report of counters.

use chrono::TimeDelta;
use shared::datetime::to_micros;
use shared::db::DbError;
use shared::stop::Stop;
use std::time::Duration;

use crate::State;
use crate::store;

/// Entries of the history that are removed in one step.
const HISTORY_STEP: usize = 1000;

/// Steps of history in one round.
const HISTORY_STEPS: usize = 10;

/// Shortest time between two rounds and reports.
const SHORTEST: Duration = Duration::from_secs(1);

/// Removes old events and old history, one batch a round of the worker, until `stop`.
pub async fn keep(state: State, stop: Stop) {
    loop {
        let delay = state.definitions.current().part.pipeline_worker_delay.max(SHORTEST);
        tokio::select! { () = stop.stopped() => break, () = tokio::time::sleep(delay) => {} }
        if let Err(cause) = trim(&state).await {
            log::warn!("old events are not removed, trying again: {cause}");
        }
    }
}

/// One round of removal; how many events it removed.
///
/// # Errors
/// When the database fails.
pub(crate) async fn trim(state: &State) -> Result<usize, DbError> {
    let days = TimeDelta::days(state.config.history_days.into());
    let cutoff = to_micros(state.clock.now_naive() - days);
    for _ in 0..HISTORY_STEPS {
        let step = move |conn: &mut _| store::delete_history_before(conn, cutoff, HISTORY_STEP);
        if state.db.write(step).await? < HISTORY_STEP {
            break;
        }
    }
    let loaded = state.definitions.current();
    let Some(trim) = &loaded.part.trim else { return Ok(0) };
    let Ok(age) = trim.age.evaluate(&[("timestamp", state.now.now())]) else { return Ok(0) };
    let (cutoff, step) = (to_micros(age.timestamp()), trim.batch_size);
    state.db.write(move |conn| store::delete_members_before(conn, cutoff, step)).await
}

/// Logs the counters every `statistics_period`, until `stop`.
pub async fn report(state: State, stop: Stop) {
    loop {
        let period = state.definitions.current().part.statistics_period.max(SHORTEST);
        tokio::select! { () = stop.stopped() => break, () = tokio::time::sleep(period) => {} }
        for line in state.statistics.take_period().log_lines() {
            log::info!("{line}");
        }
    }
}
