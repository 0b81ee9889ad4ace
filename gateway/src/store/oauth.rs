//! Tokens of OAuth 2.

use super::holders::lock_holder;
use super::{append, identity_of, instant, list_scopes};
use crate::model::{Action, Deed, Holder, Identity, Issue, Kind, Login, OAuthToken, Proof, TokenKind};
use crate::schema::{holders, oauth_tokens as tokens};
use chrono::{DateTime, Duration, Utc};
use diesel::prelude::*;
use shared::db::{DbConn, DbError};

#[cfg(test)]
mod tests;

/// Hours for which a token is kept after its end: a code or refresh token that comes again is still known.
const KEPT_HOURS: i64 = 24;

/// Most ended tokens that are removed when a new one is made.
const PURGED: i64 = 64;

#[derive(Queryable, Insertable, Selectable)]
#[diesel(table_name = tokens)]
struct TokenRow {
    hash: String,
    kind: String,
    family: String,
    owner: String,
    client: Option<String>,
    scope: Option<String>,
    redirect_uri: Option<String>,
    challenge: Option<String>,
    parent: Option<String>,
    created_at: i64,
    expires_at: i64,
    used_at: Option<i64>,
    revoked_at: Option<i64>,
}

/// What became of a code or refresh token that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// It was good and is used up; what comes after it is stored.
    Done,
    /// It is unknown, another client's, too old or revoked, or its secret was not shown.
    Refused,
    /// More was asked for than it allows; it stays good.
    Widened,
    /// It had been used before: all of its family ended.
    Reused,
}

/// Stores the first token of a login, and says so in the log. Tells whether `proof`, by which its owner has logged in, is
/// still good.
///
/// # Errors
/// What the database says.
pub(crate) fn issue(conn: &mut DbConn, proof: &Proof, made: OAuthToken, deed: Deed) -> Result<bool, DbError> {
    conn.transaction(|conn| {
        let is_good = is_good(conn, proof, &made)?;
        if is_good {
            store(conn, vec![made], deed)?;
        }
        Ok(is_good)
    })
}

/// Stores a one-time token, which belongs to the login of its parent and ends no later. It is no login of its own, and
/// too short-lived for the log. Tells whether `proof`, by which its owner has logged in, is still good.
///
/// # Errors
/// What the database says.
pub(crate) fn issue_once(conn: &mut DbConn, proof: &Proof, mut made: OAuthToken) -> Result<bool, DbError> {
    conn.transaction(|conn| {
        if !is_good(conn, proof, &made)? {
            return Ok(false);
        }
        if let Some(parent) = &made.parent {
            let parent = find(conn, parent, TokenKind::Access)?;
            let parent = parent.filter(|parent| parent.is_valid(made.created_at));
            let Some(parent) = parent else { return Ok(false) };
            made.expires_at = made.expires_at.min(parent.expires_at);
            made.issue = parent.issue;
        }
        purge(conn, made.created_at)?;
        insert(conn, vec![made])?;
        Ok(true)
    })
}

/// Whose access token has this hash, if it is good.
///
/// # Errors
/// What the database says.
pub(crate) fn find_access(
    conn: &mut DbConn,
    hash: &str,
    now: DateTime<Utc>,
) -> Result<Option<Identity>, DbError> {
    match find(conn, hash, TokenKind::Access)?.filter(|token| token.is_valid(now)) {
        Some(token) => identity_by(conn, token),
        None => Ok(None),
    }
}

/// Whoever has shown these, each as he is now; `None` for what is good no more.
///
/// # Errors
/// What the database says.
pub(crate) fn find_logins(
    conn: &mut DbConn,
    proofs: &[Proof],
    now: DateTime<Utc>,
) -> Result<Vec<Option<Identity>>, DbError> {
    let find = |proof: &Proof| match proof {
        Proof::Api(hash) => super::find_token(conn, hash, now),
        Proof::Access(hash) => find_access(conn, hash, now),
        Proof::Holder { id, .. } => owner(conn, id)?.map(|holder| identity_of(conn, holder)).transpose(),
    };
    proofs.iter().map(find).collect()
}

/// Uses a one-time token up; answers whose it was, if the token that it was made with is still good.
///
/// # Errors
/// What the database says.
pub(crate) fn spend_once(
    conn: &mut DbConn,
    hash: &str,
    now: DateTime<Utc>,
) -> Result<Option<Identity>, DbError> {
    conn.transaction(|conn| {
        let Some(token) = find(conn, hash, TokenKind::Once)? else { return Ok(None) };
        let is_first = diesel::delete(tokens::table.find(hash)).execute(conn)? > 0;
        if !is_first || !token.is_valid(now) {
            return Ok(None);
        }
        match &token.parent {
            Some(parent) => find_access(conn, parent, now),
            None => identity_by(conn, token),
        }
    })
}

/// Uses up the code or refresh token of `client`, and stores the tokens that `next` makes of it, in one step. When it
/// comes a second time, somebody has stolen it, and nobody can tell who: its whole family ends (RFC 6749, section 10.5;
/// RFC 9700, section 4.14).
///
/// # Errors
/// What the database says.
pub(crate) fn exchange(
    conn: &mut DbConn,
    shown: (TokenKind, &str),
    client: Option<&str>,
    deed: Deed,
    next: impl FnOnce(&OAuthToken) -> Result<Vec<OAuthToken>, Exchange>,
) -> Result<Exchange, DbError> {
    let (kind, hash) = shown;
    conn.transaction(|conn| {
        let Some(token) = find_locked(conn, hash)?.filter(|token| token.kind == kind) else {
            return Ok(Exchange::Refused);
        };
        if token.issue.client.as_deref() != client || !token.is_valid(deed.at) {
            return Ok(Exchange::Refused);
        }
        let made = next(&token);
        if made == Err(Exchange::Widened) {
            return Ok(Exchange::Widened);
        }
        let unused = tokens::table.find(hash).filter(tokens::used_at.is_null());
        let unused = unused.filter(tokens::revoked_at.is_null());
        let now = deed.at.timestamp_micros();
        if diesel::update(unused).set(tokens::used_at.eq(now)).execute(conn)? == 0 {
            end_family(conn, &token.issue.family, deed.at)?;
            let target = owner(conn, &token.issue.owner)?.map_or(deed.target, |owner| owner.label());
            append(
                conn,
                Deed { action: Action::TokenReuse, target, detail: kind.name().to_owned(), ..deed },
            )?;
            return Ok(Exchange::Reused);
        }
        let made = match made {
            Ok(made) => made,
            Err(refused) => return Ok(refused),
        };
        let target = owner(conn, &token.issue.owner)?.map_or(deed.target, |owner| owner.label());
        store(conn, made, Deed { target, ..deed })?;
        Ok(Exchange::Done)
    })
}

/// Revokes a token by its hash, and with a refresh token its family. Whoever holds a token may end it; a client that
/// has shown itself, only its own.
///
/// # Errors
/// What the database says.
pub(crate) fn revoke_token(
    conn: &mut DbConn,
    hash: &str,
    client: Option<&str>,
    deed: Deed,
) -> Result<(), DbError> {
    conn.transaction(|conn| {
        let Some(token) = find_locked(conn, hash)? else { return Ok(()) };
        let is_anothers = client.is_some() && token.issue.client.as_deref() != client;
        if token.revoked_at.is_some() || is_anothers {
            return Ok(());
        }
        if token.kind == TokenKind::Refresh {
            end_family(conn, &token.issue.family, deed.at)?;
        } else {
            let row = tokens::table.find(hash);
            diesel::update(row).set(tokens::revoked_at.eq(deed.at.timestamp_micros())).execute(conn)?;
        }
        let target = owner(conn, &token.issue.owner)?.map_or(deed.target, |owner| owner.label());
        append(conn, Deed { target, detail: token.kind.name().to_owned(), ..deed })
    })
}

/// Ends every login of a holder.
///
/// # Errors
/// What the database says.
pub(crate) fn revoke_all(conn: &mut DbConn, owner: &str, deed: Deed) -> Result<(), DbError> {
    conn.transaction(|conn| {
        lock_holder(conn, owner)?;
        diesel::delete(tokens::table.filter(tokens::owner.eq(owner))).execute(conn)?;
        append(conn, deed)
    })
}

/// Whether what the owner of `made` has shown is still good. To the end of the transaction it stays so.
fn is_good(conn: &mut DbConn, proof: &Proof, made: &OAuthToken) -> Result<bool, DbError> {
    let Some(secret) = lock_holder(conn, &made.issue.owner)? else { return Ok(false) };
    Ok(match proof {
        Proof::Holder { id, secret_hash } => *id == made.issue.owner && *secret_hash == secret,
        Proof::Access(hash) => {
            let shown = find(conn, hash, TokenKind::Access)?;
            shown
                .is_some_and(|shown| shown.issue.owner == made.issue.owner && shown.is_valid(made.created_at))
        }
        // It is nobody's.
        Proof::Api(_) => false,
    })
}

fn store(conn: &mut DbConn, made: Vec<OAuthToken>, deed: Deed) -> Result<(), DbError> {
    purge(conn, deed.at)?;
    insert(conn, made)?;
    append(conn, deed)
}

/// Removes some tokens that ended long ago, whosever they are. Those that another transaction holds are left to it: it may
/// wait for one of these.
///
/// # Errors
/// What the database says.
fn purge(conn: &mut DbConn, now: DateTime<Utc>) -> Result<(), DbError> {
    let before = (now - Duration::hours(KEPT_HOURS)).timestamp_micros();
    let ended = tokens::table.filter(tokens::expires_at.lt(before)).select(tokens::hash);
    let ended = ended.order(tokens::expires_at).limit(PURGED);
    let ended: Vec<String> = match conn {
        DbConn::Postgres(conn) => ended.for_update().skip_locked().load(conn)?,
        DbConn::Sqlite(conn) => ended.load(conn)?,
    };
    for hash in ended {
        diesel::delete(tokens::table.find(hash)).execute(conn)?;
    }
    Ok(())
}

fn insert(conn: &mut DbConn, made: Vec<OAuthToken>) -> Result<(), DbError> {
    for token in made {
        diesel::insert_into(tokens::table).values(TokenRow::from(token)).execute(conn)?;
    }
    Ok(())
}

fn find(conn: &mut DbConn, hash: &str, kind: TokenKind) -> Result<Option<OAuthToken>, DbError> {
    let row = tokens::table.find(hash).filter(tokens::kind.eq(kind.name())).select(TokenRow::as_select());
    Ok(row.first(conn).optional()?.and_then(into_token))
}

/// A token of any kind, as it stays to the end of the transaction: its owner is locked, and its client is not removed.
fn find_locked(conn: &mut DbConn, hash: &str) -> Result<Option<OAuthToken>, DbError> {
    let whose = tokens::table.find(hash).select((tokens::owner, tokens::client));
    let Some((owner, client)) = whose.first::<(String, Option<String>)>(conn).optional()? else {
        return Ok(None);
    };
    lock_holder(conn, &owner)?;
    if let (DbConn::Postgres(conn), Some(client)) = (&mut *conn, client) {
        holders::table.find(client).select(holders::id).for_key_share().execute(conn)?;
    }
    let row = tokens::table.find(hash).select(TokenRow::as_select()).first(conn).optional()?;
    Ok(row.and_then(into_token))
}

/// Ends all of a family; the owner is locked, so that none is added meanwhile.
fn end_family(conn: &mut DbConn, family: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    let living = tokens::table.filter(tokens::family.eq(family)).filter(tokens::revoked_at.is_null());
    diesel::update(living).set(tokens::revoked_at.eq(now.timestamp_micros())).execute(conn)?;
    Ok(())
}

/// The owner, limited to what the token's scopes allow today.
fn identity_by(conn: &mut DbConn, token: OAuthToken) -> Result<Option<Identity>, DbError> {
    let owner = owner(conn, &token.issue.owner)?;
    let Some(owner) = owner else { return Ok(None) };
    let mut identity = identity_of(conn, owner)?;
    if token.kind == TokenKind::Access {
        identity.login = Login { proof: Proof::Access(token.hash), expires_at: Some(token.expires_at) };
    }
    let Some(scope) = token.issue.scope else { return Ok(Some(identity)) };
    let asked: Vec<&str> = scope.split(' ').collect();
    let known = list_scopes(conn)?;
    let limits = known.into_iter().filter(|known| asked.contains(&known.name.as_str()));
    let limits: Vec<String> = limits.flat_map(|known| known.permissions).collect();
    Ok(Some(identity.limited_to(scope, &limits)))
}

fn owner(conn: &mut DbConn, id: &str) -> Result<Option<Holder>, DbError> {
    let user = super::find_holder(conn, Kind::User, id)?;
    if user.is_some() { Ok(user) } else { super::find_holder(conn, Kind::Client, id) }
}

impl From<OAuthToken> for TokenRow {
    fn from(token: OAuthToken) -> Self {
        Self {
            hash: token.hash,
            kind: token.kind.name().to_owned(),
            family: token.issue.family,
            owner: token.issue.owner,
            client: token.issue.client,
            scope: token.issue.scope,
            redirect_uri: token.redirect_uri,
            challenge: token.challenge,
            parent: token.parent,
            created_at: token.created_at.timestamp_micros(),
            expires_at: token.expires_at.timestamp_micros(),
            used_at: token.used_at.map(|time| time.timestamp_micros()),
            revoked_at: token.revoked_at.map(|time| time.timestamp_micros()),
        }
    }
}

/// `None` for a kind that a later version has added.
fn into_token(row: TokenRow) -> Option<OAuthToken> {
    let kinds = [TokenKind::Access, TokenKind::Refresh, TokenKind::Code, TokenKind::Once];
    Some(OAuthToken {
        kind: kinds.into_iter().find(|kind| kind.name() == row.kind)?,
        hash: row.hash,
        issue: Issue { family: row.family, owner: row.owner, client: row.client, scope: row.scope },
        redirect_uri: row.redirect_uri,
        challenge: row.challenge,
        parent: row.parent,
        created_at: instant(row.created_at),
        expires_at: instant(row.expires_at),
        used_at: row.used_at.map(instant),
        revoked_at: row.revoked_at.map(instant),
    })
}
