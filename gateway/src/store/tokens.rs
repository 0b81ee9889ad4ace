//! API tokens.

use super::{append, instant, list_text, read_list};
use crate::model::{Deed, Identity, Kind, NewToken, Token};
use crate::schema::{api_tokens, grants, holders};
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use shared::db::{DbConn, DbError};
use shared::on_backend;

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

/// Whether there is a token for ever, revoked or not, of this name and with these permissions.
///
/// # Errors
/// What the database says.
pub(crate) fn has_tokens_like(conn: &mut DbConn, wish: &NewToken) -> Result<bool, DbError> {
    let alike = api_tokens::table
        .filter(api_tokens::name.eq(&wish.name))
        .filter(api_tokens::permissions.eq(list_text(&wish.permissions)))
        .filter(api_tokens::expires_at.is_null());
    Ok(alike.count().get_result::<i64>(conn)? > 0)
}

/// Makes a token known, and says so in the log.
///
/// # Errors
/// What the database says.
pub(crate) fn create_token(conn: &mut DbConn, token: Token, hash: String, deed: Deed) -> Result<(), DbError> {
    conn.transaction(|conn| {
        put_token(conn, token, hash)?;
        append(conn, deed)
    })
}

/// Whose token has this hash, if it is good: what it says, and what its roles allow.
///
/// # Errors
/// What the database says.
pub(crate) fn find_token(
    conn: &mut DbConn,
    hash: &str,
    now: DateTime<Utc>,
) -> Result<Option<Identity>, DbError> {
    let row = api_tokens::table.filter(api_tokens::hash.eq(hash)).select(TokenRow::as_select());
    let token = row.first(conn).optional()?.map(Token::from).filter(|token| token.is_valid(now));
    let Some(token) = token else { return Ok(None) };
    let mut of_roles: Vec<String> = Vec::new();
    for role in &token.roles {
        let allowed = holders::table
            .inner_join(grants::table.on(grants::holder.eq(holders::id)))
            .filter(holders::kind.eq(Kind::Role.name()))
            .filter(holders::name.eq(role))
            .select(grants::pattern);
        of_roles.extend(allowed.load::<String>(conn)?);
    }
    Ok(Some(Identity::of_token(token, hash, of_roles)))
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
pub(crate) fn revoke_token(conn: &mut DbConn, id: &str, deed: Deed) -> Result<bool, DbError> {
    let now = deed.at.timestamp_micros();
    conn.transaction(|conn| {
        let unrevoked =
            api_tokens::table.filter(api_tokens::id.eq(id)).filter(api_tokens::revoked_at.is_null());
        if diesel::update(unrevoked).set(api_tokens::revoked_at.eq(now)).execute(conn)? > 0 {
            append(conn, deed)?;
            return Ok(true);
        }
        let known: i64 = api_tokens::table.filter(api_tokens::id.eq(id)).count().get_result(conn)?;
        Ok(known > 0)
    })
}

/// Takes a role from all tokens.
///
/// # Errors
/// What the database says.
pub(super) fn leave_role(conn: &mut DbConn, name: &str) -> Result<(), DbError> {
    let with_roles = api_tokens::table.filter(api_tokens::roles.ne(list_text(&[])));
    let rows: Vec<(String, String)> = with_roles.select((api_tokens::id, api_tokens::roles)).load(conn)?;
    for (id, roles) in rows {
        let mut roles = read_list(&roles);
        let before = roles.len();
        roles.retain(|role| role != name);
        if roles.len() < before {
            let roles = api_tokens::roles.eq(list_text(&roles));
            diesel::update(api_tokens::table.find(id)).set(roles).execute(conn)?;
        }
    }
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
