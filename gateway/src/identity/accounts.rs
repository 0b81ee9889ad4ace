//! Checking tokens and passwords against the store; shared by all workers.

use super::caller::Caller;
use super::first_start::{keep_admin, keep_token};
use super::passwords::Passwords;
use crate::fault::Fault;
use crate::limits::RateLimit;
use crate::model::holder::SNAP_CLIENT;
use crate::model::{Action, Deed, Holder, Identity, Kind, TokenKind, token_hash};
use crate::store;
use sha2::{Digest, Sha256};
use shared::clock::SharedClock;
use shared::config::{AuthMode, Common, ConfigError, Secret};
use shared::db::{Db, DbConn, DbError};
use shared::secrets::Secrets;
use std::net::IpAddr;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// Users, clients, roles, tokens, and what protects them.
pub(crate) struct Accounts {
    db: Db,
    clock: SharedClock,
    /// Name of the user whom the settings make.
    admin_user: String,
    snap_password: Secret,
    /// Makes what caches hold useless to whoever reads memory.
    pepper: [u8; 32],
    passwords: Passwords,
    failures: Option<RateLimit>,
}

/// Why accounts could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// A secret file cannot be used.
    #[error(transparent)]
    Secret(#[from] ConfigError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] DbError),
    /// A password cannot be hashed.
    #[error("password not hashed: {0}")]
    Hash(argon2::password_hash::Error),
}

impl From<argon2::password_hash::Error> for AccountsError {
    fn from(cause: argon2::password_hash::Error) -> Self {
        Self::Hash(cause)
    }
}

impl Accounts {
    /// Opens the accounts; makes the first user (if anybody is to log in at all) and the first token where they are
    /// missing. Blocks.
    ///
    /// # Errors
    /// [`AccountsError`].
    pub(crate) fn open(
        common: &Common,
        db: Db,
        clock: SharedClock,
        mode: AuthMode,
        failures_per_min: u32,
    ) -> Result<Self, AccountsError> {
        let secrets = Secrets::load_or_create(common)?;
        if mode == AuthMode::Secure {
            keep_admin(&db, &secrets, &clock)?;
        }
        keep_token(common, &db, &clock)?;
        let minute = Duration::from_secs(60);
        Ok(Self {
            db,
            clock,
            admin_user: secrets.admin_user,
            snap_password: secrets.snap_password,
            pepper: rand::random(),
            passwords: Passwords::default(),
            failures: (failures_per_min > 0).then(|| RateLimit::new(failures_per_min, minute)),
        })
    }

    /// The store.
    #[must_use]
    pub(crate) fn db(&self) -> &Db {
        &self.db
    }

    /// The time.
    #[must_use]
    pub(crate) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Where passwords are hashed and checked.
    #[must_use]
    pub(crate) fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// Whether the settings make this user at every start.
    #[must_use]
    pub(crate) fn is_of_settings(&self, holder: &Holder) -> bool {
        holder.kind == Kind::User && holder.name == self.admin_user
    }

    /// Whether this is Snap's password. Any user name will do, as in the original.
    #[must_use]
    pub(crate) fn is_snap_password(&self, password: &str) -> bool {
        password.as_bytes().ct_eq(self.snap_password.reveal().as_bytes()).into()
    }

    /// A key under which a cache may keep what was found out about `parts`.
    #[must_use]
    pub(crate) fn cache_key(&self, parts: &[&str]) -> [u8; 32] {
        let mut digest = Sha256::new_with_prefix(self.pepper);
        for part in parts {
            digest.update(part.len().to_le_bytes());
            digest.update(part.as_bytes());
        }
        digest.finalize().into()
    }

    /// Refuses an address that has failed too often.
    ///
    /// # Errors
    /// [`Fault::TooMany`].
    pub(crate) fn check_failures(&self, address: IpAddr) -> Result<(), Fault> {
        let verdict =
            self.failures.as_ref().map_or(Ok(()), |limit| limit.check(address, std::time::Instant::now()));
        verdict.map_err(|retry_after_secs| Fault::TooMany { retry_after_secs })
    }

    /// Counts a guess before anybody looks whether it is right: of many at once, no more are looked at than may be wrong.
    ///
    /// # Errors
    /// [`Fault::TooMany`] when the address has failed too often.
    pub(crate) fn count_guess(&self, address: IpAddr) -> Result<(), Fault> {
        let verdict =
            self.failures.as_ref().map_or(Ok(()), |limit| limit.take(address, std::time::Instant::now()));
        verdict.map_err(|retry_after_secs| Fault::TooMany { retry_after_secs })
    }

    /// A guess that was counted was right.
    pub(crate) fn forgive_guess(&self, address: IpAddr) {
        if let Some(limit) = &self.failures {
            limit.give_back(address, std::time::Instant::now());
        }
    }

    /// Counts a failure of this address, and writes it into the log. `who` is what was claimed.
    pub(crate) async fn count_failure(&self, address: IpAddr, who: &str) {
        // Whether this was one too many shows at the next try.
        let _ = self.count_guess(address);
        self.log_failure(address, who).await;
    }

    /// Writes a failure of this address, which has been counted, into the log. `who` is what was claimed.
    pub(crate) async fn log_failure(&self, address: IpAddr, who: &str) {
        log::info!(address:display = address; "wrong credentials");
        let deed = self.deed(&Actor::nobody(address), Action::LoginFailed, who, "");
        // The client is refused in any case; the cause of a failing store is in the log by then.
        let _ = self.write(move |conn| store::append(conn, deed)).await;
    }

    /// Something that `actor` does now.
    #[must_use]
    pub(crate) fn deed(&self, actor: &Actor, action: Action, target: &str, detail: &str) -> Deed {
        Deed {
            at: self.clock.now(),
            actor: actor.subject.clone(),
            address: actor.address.to_string(),
            action,
            target: target.to_owned(),
            detail: detail.to_owned(),
        }
    }

    /// Reads from the store.
    ///
    /// # Errors
    /// [`Fault::StoreAway`].
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut DbConn) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Fault> {
        self.db.read(query).await.map_err(away)
    }

    /// Changes the store.
    ///
    /// # Errors
    /// [`Fault::StoreAway`].
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        query: impl FnOnce(&mut DbConn) -> Result<T, DbError> + Send + 'static,
    ) -> Result<T, Fault> {
        self.db.write(query).await.map_err(away)
    }

    /// Whose token this is, if it is good.
    ///
    /// # Errors
    /// [`Fault::StoreAway`].
    pub(crate) async fn token_holder(&self, token: &str) -> Result<Option<Identity>, Fault> {
        let (hash, now) = (token_hash(token), self.clock.now());
        match TokenKind::of(token) {
            Some(TokenKind::Api) => self.read(move |conn| store::find_token(conn, &hash, now)).await,
            Some(TokenKind::Access) => self.read(move |conn| store::find_access(conn, &hash, now)).await,
            Some(TokenKind::Refresh | TokenKind::Code | TokenKind::Once) | None => Ok(None),
        }
    }

    /// Whose one-time token this was; it is used up now.
    ///
    /// # Errors
    /// [`Fault::StoreAway`].
    pub(crate) async fn spend_once(&self, token: &str) -> Result<Option<Identity>, Fault> {
        if TokenKind::of(token) != Some(TokenKind::Once) {
            return Ok(None);
        }
        let (hash, now) = (token_hash(token), self.clock.now());
        self.write(move |conn| store::spend_once(conn, &hash, now)).await
    }

    /// The user or client of this name.
    ///
    /// # Errors
    /// [`Fault::StoreAway`].
    pub(crate) async fn named(&self, kind: Kind, name: &str) -> Result<Option<Holder>, Fault> {
        if name.contains('\0') {
            return Ok(None);
        }
        let name = name.to_owned();
        self.read(move |conn| store::find_named(conn, kind, &name)).await
    }

    /// Whoever has shown Snap's password.
    ///
    /// # Errors
    /// [`Fault::StoreAway`].
    pub(crate) async fn snap(&self) -> Result<Option<Identity>, Fault> {
        match self.named(Kind::Client, SNAP_CLIENT).await? {
            Some(snap) => Ok(Some(self.identity(snap).await?)),
            None => Ok(None),
        }
    }

    /// The holder as services see him.
    ///
    /// # Errors
    /// [`Fault::StoreAway`].
    pub(crate) async fn identity(&self, holder: Holder) -> Result<Identity, Fault> {
        self.read(move |conn| store::identity_of(conn, holder)).await
    }
}

/// Who does something, for the log.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    /// Subject of the caller.
    pub(crate) subject: String,
    /// Where he calls from.
    pub(crate) address: IpAddr,
}

impl Actor {
    /// Somebody who is logged in.
    #[must_use]
    pub(crate) fn of(caller: &Caller, address: IpAddr) -> Self {
        Self { subject: caller.principal.subject.clone(), address }
    }

    /// Nobody known.
    #[must_use]
    pub(crate) fn nobody(address: IpAddr) -> Self {
        Self { subject: "anonymous".into(), address }
    }
}

/// The cause goes to the log; the client learns that it was not its fault.
pub(crate) fn away(cause: DbError) -> Fault {
    log::error!("accounts cannot be used: {cause}");
    Fault::StoreAway
}
