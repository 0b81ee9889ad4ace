//! Logins of one worker, remembered for a moment: so that a request costs a look-up and not a query, and a password not
//! a hash, while a revoked token is out within a second.

use super::accounts::{Accounts, Actor};
use super::caller::Caller;
use super::credentials::Credentials;
use crate::cache::Cache;
use crate::fault::Fault;
use crate::model::holder::SNAP_CLIENT;
use crate::model::{Action, Identity, Kind};
use crate::store;
use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Credentials remembered by one worker.
const REMEMBERED: usize = 4096;

/// Time for which the store is not asked again, in microseconds. With a query's time it stays under a second.
const FRESH_MICROS: i64 = 500_000;

/// What one worker knows about credentials.
pub(crate) struct Logins {
    known: RefCell<Cache<[u8; 32], Rc<Login>>>,
    /// Pairs of password and hash that have been seen to fit.
    proved: RefCell<Cache<[u8; 32], ()>>,
}

/// One look at the store; requests that come meanwhile wait for it together.
struct Login {
    begun_at: i64,
    caller: OnceCell<Option<Arc<Caller>>>,
    /// Who it was at the last look.
    before: Option<Arc<Caller>>,
}

impl Default for Logins {
    fn default() -> Self {
        Self { known: RefCell::new(Cache::new(REMEMBERED)), proved: RefCell::new(Cache::new(REMEMBERED)) }
    }
}

impl Logins {
    /// Who shows these credentials; `None` when they are wrong.
    ///
    /// # Errors
    /// [`Fault::TooMany`] after too many wrong ones from `address`, [`Fault::StoreAway`].
    pub(crate) async fn log_in(
        &self,
        accounts: &Accounts,
        credentials: &Credentials,
        address: IpAddr,
    ) -> Result<Option<Arc<Caller>>, Fault> {
        let key = match credentials {
            Credentials::Token(token) => accounts.cache_key(&[token]),
            Credentials::Password(user, password) => accounts.cache_key(&[user, password]),
            Credentials::UserOrSnap(user, password) => accounts.cache_key(&[SNAP_CLIENT, user, password]),
            Credentials::Unusable => return Ok(None),
        };
        let login = self.login(key, accounts.clock().now().timestamp_micros());
        let looked_up = login.caller.get_or_try_init(|| async {
            let identity = self.look_up(accounts, credentials, address).await?;
            // A caller who is as he was before keeps what was made ready for him.
            Ok(identity.map(|identity| match &login.before {
                Some(before) if before.is(&identity) => Arc::clone(before),
                Some(_) | None => Arc::new(Caller::of(identity)),
            }))
        });
        Ok(looked_up.await?.clone())
    }

    /// Whose password this is. Slow on purpose, but for a pair that has just been seen to fit.
    ///
    /// # Errors
    /// As [`Logins::log_in`].
    pub(crate) async fn check_password(
        &self,
        accounts: &Accounts,
        (kind, name, password): (Kind, &str, &str),
        address: IpAddr,
    ) -> Result<Option<Identity>, Fault> {
        accounts.check_failures(address)?;
        self.check_guess(accounts, (kind, name, password), address, false).await
    }

    /// The same, for a guess that may have been counted already.
    async fn check_guess(
        &self,
        accounts: &Accounts,
        (kind, name, password): (Kind, &str, &str),
        address: IpAddr,
        mut is_counted: bool,
    ) -> Result<Option<Identity>, Fault> {
        let holder = accounts.named(kind, name).await?;
        let hash = holder.as_ref().and_then(|holder| holder.secret_hash.as_deref());
        let proof = accounts.cache_key(&[kind.name(), name, password, hash.unwrap_or_default()]);
        let is_proved = self.proved.borrow_mut().get(&proof).is_some();
        let count = || {
            if !is_counted {
                accounts.count_guess(address)?;
                is_counted = true;
            }
            Ok(())
        };
        let is_right = is_proved || accounts.passwords().fits(password, hash, count).await?;
        let Some(holder) = holder.filter(|_| is_right) else {
            accounts.log_failure(address, &format!("{}:{name}", kind.name())).await;
            return Ok(None);
        };
        if is_counted {
            accounts.forgive_guess(address);
        }
        let label = holder.label();
        let identity = accounts.identity(holder).await?;
        if !is_proved {
            let actor = Actor { subject: identity.principal.subject.clone(), address };
            let deed = accounts.deed(&actor, Action::Login, &label, "");
            accounts.write(move |conn| store::append(conn, deed)).await?;
            self.proved.borrow_mut().insert(proof, ());
        }
        Ok(Some(identity))
    }

    fn login(&self, key: [u8; 32], now: i64) -> Rc<Login> {
        let mut known = self.known.borrow_mut();
        let last = known.get(&key);
        if let Some(login) = last.filter(|login| (0..FRESH_MICROS).contains(&(now - login.begun_at))) {
            return Rc::clone(login);
        }
        let before = last.and_then(|login| login.caller.get().cloned().flatten());
        let login = Rc::new(Login { begun_at: now, caller: OnceCell::new(), before });
        known.insert(key, Rc::clone(&login));
        login
    }

    async fn look_up(
        &self,
        accounts: &Accounts,
        credentials: &Credentials,
        address: IpAddr,
    ) -> Result<Option<Identity>, Fault> {
        match credentials {
            Credentials::Token(token) => {
                let holder = accounts.token_holder(token).await?;
                if holder.is_none() {
                    // A token cannot be guessed, so the right one is let in however often others behind the same address
                    // were wrong.
                    accounts.check_failures(address)?;
                    accounts.count_failure(address, "token").await;
                }
                Ok(holder)
            }
            Credentials::Password(name, password) => {
                self.check_password(accounts, (Kind::User, name, password), address).await
            }
            Credentials::UserOrSnap(name, password) => {
                accounts.count_guess(address)?;
                if accounts.is_snap_password(password) {
                    accounts.forgive_guess(address);
                    return accounts.snap().await;
                }
                let checked = self.check_guess(accounts, (Kind::User, name, password), address, true).await;
                if checked.is_err() {
                    // Nobody has learnt whether it was right.
                    accounts.forgive_guess(address);
                }
                checked
            }
            Credentials::Unusable => Ok(None),
        }
    }
}
