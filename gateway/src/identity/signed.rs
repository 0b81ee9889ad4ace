//! Signed identities of one worker, kept for some seconds: signing each request anew would cost more than passing it on.

use crate::cache::Cache;
use hyper::header::HeaderValue;
use shared::clock::SharedClock;
use shared::identity::{IdentityKey, LIFETIME_SECS, Principal};
use std::cell::RefCell;
use std::sync::Arc;

/// Callers remembered by one worker.
const CALLERS: usize = 1024;

/// Seconds after which an identity is signed anew; a service then still has the larger part of its life.
const FRESH_SECS: i64 = LIFETIME_SECS / 4;

/// Signed identities.
pub(crate) struct SignedCache {
    /// The caller of the request before, who is usually the caller of the next.
    latest: RefCell<Option<(Arc<Principal>, Signed)>>,
    known: RefCell<Cache<Arc<Principal>, Signed>>,
}

#[derive(Clone)]
struct Signed {
    header: HeaderValue,
    signed_at: i64,
}

impl Signed {
    fn is_fresh(&self, now: i64) -> bool {
        (0..FRESH_SECS).contains(&(now - self.signed_at))
    }
}

impl Default for SignedCache {
    fn default() -> Self {
        Self { latest: RefCell::default(), known: RefCell::new(Cache::new(CALLERS)) }
    }
}

impl SignedCache {
    /// The header value that tells services about `principal`.
    #[must_use]
    pub(crate) fn header(
        &self,
        principal: &Arc<Principal>,
        key: &IdentityKey,
        clock: &SharedClock,
    ) -> HeaderValue {
        let now = clock.now();
        let mut latest = self.latest.borrow_mut();
        if let Some((caller, signed)) = latest.as_ref()
            && Arc::ptr_eq(caller, principal)
            && signed.is_fresh(now.timestamp())
        {
            return signed.header.clone();
        }
        let mut known = self.known.borrow_mut();
        let kept = known.get(principal).filter(|signed| signed.is_fresh(now.timestamp())).cloned();
        let signed = kept.unwrap_or_else(|| {
            // The signature is made of letters that every header may hold.
            let header =
                HeaderValue::from_str(&key.sign(principal, now)).unwrap_or(HeaderValue::from_static(""));
            let signed = Signed { header, signed_at: now.timestamp() };
            known.insert(Arc::clone(principal), signed.clone());
            signed
        });
        *latest = Some((Arc::clone(principal), signed.clone()));
        signed.header
    }
}
