//! This process among its replicas: all should run by the same definitions.
//!
//! A reload reaches one replica. It makes the digest of what it has read known through the database; the others compare
//! it with theirs at every beat, read their own files, and say what they run by (`store/replica.rs`).

use std::sync::Arc;
use std::time::Duration;

use shared::db::{DbError, Target};
use shared::stop::Stop;
use tokio::time::Instant;

use crate::State;
use crate::definitions::{Loaded, Reading};
use crate::store::{self, Announced, ReplicaRow};

/// Time between two beats, and how many microseconds of silence mean death.
const BEAT: Duration = Duration::from_secs(1);
const DEAD_MICROS: i64 = 5_000_000;

/// How long a reload waits for the others, and how often it looks.
const WAIT: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(100);

/// Beats at which the files are read again as long as they are not those of the last reload.
const TRIES: u32 = 60;

/// The beat of this process.
pub struct Replica {
    state: State,
    /// The reload that is followed, and at how many beats it was.
    following: (i64, u32),
    trouble: Option<String>,
}

/// What a reload has done.
pub(crate) struct Reloaded {
    /// What this process runs by now.
    pub(crate) loaded: Arc<Loaded>,
    /// All that are alive, this process included.
    pub(crate) replicas: Vec<ReplicaRow>,
}

impl Reloaded {
    /// Whether all run by the same.
    pub(crate) fn is_everywhere(&self) -> bool {
        self.replicas.iter().all(|replica| replica.digest == self.loaded.digest)
    }
}

impl Replica {
    /// A replica that has said nothing yet.
    #[must_use]
    pub fn new(state: State) -> Self {
        Self { state, following: (0, 0), trouble: None }
    }

    /// Beats until `stop`. Over SQLite there is one process, which has nobody to tell.
    pub async fn run(mut self, stop: Stop) {
        let is_alone = matches!(self.state.db.target(), Target::Sqlite { .. });
        while !is_alone && !stop.is_stopped() {
            if let Err(cause) = self.beat().await {
                log::warn!("other replicas are not told what this one runs by, trying again: {cause}");
            }
            tokio::select! { () = stop.stopped() => {}, () = tokio::time::sleep(BEAT) => {} }
        }
        stop.stopped().await;
        let me = Arc::clone(&self.state.replica);
        if let Err(cause) = self.state.db.write(move |conn| store::delete_replica(conn, &me)).await {
            log::warn!("other replicas take this one for alive for a while: {cause}");
        }
    }

    /// Says what this process runs by, and follows the last reload.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn beat(&mut self) -> Result<(), DbError> {
        let definitions = Arc::clone(&self.state.definitions);
        let _telling = definitions.telling.lock().await;
        let announced = self.state.db.read(store::find_announced).await?;
        if let Some(announced) = announced {
            self.follow(&announced).await;
        }
        let me = this(&self.state, self.trouble.clone());
        self.state.db.write(move |conn| store::put_replica(conn, &me, DEAD_MICROS)).await
    }

    /// Reads the files again if they should be others.
    async fn follow(&mut self, announced: &Announced) {
        if self.following.0 != announced.generation {
            self.following = (announced.generation, 0);
        }
        if self.state.definitions.current().digest == announced.digest {
            self.trouble = None;
            return;
        }
        if self.following.1 >= TRIES {
            return;
        }
        self.following.1 += 1;
        let definitions = Arc::clone(&self.state.definitions);
        let trouble = match tokio::task::spawn_blocking(move || definitions.read()).await {
            Ok(Ok(Some(reading))) if reading.digest == announced.digest => {
                self.state.definitions.put_in_force(reading);
                None
            }
            Ok(Ok(_)) => Some("its files are not those of the last reload".to_owned()),
            Ok(Err(cause)) => Some(cause.to_string()),
            Err(cause) => Some(cause.to_string()),
        };
        if let Some(why) = &trouble
            && trouble != self.trouble
        {
            log::error!("the definitions of the last reload are not taken: {why}");
        }
        self.trouble = trouble;
    }
}

/// This process, as it is shown.
fn this(state: &State, trouble: Option<String>) -> ReplicaRow {
    let digest = state.definitions.current().digest.clone();
    ReplicaRow { name: state.replica.to_string(), digest, trouble }
}

/// All that are alive, this process first.
///
/// # Errors
/// When the database fails.
pub(crate) async fn replicas(state: &State) -> Result<Vec<ReplicaRow>, DbError> {
    let list = |conn: &mut _| store::list_replicas(conn, DEAD_MICROS);
    let all = state.db.read(list).await?;
    let (mine, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|replica| *replica.name == *state.replica);
    let trouble = mine.into_iter().next().and_then(|me| me.trouble);
    Ok([this(state, trouble)].into_iter().chain(others).collect())
}

/// Puts in force what was read, here and, as far as they have the same files, in the other replicas.
///
/// # Errors
/// When the database fails; if nobody could be told, nothing is in force.
pub(crate) async fn reload(state: &State, reading: Option<Reading>) -> Result<Reloaded, DbError> {
    let loaded = match reading {
        Some(reading) => {
            let _telling = state.definitions.telling.lock().await;
            let me = ReplicaRow { digest: reading.digest.clone(), ..this(state, None) };
            let announce = move |conn: &mut _| store::announce_definitions(conn, &me);
            state.db.write(announce).await?;
            state.definitions.put_in_force(reading)
        }
        None => state.definitions.current(),
    };
    let deadline = Instant::now() + WAIT;
    loop {
        let reloaded = Reloaded { loaded: Arc::clone(&loaded), replicas: replicas(state).await? };
        if reloaded.is_everywhere() || Instant::now() >= deadline {
            return Ok(reloaded);
        }
        tokio::time::sleep(POLL).await;
    }
}
