//! Scripts: one row each, listed by name and id.

use super::StoreError;
use crate::model::{Change, Refused, Script};
use crate::schema::scripts;
use diesel::prelude::*;
use shared::db::DbConn;

/// Rows looked at for one page of a list.
const PAGE_ROWS: i64 = 1024;

/// Bytes of texts that one page of a list holds, unless a single script is larger.
const PAGE_BYTES: i64 = 2 << 20;

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = scripts)]
struct ScriptRow {
    uuid: String,
    name: String,
    script: String,
    config: String,
    metadata: String,
    revision: i64,
    bytes: i64,
}

impl From<ScriptRow> for Script {
    fn from(row: ScriptRow) -> Self {
        let ScriptRow { uuid, name, script, config, metadata, revision, bytes: _ } = row;
        Self { uuid, name, script, config, metadata, revision }
    }
}

impl From<&Script> for ScriptRow {
    fn from(script: &Script) -> Self {
        let Script { uuid, name, script: text, config, metadata, revision } = script.clone();
        let bytes = i64::try_from(script.bytes()).unwrap_or(i64::MAX);
        Self { uuid, name, script: text, config, metadata, revision, bytes }
    }
}

/// A place in the list: name and id of the last script seen.
pub type After = (String, String);

/// Keys and sizes of the scripts that follow `after` by name, then id.
fn following(conn: &mut DbConn, after: Option<&After>) -> Result<Vec<(String, String, i64)>, StoreError> {
    let mut query = scripts::table.select((scripts::name, scripts::uuid, scripts::bytes)).into_boxed();
    if let Some((name, uuid)) = after {
        let further = scripts::name.eq(name).and(scripts::uuid.gt(uuid));
        query = query.filter(scripts::name.ge(name).and(scripts::name.gt(name).or(further)));
    }
    Ok(query.order((scripts::name, scripts::uuid)).limit(PAGE_ROWS).load(conn)?)
}

/// One page of the keys that follow `after`; empty at the end.
///
/// # Errors
/// When the database fails.
pub fn list_keys(conn: &mut DbConn, after: Option<&After>) -> Result<Vec<After>, StoreError> {
    Ok(following(conn, after)?.into_iter().map(|(name, uuid, _)| (name, uuid)).collect())
}

/// One page of the scripts that follow `after` by name, then id, and the place to go on from: none at the end.
///
/// A page may be short or even empty before the end, when scripts are removed meanwhile.
///
/// # Errors
/// When the database fails.
pub fn list_scripts(
    conn: &mut DbConn,
    after: Option<&After>,
) -> Result<(Vec<Script>, Option<After>), StoreError> {
    let (mut ids, mut last, mut sum) = (Vec::new(), None, 0_i64);
    for (name, uuid, bytes) in following(conn, after)? {
        sum = sum.saturating_add(bytes);
        if sum > PAGE_BYTES && last.is_some() {
            break;
        }
        ids.push(uuid.clone());
        last = Some((name, uuid));
    }
    let query = scripts::table.filter(scripts::uuid.eq_any(ids)).order((scripts::name, scripts::uuid));
    let rows: Vec<ScriptRow> = query.select(ScriptRow::as_select()).load(conn)?;
    Ok((rows.into_iter().map(Script::from).collect(), last))
}

/// One script.
///
/// # Errors
/// [`StoreError::NotFound`], or when the database fails.
pub fn find_script(conn: &mut DbConn, uuid: &str) -> Result<Script, StoreError> {
    let row = scripts::table.find(uuid).select(ScriptRow::as_select()).first(conn).optional()?;
    row.map(Script::from).ok_or_else(|| not_found(uuid))
}

/// Stores a new script.
///
/// # Errors
/// When the database fails.
pub fn put_script(conn: &mut DbConn, script: &Script) -> Result<(), StoreError> {
    diesel::insert_into(scripts::table).values(ScriptRow::from(script)).execute(conn)?;
    Ok(())
}

/// Changes name, text or config of a script. `most` bounds its size in bytes, `is_expected` the revisions it may be at.
///
/// # Errors
/// [`StoreError::NotFound`], [`StoreError::Changed`], [`StoreError::Refused`], or when the database fails.
pub fn edit_script(
    conn: &mut DbConn,
    uuid: &str,
    change: Change,
    most: usize,
    is_expected: impl Fn(i64) -> bool,
) -> Result<(), StoreError> {
    edit(conn, uuid, most, is_expected, |script| {
        script.name = change.name.unwrap_or_else(|| std::mem::take(&mut script.name));
        script.script = change.script.unwrap_or_else(|| std::mem::take(&mut script.script));
        script.config = change.config.unwrap_or_else(|| std::mem::take(&mut script.config));
        Ok(())
    })
}

/// Replaces the metadata of a script by what `change` makes of it.
///
/// # Errors
/// As [`edit_script`], and what `change` answers.
pub fn edit_metadata(
    conn: &mut DbConn,
    uuid: &str,
    most: usize,
    is_expected: impl Fn(i64) -> bool,
    change: impl FnOnce(&str) -> Result<String, StoreError>,
) -> Result<(), StoreError> {
    edit(conn, uuid, most, is_expected, |script| {
        script.metadata = change(&script.metadata)?;
        Ok(())
    })
}

/// Reads, changes and writes a script in one transaction. Counting the revision up first takes the row's lock, so
/// that of two changes at once none is lost.
fn edit(
    conn: &mut DbConn,
    uuid: &str,
    most: usize,
    is_expected: impl Fn(i64) -> bool,
    change: impl FnOnce(&mut Script) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    conn.transaction(|conn| {
        let row = scripts::table.find(uuid);
        diesel::update(row).set(scripts::revision.eq(scripts::revision + 1)).execute(conn)?;
        let mut script = find_script(conn, uuid)?;
        if !is_expected(script.revision - 1) {
            return Err(StoreError::Changed);
        }
        change(&mut script)?;
        if script.bytes() > most {
            return Err(Refused::TooLarge(most).into());
        }
        let new = ScriptRow::from(&script);
        let texts = (
            scripts::script.eq(new.script),
            scripts::config.eq(new.config),
            scripts::metadata.eq(new.metadata),
        );
        let keys = (scripts::name.eq(new.name), scripts::bytes.eq(new.bytes));
        diesel::update(row).set((texts, keys)).execute(conn)?;
        Ok(())
    })
}

/// Removes a script at one of the expected revisions.
///
/// # Errors
/// [`StoreError::NotFound`], [`StoreError::Changed`], or when the database fails.
pub fn delete_script(
    conn: &mut DbConn,
    uuid: &str,
    is_expected: impl Fn(i64) -> bool,
) -> Result<(), StoreError> {
    conn.transaction(|conn| {
        let row = scripts::table.find(uuid);
        diesel::update(row).set(scripts::revision.eq(scripts::revision + 1)).execute(conn)?;
        let revision: Option<i64> = row.select(scripts::revision).first(conn).optional()?;
        if !is_expected(revision.ok_or_else(|| not_found(uuid))? - 1) {
            return Err(StoreError::Changed);
        }
        diesel::delete(row).execute(conn)?;
        Ok(())
    })
}

fn not_found(uuid: &str) -> StoreError {
    StoreError::NotFound(format!("script {uuid}"))
}
