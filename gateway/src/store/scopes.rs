//! Registered scopes.

use super::{append, list_text, read_list};
use crate::model::scope::MOST_SCOPES;
use crate::model::{Deed, Scope};
use crate::schema::scopes;
use diesel::prelude::*;
use shared::db::{DbConn, DbError};
use shared::on_backend;

#[derive(Queryable, Insertable, Selectable)]
#[diesel(table_name = scopes)]
struct ScopeRow {
    name: String,
    description: String,
    is_default: bool,
    permissions: String,
}

/// All scopes, by name; their number is bounded.
///
/// # Errors
/// What the database says.
pub(crate) fn list_scopes(conn: &mut DbConn) -> Result<Vec<Scope>, DbError> {
    let rows = scopes::table.select(ScopeRow::as_select()).order(scopes::name).load(conn)?;
    let scope = |row: ScopeRow| Scope {
        name: row.name,
        description: row.description,
        is_default: row.is_default,
        permissions: read_list(&row.permissions),
    };
    Ok(rows.into_iter().map(scope).collect())
}

/// Registers a scope, or changes one; tells whether there was room for it.
///
/// # Errors
/// What the database says.
pub(crate) fn put_scope(conn: &mut DbConn, scope: Scope, deed: Deed) -> Result<bool, DbError> {
    conn.transaction(|conn| {
        let others: i64 = scopes::table.filter(scopes::name.ne(&scope.name)).count().get_result(conn)?;
        if usize::try_from(others).is_ok_and(|others| others >= MOST_SCOPES) {
            return Ok(false);
        }
        let row = ScopeRow {
            permissions: list_text(&scope.permissions),
            name: scope.name,
            description: scope.description,
            is_default: scope.is_default,
        };
        on_backend!(conn, c => diesel::insert_into(scopes::table)
            .values(&row)
            .on_conflict(scopes::name)
            .do_update()
            .set((
                scopes::description.eq(&row.description),
                scopes::is_default.eq(row.is_default),
                scopes::permissions.eq(&row.permissions),
            ))
            .execute(c))?;
        append(conn, deed)?;
        Ok(true)
    })
}

/// Removes a scope; tokens that have it lose what it allowed. Tells whether there was one.
///
/// # Errors
/// What the database says.
pub(crate) fn delete_scope(conn: &mut DbConn, name: &str, deed: Deed) -> Result<bool, DbError> {
    conn.transaction(|conn| {
        let is_gone = diesel::delete(scopes::table.find(name)).execute(conn)? > 0;
        if is_gone {
            append(conn, deed)?;
        }
        Ok(is_gone)
    })
}
