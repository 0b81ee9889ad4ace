//! Logins of one worker, remembered for a moment: so that a request costs a look-up and not a query, and a password not
//! a hash, while a revoked token is out within a second.

use super::accounts::Accounts;
use super::caller::Caller;
use super::credentials::Credentials;
use crate::cache::Cache;
use crate::fault::Fault;
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
            Credentials::Unusable => return Ok(None),
        };
        let login = self.login(key, accounts.clock().now().timestamp_micros());
        let looked_up = login.caller.get_or_try_init(|| self.look_up(accounts, credentials, address)).await?;
        Ok(looked_up.clone())
    }

    fn login(&self, key: [u8; 32], now: i64) -> Rc<Login> {
        let mut known = self.known.borrow_mut();
        if let Some(login) = known.get(&key)
            && (0..FRESH_MICROS).contains(&(now - login.begun_at))
        {
            return Rc::clone(login);
        }
        let login = Rc::new(Login { begun_at: now, caller: OnceCell::new() });
        known.insert(key, Rc::clone(&login));
        login
    }

    async fn look_up(
        &self,
        accounts: &Accounts,
        credentials: &Credentials,
        address: IpAddr,
    ) -> Result<Option<Arc<Caller>>, Fault> {
        accounts.check_failures(address)?;
        let principal = match credentials {
            Credentials::Token(token) => accounts.holder(token).await?,
            Credentials::Password(name, password) => {
                let user = accounts.user(name).await?;
                let hash = user.as_ref().map_or("", |user| &user.password_hash);
                let proof = accounts.cache_key(&[name, password, hash]);
                let is_proved = self.proved.borrow_mut().get(&proof).is_some();
                let is_right = is_proved || accounts.is_password_of(user.as_ref(), password).await?;
                if is_right {
                    self.proved.borrow_mut().insert(proof, ());
                }
                user.filter(|_| is_right).map(crate::model::User::into_principal)
            }
            Credentials::Unusable => None,
        };
        if principal.is_none() {
            accounts.count_failure(address);
        }
        Ok(principal.map(|principal| Arc::new(Caller::new(principal))))
    }
}
