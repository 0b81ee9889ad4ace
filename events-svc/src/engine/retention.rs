//! Keeps the store within its bounds: old events go by age, as the settings or a `winchester.yaml` say, the oldest by
//! number, in small steps.

use super::Trim;
use crate::State;
use crate::store::{
    Removed, StoreError, claim_removal, count_events, delete_generated_before, delete_oldest,
    find_replay_time,
};
use chrono::{Duration as Age, NaiveDateTime};
use diesel::Connection;
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
    if state.config.event_time_to_live_secs == 0 && state.config.max_events == 0 && state.trim.is_none() {
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

/// One small removal; answers how many events went. None when another replica is removing some.
///
/// # Errors
/// When the database fails; nothing is removed then.
pub async fn step(state: &State, clock: &SharedClock) -> Result<Removed, StoreError> {
    let age = i64::try_from(state.config.event_time_to_live_secs).unwrap_or(i64::MAX);
    // Ages beyond the calendar keep everything, as 0 does.
    let now = clock.now_naive();
    let cutoff = Age::try_seconds(age).and_then(|age| now.checked_sub_signed(age));
    let cutoff = cutoff.filter(|_| age > 0);
    let (most, trim) = (state.config.max_events, state.trim.clone());
    let step = move |conn: &mut DbConn| {
        if !claim_removal(conn)? {
            return Ok(Removed(0));
        }
        let trimmed = trim.map_or(Ok(Removed(0)), |trim| remove_trimmed(conn, &trim, now))?;
        if trimmed == Removed(0) { remove(conn, cutoff, most) } else { Ok(trimmed) }
    };
    state.db.write(move |conn| conn.transaction(step)).await
}

fn remove_trimmed(conn: &mut DbConn, trim: &Trim, now: NaiveDateTime) -> Result<Removed, StoreError> {
    let present = if trim.is_replay { find_replay_time(conn)? } else { Some(now) };
    match present.and_then(|present| trim.cutoff(present)) {
        Some(cutoff) => delete_generated_before(conn, cutoff, trim.batch_size.min(STEP)),
        None => Ok(Removed(0)),
    }
}

fn remove(conn: &mut DbConn, cutoff: Option<NaiveDateTime>, most: u64) -> Result<Removed, StoreError> {
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
