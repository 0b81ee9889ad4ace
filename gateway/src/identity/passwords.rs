//! Hashing and checking passwords: argon2id, slow on purpose, and therefore only a few at once.

use crate::fault::Fault;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier};
use shared::config::Secret;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Passwords hashed at once: each takes 19 MiB and tens of milliseconds.
const HASHINGS: usize = 2;

/// Passwords that may wait for that; more are turned away.
const WAITING: usize = 32;

/// Seconds after which a turned away login should try again.
const RETRY_AFTER_SECS: u64 = 2;

/// Hash of no password, checked for unknown users so that they take as long as known ones.
const DECOY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$cXVpbnRldCBkZWNveSBz$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The few places where passwords are hashed.
pub(crate) struct Passwords {
    hashing: Arc<Semaphore>,
    waiting: Semaphore,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { hashing: Arc::new(Semaphore::new(HASHINGS)), waiting: Semaphore::new(WAITING) }
    }
}

impl Passwords {
    /// Whether `password` fits `hash`. Without a hash the answer is no, after the same time. `on_turn` is asked when the
    /// password's turn has come, and may refuse.
    ///
    /// # Errors
    /// [`Fault::TooMany`] when too many wait already; what `on_turn` says.
    pub(crate) async fn fits(
        &self,
        password: &str,
        hash: Option<&str>,
        on_turn: impl FnOnce() -> Result<(), Fault>,
    ) -> Result<bool, Fault> {
        let (given, is_known) = (hash.unwrap_or(DECOY).to_owned(), hash.is_some());
        let password = Secret::new(password);
        let fits = self.run(on_turn, move || verify_password(password.reveal(), &given)).await?;
        Ok(fits && is_known)
    }

    /// The hash of a new password.
    ///
    /// # Errors
    /// [`Fault::TooMany`] when too many wait already.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, Fault> {
        let password = Secret::new(password);
        let hashed = self.run(|| Ok(()), move || hash_password(password.reveal())).await?;
        hashed.map_err(|cause| {
            log::error!("a password cannot be hashed: {cause}");
            Fault::StoreAway
        })
    }

    async fn run<T: Send + 'static>(
        &self,
        on_turn: impl FnOnce() -> Result<(), Fault>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let too_many = Fault::TooMany { retry_after_secs: RETRY_AFTER_SECS };
        let Ok(_waiting) = self.waiting.try_acquire() else { return Err(too_many) };
        let Ok(place) = Arc::clone(&self.hashing).acquire_owned().await else { return Err(too_many) };
        on_turn()?;
        let work = move || {
            let _place = place;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_panicked| Fault::StoreAway)
    }
}

/// A hash in the PHC form. Blocks.
///
/// # Errors
/// When there is no randomness to be had.
pub(super) fn hash_password(password: &str) -> Result<String, Error> {
    // The library's defaults are argon2id with OWASP's parameters (19 MiB, two passes).
    Ok(Argon2::default().hash_password(password.as_bytes())?.to_string())
}

/// Whether the password fits. Blocks.
#[must_use]
pub(super) fn verify_password(password: &str, hash: &str) -> bool {
    let parsed = PasswordHash::new(hash);
    parsed.is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_alone() {
        let passwords = Passwords::default();
        let fits = async |password: &str, hash: Option<&str>| {
            passwords.fits(password, hash, || Ok(())).await.unwrap()
        };
        let hash = passwords.hash("пароль one").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(fits("пароль one", Some(&hash)).await);
        assert!(!fits("пароль two", Some(&hash)).await);
        assert!(PasswordHash::new(DECOY).is_ok(), "it is really checked");
        assert!(!fits("x", None).await);
        assert!(!fits("x", Some("no hash")).await);
    }

    #[tokio::test]
    async fn who_comes_too_late_is_turned_away() {
        let passwords = Passwords::default();
        let _all = passwords.waiting.acquire_many(32).await.unwrap();
        assert_eq!(passwords.fits("x", None, || Ok(())).await, Err(Fault::TooMany { retry_after_secs: 2 }));
    }
}
