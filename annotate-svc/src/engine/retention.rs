//! Keeps the store within its bounds, in small steps: old annotations when the settings say so, old versions, old
//! keys, and counters that count nothing.

use crate::State;
use crate::store::{DbError, delete_ended_before, delete_history_before, delete_keys_before, merge_counters};
use chrono::{DateTime, Duration as Age, Utc};
use shared::clock::SharedClock;
use shared::stop::Stop;
use std::time::Duration;

/// Rows that one transaction removes: writers wait no longer than that takes.
const STEP: usize = 200;

/// Pause between two looks at the bounds.
const PERIOD: Duration = Duration::from_secs(60);

/// Pause between two steps, so that removal never takes the database for itself.
const BREATH: Duration = Duration::from_millis(20);

/// Hours that the answer of a write with a key is kept.
const KEY_HOURS: i64 = 24;

/// Removes what is out of bounds until `stop`.
pub async fn retain(state: State, clock: SharedClock, stop: Stop) {
    loop {
        let pause = match step(&state, clock.now()).await {
            Ok(0) => PERIOD,
            Ok(_) => BREATH,
            Err(cause) => {
                log::warn!("old rows could not be removed, trying again: {cause}");
                PERIOD
            }
        };
        tokio::select! { () = stop.stopped() => return, () = tokio::time::sleep(pause) => () }
    }
}

/// One small removal; answers how many rows went.
///
/// # Errors
/// When the database fails; nothing is removed then.
pub async fn step(state: &State, now: DateTime<Utc>) -> Result<usize, DbError> {
    let annotations = cutoff(now, state.config.annotation_time_to_live_secs);
    let history = cutoff(now, state.config.history_time_to_live_secs);
    let keys = (now - Age::hours(KEY_HOURS)).timestamp_micros();
    let removal = move |conn: &mut shared::db::DbConn| {
        let mut removed = 0;
        if let Some(cutoff) = annotations {
            removed += delete_ended_before(conn, cutoff, STEP)?;
        }
        if let Some(cutoff) = history {
            removed += delete_history_before(conn, cutoff, STEP)?;
        }
        removed += delete_keys_before(conn, keys, STEP)?;
        Ok::<_, DbError>(removed + merge_counters(conn, STEP)?)
    };
    state.db.write(removal).await
}

/// The instant before which things are too old; `None` keeps everything, as ages beyond the calendar do.
fn cutoff(now: DateTime<Utc>, age_secs: u64) -> Option<i64> {
    let age = i64::try_from(age_secs).ok().filter(|age| *age > 0).and_then(Age::try_seconds)?;
    now.checked_sub_signed(age).map(|instant| instant.timestamp_micros())
}
