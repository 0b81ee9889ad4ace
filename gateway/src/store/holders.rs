//! Users, clients and roles.

use super::{Change, append, instant};
use crate::model::holder::MOST_URIS;
use crate::model::{Deed, Holder, Identity, Kind};
use crate::schema::{applied_settings, grants, holders, oauth_tokens, redirect_uris};
use diesel::prelude::*;
use shared::db::{DbConn, DbError};
use shared::on_backend;

#[derive(Queryable, Insertable, Selectable)]
#[diesel(table_name = holders)]
struct HolderRow {
    id: String,
    kind: String,
    name: String,
    secret_hash: Option<String>,
    user_id: Option<String>,
    project_id: Option<String>,
    created_at: i64,
}

/// Which holders to list.
#[derive(Debug, Clone)]
pub(crate) struct HolderFilter {
    /// Of this kind.
    pub(crate) kind: Kind,
    /// With this name.
    pub(crate) name: Option<String>,
    /// With an id after this one.
    pub(crate) after: String,
    /// Most rows.
    pub(crate) limit: i64,
}

/// Makes a holder with its first permissions; tells whether the name was free.
///
/// # Errors
/// What the database says.
pub(crate) fn create_holder(
    conn: &mut DbConn,
    holder: Holder,
    patterns: &[String],
    deed: Deed,
) -> Result<bool, DbError> {
    conn.transaction(|conn| {
        let id = holder.id.clone();
        let row = HolderRow::from(holder);
        let made = on_backend!(conn, c => diesel::insert_into(holders::table)
            .values(&row)
            .on_conflict((holders::kind, holders::name))
            .do_nothing()
            .execute(c))?;
        if made == 0 {
            return Ok(false);
        }
        for pattern in patterns {
            let row = (grants::holder.eq(&id), grants::pattern.eq(pattern));
            diesel::insert_into(grants::table).values(row).execute(conn)?;
        }
        append(conn, deed)?;
        Ok(true)
    })
}

/// The holder with this id.
///
/// # Errors
/// What the database says.
pub(crate) fn find_holder(conn: &mut DbConn, kind: Kind, id: &str) -> Result<Option<Holder>, DbError> {
    let row = holders::table.find(id).filter(holders::kind.eq(kind.name())).select(HolderRow::as_select());
    Ok(row.first(conn).optional()?.and_then(into_holder))
}

/// The holder with this name.
///
/// # Errors
/// What the database says.
pub(crate) fn find_named(conn: &mut DbConn, kind: Kind, name: &str) -> Result<Option<Holder>, DbError> {
    let row = holders::table.filter(holders::kind.eq(kind.name())).filter(holders::name.eq(name));
    Ok(row.select(HolderRow::as_select()).first(conn).optional()?.and_then(into_holder))
}

/// Holders in the order of their ids.
///
/// # Errors
/// What the database says.
pub(crate) fn list_holders(conn: &mut DbConn, filter: &HolderFilter) -> Result<Vec<Holder>, DbError> {
    let mut query = holders::table
        .filter(holders::kind.eq(filter.kind.name()))
        .filter(holders::id.gt(&filter.after))
        .select(HolderRow::as_select())
        .into_boxed();
    if let Some(name) = &filter.name {
        query = query.filter(holders::name.eq(name));
    }
    let rows = query.order(holders::id).limit(filter.limit).load(conn)?;
    Ok(rows.into_iter().filter_map(into_holder).collect())
}

/// Removes a holder with all it has, logins too, and a role from everybody who has it; tells whether there was one.
///
/// # Errors
/// What the database says.
pub(crate) fn delete_holder(conn: &mut DbConn, id: &str, deed: Deed) -> Result<bool, DbError> {
    conn.transaction(|conn| {
        let known: Option<(String, String)> =
            holders::table.find(id).select((holders::kind, holders::name)).first(conn).optional()?;
        let Some((kind, name)) = known else { return Ok(false) };
        diesel::delete(holders::table.find(id)).execute(conn)?;
        if kind == Kind::Role.name() {
            // Tokens have roles by name: a later role of that name is another one.
            super::tokens::leave_role(conn, &name)?;
        }
        append(conn, deed)?;
        Ok(true)
    })
}

/// Locks a holder to the end of the transaction, so that nobody changes the secret or ends logins meanwhile, and nobody
/// adds a login or anything else that a holder has so many of; answers with the hash of the secret, `None` when there is
/// no such holder. Comes before everything else of that holder is looked at: on PostgreSQL a statement sees what was there
/// when it began.
///
/// # Errors
/// What the database says.
pub(super) fn lock_holder(conn: &mut DbConn, id: &str) -> Result<Option<Option<String>>, DbError> {
    let secret = holders::table.find(id).select(holders::secret_hash);
    Ok(match conn {
        DbConn::Postgres(conn) => secret.for_no_key_update().first(conn).optional()?,
        // There is one writer.
        DbConn::Sqlite(conn) => secret.first(conn).optional()?,
    })
}

/// Keeps a holder from being removed until this transaction ends; tells whether it is there.
pub(super) fn keep_holder(conn: &mut DbConn, id: &str) -> Result<bool, DbError> {
    let own = holders::table.find(id).select(holders::id);
    let found: Option<String> = match conn {
        DbConn::Postgres(conn) => own.for_key_share().first(conn).optional()?,
        // There is one writer.
        DbConn::Sqlite(conn) => own.first(conn).optional()?,
    };
    Ok(found.is_some())
}

/// Sets a password or client secret; everybody who was logged in by the old one is out.
///
/// # Errors
/// What the database says.
pub(crate) fn put_secret(conn: &mut DbConn, id: &str, hash: &str, deed: Deed) -> Result<bool, DbError> {
    conn.transaction(|conn| {
        // The update takes the holder's lock, as whoever adds a login does: none comes after those that are removed here.
        let is_set =
            diesel::update(holders::table.find(id)).set(holders::secret_hash.eq(hash)).execute(conn)? > 0;
        if is_set {
            let logins = oauth_tokens::table.filter(oauth_tokens::owner.eq(id));
            diesel::delete(logins).execute(conn)?;
            append(conn, deed)?;
        }
        Ok(is_set)
    })
}

/// The holder as services see him.
///
/// # Errors
/// What the database says.
pub(crate) fn identity_of(conn: &mut DbConn, holder: Holder) -> Result<Identity, DbError> {
    let (roles, permissions) = super::grants::reach(conn, &holder.id)?;
    Ok(Identity::of_holder(holder, roles, permissions))
}

/// A client's redirect URIs with their ids.
///
/// # Errors
/// What the database says.
pub(crate) fn uris_of(conn: &mut DbConn, client: &str) -> Result<Vec<(String, String)>, DbError> {
    let uris = redirect_uris::table.filter(redirect_uris::client.eq(client));
    Ok(uris.select((redirect_uris::id, redirect_uris::uri)).order(redirect_uris::uri).load(conn)?)
}

/// Adds a redirect URI; tells whether there was room for it. One that is there already stays.
///
/// # Errors
/// What the database says.
pub(crate) fn add_uri(conn: &mut DbConn, client: &str, uri: &str, deed: Deed) -> Result<Change, DbError> {
    conn.transaction(|conn| {
        if lock_holder(conn, client)?.is_none() {
            return Ok(Change::Gone);
        }
        let known = uris_of(conn, client)?;
        if known.iter().any(|(_, own)| own == uri) {
            return Ok(Change::Done);
        }
        if known.len() >= MOST_URIS {
            return Ok(Change::Full);
        }
        let id = uuid::Uuid::new_v4().to_string();
        let row = (redirect_uris::id.eq(id), redirect_uris::client.eq(client), redirect_uris::uri.eq(uri));
        on_backend!(conn, c => diesel::insert_into(redirect_uris::table)
            .values(row)
            .on_conflict_do_nothing()
            .execute(c))?;
        append(conn, deed)?;
        Ok(Change::Done)
    })
}

/// Removes a redirect URI by its id; tells whether there was one.
///
/// # Errors
/// What the database says.
pub(crate) fn remove_uri(conn: &mut DbConn, client: &str, id: &str, deed: Deed) -> Result<bool, DbError> {
    conn.transaction(|conn| {
        let row = redirect_uris::table.find(id).filter(redirect_uris::client.eq(client));
        let is_gone = diesel::delete(row).execute(conn)? > 0;
        if is_gone {
            append(conn, deed)?;
        }
        Ok(is_gone)
    })
}

/// Hash of the secret of the settings that was last taken over.
///
/// # Errors
/// What the database says.
pub(crate) fn applied_setting(conn: &mut DbConn, name: &str) -> Result<Option<String>, DbError> {
    let row = applied_settings::table.find(name).select(applied_settings::hash);
    Ok(row.first(conn).optional()?)
}

/// Remembers which secret of the settings was taken over.
///
/// # Errors
/// What the database says.
pub(crate) fn apply_setting(conn: &mut DbConn, name: &str, hash: &str) -> Result<(), DbError> {
    let row = (applied_settings::name.eq(name), applied_settings::hash.eq(hash));
    on_backend!(conn, c => diesel::insert_into(applied_settings::table)
        .values(row)
        .on_conflict(applied_settings::name)
        .do_update()
        .set(applied_settings::hash.eq(hash))
        .execute(c))?;
    Ok(())
}

impl From<Holder> for HolderRow {
    fn from(holder: Holder) -> Self {
        Self {
            id: holder.id,
            kind: holder.kind.name().to_owned(),
            name: holder.name,
            secret_hash: holder.secret_hash,
            user_id: holder.user_id,
            project_id: holder.project_id,
            created_at: holder.created_at.timestamp_micros(),
        }
    }
}

/// `None` for a kind that a later version has added.
fn into_holder(row: HolderRow) -> Option<Holder> {
    Some(Holder {
        kind: Kind::of(&row.kind)?,
        id: row.id,
        name: row.name,
        secret_hash: row.secret_hash,
        user_id: row.user_id,
        project_id: row.project_id,
        created_at: instant(row.created_at),
    })
}
