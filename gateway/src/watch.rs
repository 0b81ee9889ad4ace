//! Streams and websockets that are open: whoever is let in no more is cut off within a second.
//!
//! A request is judged when it comes; these go on for hours. So whoever has logged in is looked at again every half second,
//! together with all other streams of the same login. Ending a login, or changing what it may, writes into the log of what
//! was done, in one step with the change: as long as nothing of that kind is new there, a look costs one query however many
//! streams are open. Where something has changed in what a caller may, his streams are cut off too, since the service behind
//! goes by what it was told at the beginning; clients come back and go on where they were.
//!
//! Nobody can be asked again about the users of a trusted proxy, nor about who has named himself in a message to the service.

use crate::fault::Fault;
use crate::gateway::Gateway;
use crate::identity::{Accounts, Caller};
use crate::model::Proof;
use crate::store;
use chrono::{DateTime, Utc};
use shared::identity::Principal;
use shared::stop::Stop;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Time between two looks. With that of the queries it stays under a second.
const PERIOD: Duration = Duration::from_millis(500);

/// Logins that are looked up by one query at most: others wait for the connection.
const AT_ONCE: usize = 64;

/// Looks in a row that the store may fail; then everybody is cut off: who cannot be checked may have been revoked.
const BLIND_LOOKS: u32 = 20;

/// A login, and what it might do when the stream began.
type Key = (Proof, Arc<Principal>);

/// Everybody who has a stream.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    groups: HashMap<Key, Group>,
    next: u64,
}

/// The streams of one login.
#[derive(Debug)]
struct Group {
    number: u64,
    caller: Arc<Caller>,
    streams: usize,
    cut: Stop,
    /// Whether it has not been looked at yet: what was remembered when it came may have been too old.
    is_new: bool,
}

/// A stream that is watched; until dropped.
#[derive(Debug)]
pub(crate) struct Watching {
    watch: Arc<Watch>,
    key: Key,
    number: u64,
    cut: Stop,
}

impl Watch {
    /// Watches a stream of `caller`; `None` where he cannot be looked at again.
    #[must_use]
    pub(crate) fn add(self: &Arc<Self>, caller: &Arc<Caller>) -> Option<Watching> {
        let login = caller.login.as_ref()?;
        let key = (login.proof.clone(), Arc::clone(&caller.principal));
        let mut table = self.table();
        table.next += 1;
        let number = table.next;
        let group = table.groups.entry(key.clone()).or_insert_with(|| Group {
            number,
            caller: Arc::clone(caller),
            streams: 0,
            cut: Stop::default(),
            is_new: true,
        });
        group.streams += 1;
        // He may have been let in by what was remembered from before the last look.
        group.is_new = true;
        let (number, cut) = (group.number, group.cut.clone());
        drop(table);
        Some(Watching { watch: Arc::clone(self), key, number, cut })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_empty(&self) -> bool {
        self.table().groups.is_empty()
    }

    /// Whoever is to be looked at: all, or those who have come since the last look.
    fn due(&self, is_all: bool) -> Vec<(Key, u64, Arc<Caller>)> {
        let mut table = self.table();
        let due = table.groups.iter_mut().filter(|(_, group)| is_all || group.is_new);
        due.map(|(key, group)| {
            group.is_new = false;
            (key.clone(), group.number, Arc::clone(&group.caller))
        })
        .collect()
    }

    /// Cuts the group off, if it is still that one.
    fn cut(&self, key: &Key, number: u64) {
        let mut table = self.table();
        if table.groups.get(key).is_none_or(|group| group.number != number) {
            return;
        }
        if let Some(group) = table.groups.remove(key) {
            drop(table);
            log::info!(subject = key.1.subject, streams = group.streams; "streams of a login that has changed are cut off");
            group.cut.stop();
        }
    }

    fn cut_expired(&self, now: DateTime<Utc>) {
        let is_over = |group: &Group| {
            let login = group.caller.login.as_ref();
            login.and_then(|login| login.expires_at).is_some_and(|end| end <= now)
        };
        let table = self.table();
        let over = table.groups.iter().filter(|(_, group)| is_over(group));
        let over: Vec<(Key, u64)> = over.map(|(key, group)| (key.clone(), group.number)).collect();
        drop(table);
        over.iter().for_each(|(key, number)| self.cut(key, *number));
    }

    fn cut_all(&self) {
        let groups = std::mem::take(&mut self.table().groups);
        log::warn!(logins = groups.len(); "logins cannot be checked: all streams are cut off");
        groups.values().for_each(|group| group.cut.stop());
    }
}

impl Watching {
    /// Whether the stream is to end.
    #[must_use]
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.is_stopped()
    }

    /// Waits until the stream is to end; for ever, where nothing is watched.
    pub(crate) async fn ended(watching: Option<&Self>) {
        match watching {
            Some(watching) => watching.cut.stopped().await,
            None => std::future::pending().await,
        }
    }

    /// The signal that ends the stream.
    #[must_use]
    pub(crate) fn signal(&self) -> Stop {
        self.cut.clone()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut table = self.watch.table();
        let Some(group) = table.groups.get_mut(&self.key).filter(|group| group.number == self.number) else {
            return;
        };
        group.streams -= 1;
        if group.streams == 0 {
            table.groups.remove(&self.key);
        }
    }
}

/// What the last look has left.
#[derive(Debug, Default)]
struct Mind {
    /// How far the log was read; `None`: everybody is looked at.
    read_to: Option<i64>,
    blind_looks: u32,
}

/// Looks at everybody again and again, until `stop`.
pub(crate) async fn keep(gateway: Arc<Gateway>, stop: Stop) {
    let mut mind = Mind::default();
    loop {
        tokio::select! {
            () = stop.stopped() => return,
            () = tokio::time::sleep(PERIOD) => (),
        }
        if gateway.watch.is_empty() {
            mind = Mind::default();
            continue;
        }
        match look(&gateway.watch, &gateway.accounts, mind.read_to).await {
            Ok(read_to) => mind = Mind { read_to, blind_looks: 0 },
            // The cause is in the log. What was not looked at now is looked at the next time.
            Err(_away) => {
                mind = Mind { read_to: None, blind_looks: mind.blind_looks + 1 };
                if mind.blind_looks >= BLIND_LOOKS {
                    gateway.watch.cut_all();
                }
            }
        }
    }
}

/// One look; answers how far the log has been read.
async fn look(watch: &Watch, accounts: &Accounts, read_to: Option<i64>) -> Result<Option<i64>, Fault> {
    // The log comes first: a change that is made after this is seen the next time.
    let news = accounts.read(move |conn| store::audit_news(conn, read_to)).await?;
    let now = accounts.clock().now();
    watch.cut_expired(now);
    for due in watch.due(news.is_any).chunks(AT_ONCE) {
        let proofs: Vec<Proof> = due.iter().map(|((proof, _), ..)| proof.clone()).collect();
        let found = accounts.read(move |conn| store::find_logins(conn, &proofs, now)).await?;
        for ((key, number, caller), identity) in due.iter().zip(found) {
            if !identity.is_some_and(|identity| caller.is(&identity)) {
                watch.cut(key, *number);
            }
        }
    }
    Ok(news.end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Identity, Login};

    fn caller(token: &str, ends_at: Option<i64>) -> Arc<Caller> {
        let login = Login {
            proof: Proof::Access(token.to_owned()),
            expires_at: ends_at.and_then(|secs| DateTime::from_timestamp(secs, 0)),
        };
        let principal = Principal { subject: "user:ada#1".into(), ..Principal::default() };
        Arc::new(Caller::of(Identity { principal, holder: Some("1".into()), scope: None, login }))
    }

    fn watch() -> Arc<Watch> {
        Arc::default()
    }

    #[test]
    fn streams_of_one_login_are_looked_at_together_and_nothing_is_kept_of_them() {
        let watch = watch();
        let streams: Vec<_> = (0..1000).map(|_| watch.add(&caller("a", None)).unwrap()).collect();
        let other = watch.add(&caller("b", None)).unwrap();
        assert_eq!(watch.due(true).len(), 2);
        assert!(watch.due(false).is_empty(), "they have been looked at");
        let late = watch.add(&caller("b", None)).unwrap();
        assert_eq!(watch.due(false).len(), 1, "the cache may have let him in too late");
        drop((streams, other));
        assert_eq!(watch.due(true).len(), 1);
        drop(late);
        assert!(watch.is_empty());
    }

    #[test]
    fn a_stream_that_was_cut_off_does_not_count_among_those_that_came_after() {
        let watch = watch();
        let first = watch.add(&caller("a", None)).unwrap();
        let [(key, number, _)] = <[_; 1]>::try_from(watch.due(true)).unwrap();
        watch.cut(&key, number);
        let second = watch.add(&caller("a", None)).unwrap();
        watch.cut(&key, number);
        assert!(
            first.is_cut() && !second.is_cut(),
            "what was found out about the first is not about the second"
        );
        drop(first);
        assert!(!watch.is_empty());
        watch.cut_all();
        assert!(second.is_cut() && watch.is_empty());
    }

    #[test]
    fn whose_time_is_over_is_cut_off_without_a_question() {
        let watch = watch();
        let (short, long) =
            (watch.add(&caller("a", Some(10))).unwrap(), watch.add(&caller("b", Some(11))).unwrap());
        watch.cut_expired(DateTime::from_timestamp(10, 0).unwrap());
        assert!(short.is_cut() && !long.is_cut());
        let proxy = Arc::new(Caller::new(Principal { subject: "proxy:u".into(), ..Principal::default() }));
        assert!(watch.add(&proxy).is_none(), "nobody to ask");
    }
}
