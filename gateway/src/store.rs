//! All SQL of the gateway.

mod audit;
mod grants;
mod holders;
#[cfg(test)]
mod meeting;
mod oauth;
mod scopes;
mod tokens;

pub(crate) use audit::{append, audit_ends, audit_head, audit_news, list_records};
pub(crate) use grants::{
    Change, grant, grants_between, grants_of, join_role, leave_role, members_between, revoke, roles_of,
};
pub(crate) use holders::{
    HolderFilter, add_uri, applied_setting, apply_setting, create_holder, delete_holder, find_holder,
    find_named, identity_of, list_holders, put_secret, remove_uri, uris_of,
};
pub(crate) use oauth::{
    Exchange, exchange, find_access, find_logins, issue, issue_once, revoke_all,
    revoke_token as revoke_oauth_token, spend_once,
};
pub(crate) use scopes::{delete_scope, list_scopes, put_scope};
pub(crate) use tokens::{create_token, find_token, has_tokens_like, list_tokens, put_token, revoke_token};

use chrono::{DateTime, Utc};
use shared::db::{Migrations, embed_migrations};

/// The gateway's tables.
pub const MIGRATIONS: Migrations = Migrations {
    sqlite: embed_migrations!("migrations/sqlite"),
    postgres: embed_migrations!("migrations/postgres"),
};

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
