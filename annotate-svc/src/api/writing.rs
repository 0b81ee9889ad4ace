//! What every writing handler asks for: the door to the store, the clock, the settings, who calls; and the request's
//! conditions.

use crate::config::Config;
use crate::engine::{WriteError, Writes};
use crate::error::Error;
use crate::model::Stamp;
use crate::store::{Change, Guard, IdempotencyKey, Write, Written};
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Data, Payload};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use sha2::{Digest, Sha256};
use shared::body::Body;
use shared::clock::SharedClock;
use shared::identity::Principal;
use shared::permission::Patterns;
use std::future::{Ready, ready};
use uuid::Uuid;

/// Longest `Idempotency-Key`, in characters.
const MAX_KEY: usize = 255;

/// The writing side of the service, for one request.
pub(super) struct Writing {
    pub(super) config: Data<Config>,
    writes: Data<Writes>,
    clock: Data<SharedClock>,
    caller: Principal,
    req: HttpRequest,
}

impl FromRequest for Writing {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(req: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
        let parts = || {
            Some(Self {
                config: req.app_data::<Data<Config>>()?.clone(),
                writes: req.app_data::<Data<Writes>>()?.clone(),
                clock: req.app_data::<Data<SharedClock>>()?.clone(),
                caller: req.extensions().get::<Principal>().cloned()?,
                req: req.clone(),
            })
        };
        ready(parts().ok_or_else(|| Error::Storage("the service is not put together".into())))
    }
}

impl Writing {
    /// The present instant.
    pub(super) fn now(&self) -> Stamp {
        Stamp::utc(self.clock.now())
    }

    /// The body of the request.
    pub(super) async fn body(&self, payload: Payload) -> Result<Body, Error> {
        Ok(shared::body::read(&self.req, payload, self.config.max_body_bytes).await?)
    }

    /// Refuses a caller who may not do this with the annotation. The gateway sees only ids that stand in paths.
    pub(super) fn permit(&self, id: Uuid, action: &str) -> Result<(), Error> {
        let id = id.to_string();
        let held: Patterns = self.caller.permissions.iter().collect();
        match held.allows(&["annotations", &id, action]) {
            true => Ok(()),
            false => Err(Error::Forbidden(format!("annotations->{id}->{action}"))),
        }
    }

    /// Does a change under the request's conditions; `body` is what was sent.
    pub(super) async fn submit(
        &self,
        change: Change,
        body: &[u8],
    ) -> Result<Result<Written, WriteError>, Error> {
        let write = Write {
            change,
            by: self.caller.subject.replace('\0', ""),
            at: self.now().micros,
            guard: guard(self.req.headers()),
            key: self.key(body)?,
        };
        Ok(self.writes.submit(write, body.len()).await)
    }

    fn key(&self, body: &[u8]) -> Result<Option<IdempotencyKey>, Error> {
        let Some(name) = self.req.headers().get("idempotency-key") else { return Ok(None) };
        let name = name.to_str().ok().filter(|name| (1..=MAX_KEY).contains(&name.len()));
        let name = name.ok_or_else(|| {
            Error::Invalid(format!("Idempotency-Key: expected 1 to {MAX_KEY} printable ASCII characters"))
        })?;
        let mut hash = Sha256::new();
        for part in [self.req.method().as_str(), self.req.path(), self.req.query_string()] {
            hash.update(part);
            hash.update([0]);
        }
        hash.update(body);
        Ok(Some(IdempotencyKey { name: name.to_owned(), fingerprint: hash.finalize().to_vec() }))
    }
}

/// The versions that `If-Match` names. A tag that is none of ours matches nothing.
fn guard(headers: &HeaderMap) -> Option<Guard> {
    let mut tags = headers.get_all(header::IF_MATCH).peekable();
    tags.peek()?;
    let tags: Vec<&str> =
        tags.flat_map(|tags| tags.to_str().unwrap_or_default().split(',')).map(str::trim).collect();
    if tags.contains(&"*") {
        return Some(Guard::Any);
    }
    Some(Guard::Versions(tags.iter().filter_map(|tag| version(tag)).collect()))
}

/// The version that an entity tag stands for.
pub(super) fn version(tag: &str) -> Option<i64> {
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}
