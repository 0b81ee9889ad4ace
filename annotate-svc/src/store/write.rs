//! The one transaction that stores, changes and deletes annotations: rows, words, history, counters and answers of
//! keyed writes, or nothing.

use super::DbError;
use super::counts::Counts;
use super::find::{find_annotation, lock_annotation};
use super::history::{Archived, archive};
use super::insert::{NewRow, insert};
use super::keys::{Claim, claim, release, save_answer};
use super::update::{delete, update};
use crate::model::{Annotation, Draft, Stored};
use diesel::Connection;
use shared::db::{DbConn, Sql, WRITING};
use uuid::Uuid;

/// What a write does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Stores new annotations, all or none.
    Create(Vec<Annotation>),
    /// Replaces the annotation of this id.
    Replace(Annotation),
    /// Changes some parts of an annotation.
    Patch(Uuid, Draft),
    /// Deletes an annotation; its history stays.
    Delete(Uuid),
    /// Brings a deleted annotation back.
    Restore(Uuid),
}

/// The versions that a client lets its write change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// Any that exists.
    Any,
    /// One of these.
    Versions(Vec<i64>),
}

/// Makes a write happen once, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The client's name for the write.
    pub name: String,
    /// Hash of the request: the same key with another request is refused.
    pub fingerprint: Vec<u8>,
}

/// One client's write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// What it does.
    pub change: Change,
    /// Who asked for it.
    pub by: String,
    /// When, in microseconds since 1970.
    pub at: i64,
    /// What the client knows about the version it changes.
    pub guard: Option<Guard>,
    /// The client's key.
    pub key: Option<IdempotencyKey>,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The annotations as they are now; for a deletion as it was.
    pub stored: Vec<Stored>,
    /// It had been done before, with the same key.
    pub is_replay: bool,
}

/// Why a write was not done. Nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such annotation.
    NotFound(Uuid),
    /// The annotation has another version than the client allows.
    OtherVersion(i64),
    /// A patch would make it end before it starts.
    EndsBeforeStart,
    /// The annotation to bring back is not deleted.
    NotDeleted(Uuid),
    /// The key was used for another request.
    KeyReused,
}

type Outcome = Result<Written, Refusal>;

/// Does a group of writes in one transaction. Each is done whole or refused; a refusal does not touch the others.
///
/// `shard` chooses the counters to write; callers that commit at the same time use different ones, 0 to 31.
///
/// # Errors
/// When the database fails; nothing of the group is stored then.
pub fn apply(conn: &mut DbConn, writes: &[Write], shard: i16) -> Result<Vec<Outcome>, DbError> {
    conn.transaction(|conn| {
        let change = next_change(conn)?;
        let mut batch = Batch { conn, change, counts: Counts::default() };
        let mut outcomes = batch.create_all(writes)?;
        for place in order(writes) {
            if let (Some(write), Some(outcome)) = (writes.get(place), outcomes.get_mut(place)) {
                *outcome = Some(batch.apply(write)?);
            }
        }
        batch.counts.save(batch.conn, shard.into())?;
        let unknown = || Err(Refusal::NotFound(Uuid::nil()));
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(unknown)).collect())
    })
}

/// The number of this transaction. On SQLite this is the statement that makes it a writing one.
fn next_change(conn: &mut DbConn) -> Result<i64, DbError> {
    let sql = match conn {
        DbConn::Postgres(_) => Sql::new(&format!("SELECT {WRITING} AS number")),
        DbConn::Sqlite(_) => Sql::new("UPDATE commits SET last = last + 1 RETURNING last AS number"),
    };
    sql.number(conn)
}

/// The writes that are done one after the other: those with a key by key, then the others by id, so that concurrent
/// transactions wait for each other instead of locking each other out.
fn order(writes: &[Write]) -> Vec<usize> {
    let is_plain_create = |write: &Write| matches!(write.change, Change::Create(_)) && write.key.is_none();
    let mut places: Vec<_> = writes.iter().enumerate().filter(|(_, write)| !is_plain_create(write)).collect();
    places.sort_by_key(|(_, write)| {
        let key = write.key.as_ref().map(|key| (write.by.as_str(), key.name.as_str()));
        (key.is_none(), key, write.change.id())
    });
    places.into_iter().map(|(place, _)| place).collect()
}

impl Change {
    fn id(&self) -> Uuid {
        match self {
            Self::Create(_) => Uuid::nil(),
            Self::Replace(annotation) => annotation.id,
            Self::Patch(id, _) | Self::Delete(id) | Self::Restore(id) => *id,
        }
    }
}

struct Batch<'c> {
    conn: &'c mut DbConn,
    change: i64,
    counts: Counts,
}

impl Batch<'_> {
    /// Does all creations without a key at once.
    fn create_all(&mut self, writes: &[Write]) -> Result<Vec<Option<Outcome>>, DbError> {
        let new = |write: &Write| {
            let Change::Create(annotations) = &write.change else { return None };
            write.key.is_none().then_some(annotations.len())
        };
        let plain: Vec<&Write> = writes.iter().filter(|write| new(write).is_some()).collect();
        let mut created = self.create(&plain)?.into_iter();
        let mut outcome =
            |size| Ok(Written { stored: created.by_ref().take(size).collect(), is_replay: false });
        Ok(writes.iter().map(|write| new(write).map(&mut outcome)).collect())
    }

    fn create(&mut self, writes: &[&Write]) -> Result<Vec<Stored>, DbError> {
        let mut rows = Vec::new();
        for write in writes {
            if let Change::Create(annotations) = &write.change {
                rows.extend(annotations.iter().map(|annotation| self.row(annotation, write, 1, "create")));
            }
        }
        self.insert(&rows)
    }

    fn row<'a>(
        &self,
        annotation: &'a Annotation,
        write: &'a Write,
        version: i64,
        action: &'static str,
    ) -> NewRow<'a> {
        NewRow { annotation, seq: None, version, change: self.change, action, at: write.at, by: &write.by }
    }

    fn insert(&mut self, rows: &[NewRow<'_>]) -> Result<Vec<Stored>, DbError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let numbers = insert(self.conn, rows)?;
        let stored = |(row, seq): (&NewRow<'_>, i64)| {
            self.counts.add(&row.annotation.texts, 1);
            Stored { annotation: row.annotation.clone(), seq, version: row.version }
        };
        Ok(rows.iter().zip(numbers).map(stored).collect())
    }

    fn apply(&mut self, write: &Write) -> Result<Outcome, DbError> {
        let Some(key) = &write.key else { return self.change(write) };
        match claim(self.conn, &write.by, key, write.at)? {
            Claim::Repeated(stored) => return Ok(Ok(Written { stored, is_replay: true })),
            Claim::Other => return Ok(Err(Refusal::KeyReused)),
            Claim::New => {}
        }
        let outcome = self.change(write)?;
        match &outcome {
            Ok(written) => save_answer(self.conn, &write.by, key, &written.stored)?,
            // A refused write may be sent again under its key.
            Err(_) => release(self.conn, &write.by, key)?,
        }
        Ok(outcome)
    }

    fn change(&mut self, write: &Write) -> Result<Outcome, DbError> {
        let stored = match &write.change {
            Change::Create(_) => Ok(self.create(&[write])?),
            Change::Replace(annotation) => self.alter(write, annotation.id, |old| {
                *old = annotation.clone();
                Ok(())
            })?,
            Change::Patch(id, draft) => self.alter(write, *id, |old| {
                draft.clone().patch(old).map_err(|_ends| Refusal::EndsBeforeStart)
            })?,
            Change::Delete(id) => self.delete(write, *id)?,
            Change::Restore(id) => self.restore(write, *id)?,
        };
        Ok(stored.map(|stored| Written { stored, is_replay: false }))
    }

    /// The annotation as it is, locked, if the client's guard lets it be changed.
    fn guarded(&mut self, write: &Write, id: Uuid) -> Result<Result<Archived, Refusal>, DbError> {
        let Some(current) = lock_annotation(self.conn, id)? else { return Ok(Err(Refusal::NotFound(id))) };
        let version = current.stored.version;
        Ok(match &write.guard {
            Some(Guard::Versions(versions)) if !versions.contains(&version) => {
                Err(Refusal::OtherVersion(version))
            }
            _ => Ok(current),
        })
    }

    fn alter(
        &mut self,
        write: &Write,
        id: Uuid,
        alter: impl FnOnce(&mut Annotation) -> Result<(), Refusal>,
    ) -> Result<Result<Vec<Stored>, Refusal>, DbError> {
        let current = match self.guarded(write, id)? {
            Ok(current) => current,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut annotation = current.stored.annotation.clone();
        if let Err(refusal) = alter(&mut annotation) {
            return Ok(Err(refusal));
        }
        archive(self.conn, &current)?;
        let seq = current.stored.seq;
        let row = self.row(&annotation, write, current.stored.version + 1, "update");
        update(self.conn, seq, &row)?;
        self.counts.add(&current.stored.annotation.texts, -1);
        self.counts.add(&annotation.texts, 1);
        let version = row.version;
        Ok(Ok(vec![Stored { annotation, seq, version }]))
    }

    fn delete(&mut self, write: &Write, id: Uuid) -> Result<Result<Vec<Stored>, Refusal>, DbError> {
        let mut current = match self.guarded(write, id)? {
            Ok(current) => current,
            Err(refusal) => return Ok(Err(refusal)),
        };
        archive(self.conn, &current)?;
        delete(self.conn, &current.stored)?;
        self.counts.add(&current.stored.annotation.texts, -1);
        current.stored.version += 1;
        let deletion = Archived {
            change: self.change,
            action: "delete".to_owned(),
            at: write.at,
            by: write.by.clone(),
            stored: current.stored,
        };
        archive(self.conn, &deletion)?;
        Ok(Ok(vec![deletion.stored]))
    }

    fn restore(&mut self, write: &Write, id: Uuid) -> Result<Result<Vec<Stored>, Refusal>, DbError> {
        if find_annotation(self.conn, id)?.is_some() {
            return Ok(Err(Refusal::NotDeleted(id)));
        }
        let Some(last) = super::history::lock_last(self.conn, id)? else {
            return Ok(Err(Refusal::NotFound(id)));
        };
        let version = last.stored.version + 1;
        let mut row = self.row(&last.stored.annotation, write, version, "restore");
        row.seq = Some(last.stored.seq);
        Ok(Ok(self.insert(&[row])?))
    }
}
