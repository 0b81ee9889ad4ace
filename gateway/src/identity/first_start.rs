//! Whoever the settings name is there from the first start on: the first user, and the first token.

use super::accounts::AccountsError;
use super::passwords::{hash_password, verify_password};
use crate::model::holder::ADMIN_ROLE;
use crate::model::{Action, Deed, Kind, NewHolder, NewToken, TokenKind, token_hash};
use crate::store;
use chrono::{DateTime, Utc};
use shared::clock::SharedClock;
use shared::config::Common;
use shared::db::{Db, DbConn, DbError};
use shared::secrets::{self, Secrets};

/// File of the token made on first start.
pub(crate) const ADMIN_TOKEN: &str = "admin_token";

/// Under which the last password of the settings is remembered.
const ADMIN_PASSWORD: &str = "admin_password";

/// The first user has the password of the settings, and gets it anew when it has changed there. A password that was
/// changed by hand stays.
pub(super) fn keep_admin(db: &Db, secrets: &Secrets, clock: &SharedClock) -> Result<(), AccountsError> {
    let (name, password) = (secrets.admin_user.as_str(), secrets.admin_password.reveal());
    let setting = format!("{ADMIN_PASSWORD}:{name}");
    let is_applied = db.write_blocking::<_, DbError>(|conn| {
        let applied = store::applied_setting(conn, &setting)?;
        let user = store::find_named(conn, Kind::User, name)?;
        Ok(user.is_some() && applied.is_some_and(|hash| verify_password(password, &hash)))
    })?;
    if is_applied {
        return Ok(());
    }
    let hash = hash_password(password)?;
    let now = clock.now();
    db.write_blocking::<_, DbError>(|conn| {
        put_admin(conn, name, &hash, now)?;
        store::apply_setting(conn, &setting, &hash)
    })?;
    Ok(())
}

fn put_admin(conn: &mut DbConn, name: &str, hash: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    let deed = |action, detail: &str| Deed {
        at: now,
        actor: "settings".into(),
        address: String::new(),
        action,
        target: format!("user:{name}"),
        detail: detail.to_owned(),
    };
    let (kind, name) = (Kind::User, name.to_owned());
    let wish = NewHolder { kind, name: name.clone(), secret: None, user_id: None, project_id: None };
    let holder = wish.into_holder(Some(hash.to_owned()), now);
    store::create_holder(conn, holder, &["...".to_owned()], deed(Action::HolderCreate, ""))?;
    let Some(user) = store::find_named(conn, Kind::User, &name)? else { return Ok(()) };
    if user.secret_hash.as_deref() != Some(hash) {
        store::put_secret(conn, &user.id, hash, deed(Action::PasswordChange, ""))?;
    }
    if let Some(role) = store::find_named(conn, Kind::Role, ADMIN_ROLE)? {
        store::join_role(conn, &user.id, &role.id, deed(Action::RoleJoin, ADMIN_ROLE))?;
    }
    Ok(())
}

/// The token of `secrets/admin_token` is known. It is made once for a database: a gateway whose folder is not kept would
/// leave one more behind with every start, each good for ever.
pub(super) fn keep_token(common: &Common, db: &Db, clock: &SharedClock) -> Result<(), AccountsError> {
    let file = secrets::path(common, ADMIN_TOKEN);
    if !file.exists() && db.write_blocking(|conn| store::has_tokens_like(conn, &NewToken::for_admin()))? {
        let file = file.display();
        log::info!(
            "{file} is not made: the database has the admin token of another folder. `quintet user login` gives one"
        );
        return Ok(());
    }
    let token = secrets::stored(common, ADMIN_TOKEN, || TokenKind::Api.generate())?;
    let row = NewToken::for_admin().into_token(clock.now());
    Ok(db.write_blocking(|conn| store::put_token(conn, row, token_hash(token.reveal())))?)
}
