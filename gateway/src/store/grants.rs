//! Permissions of holders, and the roles they have.

use super::append;
use super::holders::{keep_holder, lock_holder};
use crate::model::Deed;
use crate::model::holder::{MOST_GRANT_BYTES, MOST_GRANTS, MOST_ROLES};
use crate::schema::{grants, holders, memberships};
use diesel::prelude::*;
use shared::db::{DbConn, DbError};
use shared::on_backend;

#[cfg(test)]
mod tests;

/// A holder's id and the id of a role it has.
pub(crate) type MemberRow = (String, String);

/// What became of a wish to add something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is there now, or was already.
    Done,
    /// The holder has as much as it may have.
    Full,
    /// The holder, or what it was to get, was removed meanwhile.
    Gone,
}

/// The holder's own patterns.
///
/// # Errors
/// What the database says.
pub(crate) fn grants_of(conn: &mut DbConn, holder: &str) -> Result<Vec<String>, DbError> {
    let own = grants::table.filter(grants::holder.eq(holder)).select(grants::pattern);
    Ok(own.order(grants::pattern).load(conn)?)
}

/// Patterns of all holders whose ids lie between these, with the ids.
///
/// # Errors
/// What the database says.
pub(crate) fn grants_between(
    conn: &mut DbConn,
    first: &str,
    last: &str,
) -> Result<Vec<(String, String)>, DbError> {
    let rows = grants::table.filter(grants::holder.ge(first)).filter(grants::holder.le(last));
    let rows = rows.select((grants::holder, grants::pattern));
    Ok(rows.order((grants::holder, grants::pattern)).load(conn)?)
}

/// Roles of all holders whose ids lie between these.
///
/// # Errors
/// What the database says.
pub(crate) fn members_between(conn: &mut DbConn, first: &str, last: &str) -> Result<Vec<MemberRow>, DbError> {
    let rows = memberships::table.filter(memberships::holder.ge(first)).filter(memberships::holder.le(last));
    let rows = rows.select((memberships::holder, memberships::role));
    Ok(rows.order((memberships::holder, memberships::role)).load(conn)?)
}

/// Ids of the holder's roles.
///
/// # Errors
/// What the database says.
pub(crate) fn roles_of(conn: &mut DbConn, holder: &str) -> Result<Vec<String>, DbError> {
    let own = memberships::table.filter(memberships::holder.eq(holder)).select(memberships::role);
    Ok(own.order(memberships::role).load(conn)?)
}

/// Names of the holder's roles, and every pattern of the holder and of the roles.
///
/// # Errors
/// What the database says.
pub(super) fn reach(conn: &mut DbConn, holder: &str) -> Result<(Vec<String>, Vec<String>), DbError> {
    let roles = holders::table
        .inner_join(memberships::table.on(memberships::role.eq(holders::id)))
        .filter(memberships::holder.eq(holder))
        .select(holders::name)
        .order(holders::name)
        .load(conn)?;
    let of_roles = grants::table
        .inner_join(memberships::table.on(memberships::role.eq(grants::holder)))
        .filter(memberships::holder.eq(holder))
        .select(grants::pattern)
        .load::<String>(conn)?;
    let mut patterns = grants_of(conn, holder)?;
    patterns.extend(of_roles);
    patterns.sort_unstable();
    patterns.dedup();
    Ok((roles, patterns))
}

/// Grants a pattern.
///
/// # Errors
/// What the database says.
pub(crate) fn grant(conn: &mut DbConn, holder: &str, pattern: &str, deed: Deed) -> Result<Change, DbError> {
    conn.transaction(|conn| {
        if lock_holder(conn, holder)?.is_none() {
            return Ok(Change::Gone);
        }
        let own = grants_of(conn, holder)?;
        if own.iter().any(|held| held == pattern) {
            return Ok(Change::Done);
        }
        let bytes: usize = own.iter().map(String::len).sum();
        if own.len() >= MOST_GRANTS || bytes + pattern.len() > MOST_GRANT_BYTES {
            return Ok(Change::Full);
        }
        let row = (grants::holder.eq(holder), grants::pattern.eq(pattern));
        on_backend!(conn, c => diesel::insert_into(grants::table)
            .values(row)
            .on_conflict_do_nothing()
            .execute(c))?;
        append(conn, deed)?;
        Ok(Change::Done)
    })
}

/// Takes a pattern back; tells whether it was held.
///
/// # Errors
/// What the database says.
pub(crate) fn revoke(conn: &mut DbConn, holder: &str, pattern: &str, deed: Deed) -> Result<bool, DbError> {
    conn.transaction(|conn| {
        let row = grants::table.filter(grants::holder.eq(holder)).filter(grants::pattern.eq(pattern));
        let is_gone = diesel::delete(row).execute(conn)? > 0;
        if is_gone {
            append(conn, deed)?;
        }
        Ok(is_gone)
    })
}

/// Gives a role.
///
/// # Errors
/// What the database says.
pub(crate) fn join_role(conn: &mut DbConn, holder: &str, role: &str, deed: Deed) -> Result<Change, DbError> {
    conn.transaction(|conn| {
        if lock_holder(conn, holder)?.is_none() || !keep_holder(conn, role)? {
            return Ok(Change::Gone);
        }
        let own = roles_of(conn, holder)?;
        if own.iter().any(|held| held == role) {
            return Ok(Change::Done);
        }
        if own.len() >= MOST_ROLES {
            return Ok(Change::Full);
        }
        let row = (memberships::holder.eq(holder), memberships::role.eq(role));
        on_backend!(conn, c => diesel::insert_into(memberships::table)
            .values(row)
            .on_conflict_do_nothing()
            .execute(c))?;
        append(conn, deed)?;
        Ok(Change::Done)
    })
}

/// Takes a role away; tells whether the holder had it.
///
/// # Errors
/// What the database says.
pub(crate) fn leave_role(conn: &mut DbConn, holder: &str, role: &str, deed: Deed) -> Result<bool, DbError> {
    conn.transaction(|conn| {
        let row =
            memberships::table.filter(memberships::holder.eq(holder)).filter(memberships::role.eq(role));
        let is_gone = diesel::delete(row).execute(conn)? > 0;
        if is_gone {
            append(conn, deed)?;
        }
        Ok(is_gone)
    })
}
