//! Checking tokens and passwords against the store; shared by all workers.

use super::caller::Caller;
use super::credentials::Credentials;
use crate::fault::Fault;
use crate::limits::RateLimit;
use crate::model::{NewToken, User, generate_token, token_hash};
use crate::store;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use sha2::{Digest, Sha256};
use shared::clock::SharedClock;
use shared::config::{AuthMode, Common, ConfigError, Secret};
use shared::db::{Db, DbError};
use shared::identity::Principal;
use shared::secrets::{self, Secrets};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

/// Passwords hashed at once: each takes 19 MiB and tens of milliseconds.
const HASHINGS: usize = 2;

/// Passwords that may wait for that; more are turned away.
const WAITING: usize = 32;

/// Seconds after which a turned away login should try again.
const RETRY_AFTER_SECS: u64 = 2;

/// File of the token made on first start.
pub(crate) const ADMIN_TOKEN: &str = "admin_token";

/// What Snap's password opens: the plugins, tasks and tribe of its API, nothing else.
const SNAP_PERMISSIONS: [&str; 12] = [
    "cloud->plugins->...",
    "plugins->...",
    "cloud->metrics->...",
    "metrics->...",
    "cloud->tasks->...",
    "tasks->...",
    "cloud->agreements->...",
    "agreements->...",
    "cloud->members->...",
    "members->...",
    "cloud->tribe->...",
    "tribe->...",
];

/// Users, tokens and what protects them.
pub(crate) struct Accounts {
    db: Db,
    clock: SharedClock,
    snap_password: Secret,
    snap: Arc<Caller>,
    /// Makes what caches hold useless to whoever reads memory.
    pepper: [u8; 32],
    /// Hash of no password, checked for unknown users so that they take as long as known ones.
    decoy: String,
    hashing: Arc<Semaphore>,
    waiting: Semaphore,
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
        let mut decoy = String::new();
        if mode == AuthMode::Secure {
            keep_admin(&db, &secrets, &clock)?;
            decoy = hash_password("nobody's password")?;
        }
        let token = secrets::stored(common, ADMIN_TOKEN, generate_token)?;
        let row = NewToken::for_admin().into_token(clock.now());
        db.write_blocking(|conn| store::put_token(conn, row, token_hash(token.reveal())))?;
        let minute = Duration::from_secs(60);
        Ok(Self {
            db,
            clock,
            snap_password: secrets.snap_password,
            snap: Arc::new(Caller::new(Principal {
                subject: "snap".into(),
                permissions: SNAP_PERMISSIONS.map(str::to_owned).to_vec(),
                ..Principal::default()
            })),
            pepper: rand::random(),
            decoy,
            hashing: Arc::new(Semaphore::new(HASHINGS)),
            waiting: Semaphore::new(WAITING),
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

    /// The holder of Snap's password, if this is it. Any user name will do, as in the original.
    #[must_use]
    pub(crate) fn snap_caller(&self, credentials: &Credentials) -> Option<Arc<Caller>> {
        let Credentials::Password(_, password) = credentials else { return None };
        let is_right = password.as_bytes().ct_eq(self.snap_password.reveal().as_bytes());
        bool::from(is_right).then(|| Arc::clone(&self.snap))
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

    /// Counts a failure of this address.
    pub(crate) fn count_failure(&self, address: IpAddr) {
        log::info!(address:display = address; "wrong credentials");
        if let Some(limit) = &self.failures {
            // Whether this was one too many shows at the next try.
            let _ = limit.take(address, std::time::Instant::now());
        }
    }

    /// Whose token this is, if it is good.
    ///
    /// # Errors
    /// [`Fault::StoreAway`].
    pub(crate) async fn holder(&self, token: &str) -> Result<Option<Principal>, Fault> {
        let (hash, now) = (token_hash(token), self.clock.now());
        let token = self.db.read(move |conn| store::find_token(conn, &hash)).await.map_err(away)?;
        Ok(token.filter(|token| token.is_valid(now)).map(crate::model::Token::into_principal))
    }

    /// The user of this name.
    ///
    /// # Errors
    /// [`Fault::StoreAway`].
    pub(crate) async fn user(&self, name: &str) -> Result<Option<User>, Fault> {
        let name = name.to_owned();
        self.db.read(move |conn| store::find_user(conn, &name)).await.map_err(away)
    }

    /// Whether `password` is the one of `user`; slow on purpose.
    ///
    /// # Errors
    /// [`Fault::TooMany`] when too many wait already.
    pub(crate) async fn is_password_of(&self, user: Option<&User>, password: &str) -> Result<bool, Fault> {
        let too_many = Fault::TooMany { retry_after_secs: RETRY_AFTER_SECS };
        let Ok(_waiting) = self.waiting.try_acquire() else { return Err(too_many) };
        let Ok(place) = Arc::clone(&self.hashing).acquire_owned().await else { return Err(too_many) };
        let hash = user.map_or_else(|| self.decoy.clone(), |user| user.password_hash.clone());
        let password = Secret::new(password);
        let check = move || {
            let _place = place;
            verify_password(password.reveal(), &hash)
        };
        let is_right = tokio::task::spawn_blocking(check).await.unwrap_or(false);
        Ok(is_right && user.is_some())
    }
}

/// The first user has the password of the settings, also after it has changed there.
fn keep_admin(db: &Db, secrets: &Secrets, clock: &SharedClock) -> Result<(), AccountsError> {
    let (name, password) = (secrets.admin_user.clone(), secrets.admin_password.reveal());
    let known = db.write_blocking(|conn| store::find_user(conn, &name))?;
    if known.is_some_and(|user| verify_password(password, &user.password_hash)) {
        return Ok(());
    }
    let user = User {
        name,
        password_hash: hash_password(password)?,
        roles: vec!["admin".into()],
        permissions: vec!["...".into()],
    };
    Ok(db.write_blocking(|conn| store::put_user(conn, user, clock.now()))?)
}

fn hash_password(password: &str) -> Result<String, AccountsError> {
    // The library's defaults are argon2id with OWASP's parameters (19 MiB, two passes).
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(AccountsError::Hash)
}

fn verify_password(password: &str, hash: &str) -> bool {
    let parsed = PasswordHash::new(hash);
    parsed.is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// The cause goes to the log; the client learns that it was not its fault.
pub(crate) fn away(cause: DbError) -> Fault {
    log::error!("accounts cannot be read: {cause}");
    Fault::StoreAway
}
