//! Keeps the store within its bounds: old events go by age, the oldest by number, in small steps.

use crate::State;
use crate::store::{Removed, StoreError, count_events, delete_generated_before, delete_oldest};
use chrono::Duration as Age;
use shared::clock::SharedClock;
use shared::db::DbConn;
use shared::stop::Stop;
use std::time::Duration;

/// Events removed by one transaction: writers wait no longer than that takes.
const STEP: usize = 200;

/// Pause between two looks at the bounds.
const PERIOD: Duration = Duration::from_secs(30);

/// Pause between two steps, so that removal never takes the database for itself.
const BREATH: Duration = Duration::from_millis(20);

/// Removes what is out of bounds until `stop`.
pub async fn retain(state: State, clock: SharedClock, stop: Stop) {
    if state.config.event_time_to_live_secs == 0 && state.config.max_events == 0 {
        return;
    }
    loop {
        let removed = step(&state, &clock).await;
        let pause = match removed {
            Ok(Removed(0)) => PERIOD,
            Ok(Removed(_)) => BREATH,
            Err(cause) => {
                log::warn!("old events could not be removed, trying again: {cause}");
                PERIOD
            }
        };
        tokio::select! { () = stop.stopped() => return, () = tokio::time::sleep(pause) => () }
    }
}

/// One small removal; answers how many events went.
///
/// # Errors
/// When the database fails; nothing is removed then.
pub async fn step(state: &State, clock: &SharedClock) -> Result<Removed, StoreError> {
    let age = i64::try_from(state.config.event_time_to_live_secs).unwrap_or(i64::MAX);
    // Ages beyond the calendar keep everything, as 0 does.
    let cutoff = Age::try_seconds(age).and_then(|age| clock.now_naive().checked_sub_signed(age));
    let cutoff = cutoff.filter(|_| age > 0);
    let most = state.config.max_events;
    state.db.write(move |conn| remove(conn, cutoff, most)).await
}

fn remove(
    conn: &mut DbConn,
    cutoff: Option<chrono::NaiveDateTime>,
    most: u64,
) -> Result<Removed, StoreError> {
    if let Some(cutoff) = cutoff {
        let removed = delete_generated_before(conn, cutoff, STEP)?;
        if removed != Removed(0) {
            return Ok(removed);
        }
    }
    let stored = u64::try_from(count_events(conn, None)?).unwrap_or(0);
    match usize::try_from(stored.saturating_sub(most)) {
        Ok(surplus) if most > 0 && surplus > 0 => delete_oldest(conn, surplus.min(STEP)),
        _ => Ok(Removed(0)),
    }
}
