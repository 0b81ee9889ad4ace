//! Who is calling: made by the gateway alone, carried to the services as a short-lived signed header.
//!
//! The header is `v1.<claims>.<mac>`: the claims are JSON in URL-safe base64, the mac is HMAC-SHA256 over
//! `v1.<claims>` with the installation's internal key. A service refuses every call without a valid one, so that
//! a client which reaches a service directly, or sends identity headers itself, gains nothing.

use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError, http::StatusCode};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::future::{Ready, ready};
use std::sync::Arc;

/// Header that carries the signed identity from the gateway to a service.
pub const HEADER: &str = "x-quintet-identity";

/// What [`HEADER`] holds in an answer by which a service refuses the gateway's signature, and not the caller.
const REFUSED: &str = "refused";

/// Seconds that a signature is good for; also how long a revoked caller's last signed call may still be under way.
pub const LIFETIME_SECS: i64 = 60;

/// Seconds that the clocks of gateway and service may differ.
const SKEW_SECS: i64 = 30;

/// A caller, as the gateway found out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub struct Principal {
    /// Who it is, for logs, audit, and whatever is kept for each caller: `open`, `token:<name>#<id>`, `user:<name>#<id>`,
    /// `client:<name>#<id>`, `snap`, `proxy:<user>`, `anonymous`. Names can be given again; with its id a subject never is.
    #[serde(rename = "sub")]
    pub subject: String,
    /// OpenStack user id, if the caller has one.
    #[serde(rename = "uid", skip_serializing_if = "Option::is_none", default)]
    pub user_id: Option<String>,
    /// OpenStack project id, if the caller has one.
    #[serde(rename = "pid", skip_serializing_if = "Option::is_none", default)]
    pub project_id: Option<String>,
    /// Role names, as the caller's identity source spells them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub roles: Vec<String>,
    /// FiFo permission patterns (`cloud->dtrace->list`, `_`, `...`).
    #[serde(rename = "perm", skip_serializing_if = "Vec::is_empty", default)]
    pub permissions: Vec<String>,
}

impl Principal {
    /// The subject without its id, for people: `user:<name>`.
    #[must_use]
    pub fn label(&self) -> &str {
        let has_id = ["token:", "user:", "client:"].iter().any(|kind| self.subject.starts_with(kind));
        let label = self.subject.rsplit_once('#').filter(|_| has_id);
        label.map_or(self.subject.as_str(), |(label, _)| label)
    }

    /// Whether the caller holds `role`, spelled so.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held == role)
    }

    /// Whether the caller holds `role` in any letter case, as `OpenStack` compares the roles that its headers name.
    #[must_use]
    pub fn has_openstack_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held.eq_ignore_ascii_case(role))
    }
}

/// What travels in the header.
#[derive(Deserialize, Serialize)]
struct Claims {
    #[serde(flatten)]
    principal: Principal,
    /// Seconds since 1970 when the signature ends.
    exp: i64,
}

/// Why an identity was refused. The client learns only that it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No identity header.
    #[error("no identity: this service answers only to its gateway")]
    Missing,
    /// Malformed, or signed with another key.
    #[error("identity not valid")]
    Forged,
    /// Signed too long ago.
    #[error("identity expired")]
    Expired,
}

impl ResponseError for Refused {
    fn status_code(&self) -> StatusCode {
        StatusCode::UNAUTHORIZED
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::Unauthorized()
            .insert_header((HEADER, REFUSED))
            .json(serde_json::json!({ "error": self.to_string() }))
    }
}

/// The key that gateway and services of one installation share.
#[derive(Clone)]
pub struct IdentityKey(Arc<Hmac<Sha256>>);

impl std::fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdentityKey(********)")
    }
}

impl IdentityKey {
    /// A key from any secret text; HMAC takes every length.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC accepts keys of every length")]
        Self(Arc::new(Hmac::new_from_slice(secret).expect("HMAC accepts keys of every length")))
    }

    /// The header value for `principal`, good for [`LIFETIME_SECS`] from `now`.
    #[must_use]
    pub fn sign(&self, principal: &Principal, now: DateTime<Utc>) -> String {
        let claims = Claims { principal: principal.clone(), exp: now.timestamp() + LIFETIME_SECS };
        let json = serde_json::to_vec(&claims).unwrap_or_default();
        let signed = format!("v1.{}", URL_SAFE_NO_PAD.encode(json));
        let mac = self.mac(&signed).finalize().into_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac))
    }

    /// Reads a header value back.
    ///
    /// # Errors
    /// [`Refused`] when it is malformed, signed with another key, or too old.
    pub fn verify(&self, header: &str, now: DateTime<Utc>) -> Result<Principal, Refused> {
        let (signed, mac) = header.rsplit_once('.').ok_or(Refused::Forged)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_bad| Refused::Forged)?;
        self.mac(signed).verify_slice(&mac).map_err(|_bad| Refused::Forged)?;
        let claims = signed.strip_prefix("v1.").ok_or(Refused::Forged)?;
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_bad| Refused::Forged)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_bad| Refused::Forged)?;
        if now.timestamp() > claims.exp + SKEW_SECS {
            return Err(Refused::Expired);
        }
        Ok(claims.principal)
    }

    fn mac(&self, signed: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::clone(&self.0);
        mac.update(signed.as_bytes());
        mac
    }
}

/// Handlers take a `Principal` argument to learn who calls; the server has put it there after verifying.
impl FromRequest for Principal {
    type Error = Refused;
    type Future = Ready<Result<Self, Refused>>;

    fn from_request(req: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
        ready(req.extensions().get::<Self>().cloned().ok_or(Refused::Missing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        "2026-01-01T12:00:00Z".parse().unwrap()
    }

    fn operator() -> Principal {
        Principal { subject: "user:ada".into(), project_id: Some("p1".into()), ..Principal::default() }
    }

    #[test]
    fn a_signed_identity_reads_back_until_it_expires() {
        let key = IdentityKey::new(b"one");
        let header = key.sign(&operator(), noon());
        assert_eq!(key.verify(&header, noon()), Ok(operator()));
        let late = noon() + chrono::Duration::seconds(LIFETIME_SECS + SKEW_SECS);
        assert_eq!(key.verify(&header, late), Ok(operator()));
        assert_eq!(key.verify(&header, late + chrono::Duration::seconds(1)), Err(Refused::Expired));
    }

    #[test]
    fn a_label_is_the_subject_without_its_id() {
        for (subject, label) in [
            ("user:ada#5f0c1a52", "user:ada"),
            ("token:a#b#5f0c1a52", "token:a#b"),
            ("client:web#5f0c1a52", "client:web"),
            ("proxy:u#1", "proxy:u#1"),
            ("snap", "snap"),
            ("open", "open"),
        ] {
            assert_eq!(Principal { subject: subject.into(), ..Principal::default() }.label(), label);
        }
    }

    #[test]
    fn a_role_is_its_exact_name_but_for_openstack() {
        let caller = Principal { roles: vec!["Admin".into()], ..Principal::default() };
        assert!(!caller.has_role("admin") && caller.has_role("Admin"));
        assert!(caller.has_openstack_role("admin") && !caller.has_openstack_role("reader"));
    }

    #[test]
    fn another_key_a_changed_claim_or_garbage_is_forged() {
        let header = IdentityKey::new(b"one").sign(&operator(), noon());
        assert_eq!(IdentityKey::new(b"two").verify(&header, noon()), Err(Refused::Forged));
        let claims = URL_SAFE_NO_PAD.encode(br#"{"sub":"user:eve","exp":9999999999}"#);
        let swapped = format!("v1.{claims}.{}", header.rsplit('.').next().unwrap());
        for bad in [swapped.as_str(), "", ".", "v1..", "v1.e30.e30", "ä.ö.ü"] {
            assert_eq!(IdentityKey::new(b"one").verify(bad, noon()), Err(Refused::Forged), "{bad}");
        }
    }
}
