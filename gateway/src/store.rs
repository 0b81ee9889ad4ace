//! All SQL of the gateway: users and API tokens.

use crate::model::{Token, User};
use crate::schema::{api_tokens, users};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use shared::db::{DbConn, DbError, Migrations, embed_migrations};
use shared::on_backend;

/// The gateway's tables.
pub const MIGRATIONS: Migrations = Migrations {
    sqlite: embed_migrations!("migrations/sqlite"),
    postgres: embed_migrations!("migrations/postgres"),
};

#[derive(Queryable, Insertable, Selectable)]
#[diesel(table_name = api_tokens)]
struct TokenRow {
    id: String,
    name: String,
    hash: String,
    roles: String,
    permissions: String,
    user_id: Option<String>,
    project_id: Option<String>,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

#[derive(Queryable, Insertable, Selectable)]
#[diesel(table_name = users)]
struct UserRow {
    name: String,
    password_hash: String,
    roles: String,
    permissions: String,
    created_at: i64,
}

/// Stores a token under the hash of its text; one that is stored already stays as it is, revoked or not.
///
/// # Errors
/// What the database says.
pub(crate) fn put_token(conn: &mut DbConn, token: Token, hash: String) -> Result<(), DbError> {
    let row = TokenRow {
        id: token.id,
        name: token.name,
        hash,
        roles: list_text(&token.roles),
        permissions: list_text(&token.permissions),
        user_id: token.user_id,
        project_id: token.project_id,
        created_at: token.created_at.timestamp_micros(),
        expires_at: token.expires_at.map(|time| time.timestamp_micros()),
        revoked_at: token.revoked_at.map(|time| time.timestamp_micros()),
    };
    on_backend!(conn, c => diesel::insert_into(api_tokens::table)
        .values(&row)
        .on_conflict(api_tokens::hash)
        .do_nothing()
        .execute(c))?;
    Ok(())
}

/// The token with this hash, good or not.
///
/// # Errors
/// What the database says.
pub(crate) fn find_token(conn: &mut DbConn, hash: &str) -> Result<Option<Token>, DbError> {
    let row = api_tokens::table.filter(api_tokens::hash.eq(hash)).select(TokenRow::as_select());
    Ok(row.first(conn).optional()?.map(Token::from))
}

/// Tokens in the order of their ids, those after `after`.
///
/// # Errors
/// What the database says.
pub(crate) fn list_tokens(conn: &mut DbConn, after: &str, limit: i64) -> Result<Vec<Token>, DbError> {
    let rows = api_tokens::table
        .filter(api_tokens::id.gt(after))
        .select(TokenRow::as_select())
        .order(api_tokens::id)
        .limit(limit)
        .load(conn)?;
    Ok(rows.into_iter().map(Token::from).collect())
}

/// Revokes a token; tells whether there is one. A second time changes nothing.
///
/// # Errors
/// What the database says.
pub(crate) fn revoke_token(conn: &mut DbConn, id: &str, now: DateTime<Utc>) -> Result<bool, DbError> {
    let unrevoked = api_tokens::table.filter(api_tokens::id.eq(id)).filter(api_tokens::revoked_at.is_null());
    if diesel::update(unrevoked).set(api_tokens::revoked_at.eq(now.timestamp_micros())).execute(conn)? > 0 {
        return Ok(true);
    }
    let known: i64 = api_tokens::table.filter(api_tokens::id.eq(id)).count().get_result(conn)?;
    Ok(known > 0)
}

/// The user of this name.
///
/// # Errors
/// What the database says.
pub(crate) fn find_user(conn: &mut DbConn, name: &str) -> Result<Option<User>, DbError> {
    let row = users::table.filter(users::name.eq(name)).select(UserRow::as_select());
    Ok(row.first(conn).optional()?.map(User::from))
}

/// Stores a user in place of one of the same name.
///
/// # Errors
/// What the database says.
pub(crate) fn put_user(conn: &mut DbConn, user: User, now: DateTime<Utc>) -> Result<(), DbError> {
    let row = UserRow {
        name: user.name,
        password_hash: user.password_hash,
        roles: list_text(&user.roles),
        permissions: list_text(&user.permissions),
        created_at: now.timestamp_micros(),
    };
    on_backend!(conn, c => diesel::insert_into(users::table)
        .values(&row)
        .on_conflict(users::name)
        .do_update()
        .set((
            users::password_hash.eq(&row.password_hash),
            users::roles.eq(&row.roles),
            users::permissions.eq(&row.permissions),
        ))
        .execute(c))?;
    Ok(())
}

impl From<TokenRow> for Token {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            roles: read_list(&row.roles),
            permissions: read_list(&row.permissions),
            user_id: row.user_id,
            project_id: row.project_id,
            created_at: instant(row.created_at),
            expires_at: row.expires_at.map(instant),
            revoked_at: row.revoked_at.map(instant),
        }
    }
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        Self {
            name: row.name,
            password_hash: row.password_hash,
            roles: read_list(&row.roles),
            permissions: read_list(&row.permissions),
        }
    }
}

/// Only what `timestamp_micros` gave is ever stored.
fn instant(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

fn list_text(list: &[String]) -> String {
    serde_json::Value::from(list).to_string()
}

/// A list that cannot be read grants nothing.
fn read_list(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_default()
}
