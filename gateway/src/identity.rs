//! Who is calling. Identities are made here and nowhere else; what a client claims about itself counts only in the
//! open mode, or when a trusted proxy says it, and there only for the API that always worked so.

mod accounts;
mod caller;
mod credentials;
mod first_start;
mod logins;
mod passwords;
mod signed;

pub(crate) use accounts::{Accounts, AccountsError, Actor};
pub(crate) use caller::Caller;
pub(crate) use credentials::{Credentials, SNARL};
pub(crate) use first_start::ADMIN_TOKEN;
pub(crate) use logins::Logins;
pub(crate) use signed::SignedCache;

use crate::fault::Fault;
use crate::gateway::Gateway;
use crate::model::holder::ADMIN_ROLE;
use crate::routes::{Access, Api};
use crate::server::Worker;
use hyper::Uri;
use hyper::header::{HeaderMap, HeaderValue};
use shared::config::AuthMode;
use shared::identity::Principal;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Bytes of a user, project or role header.
const CLAIM_BYTES: usize = 2048;

/// Where the first version of `FiFo`'s API is, which had ways of its own to log in.
const OLD_FIFO: &str = "/api/0.1.0/";

/// Where a trusted proxy says whom it has let in, or that it has not.
const PROXY_HEADERS: [&str; 3] = ["x-user-id", "x-identity-status", "x-roles"];

/// What a proxy's user without the role `admin` may do: read. Panko had no way to write for him, and who posts an event
/// names the project that it belongs to.
const PROXY_PERMISSIONS: [&str; 4] =
    ["cloud->events->list", "events->_->get", "cloud->event_types->list", "event_types->_->get"];

/// Who is calling, when that needs no look at the store: in the open mode, and for what everybody may have.
///
/// # Errors
/// [`Fault::BadRequest`] for an identity header that cannot be one.
pub(crate) fn known_at_once(
    gateway: &Gateway,
    api: Api,
    access: Access,
    headers: &HeaderMap,
) -> Option<Result<Arc<Caller>, Fault>> {
    match (gateway.mode, access) {
        (AuthMode::Open, _) if api == Api::Panko => {
            Some(claimed(headers).map(|claims| Arc::new(Caller::new(everybody_as(claims)))))
        }
        (AuthMode::Open, _) => Some(Ok(Arc::clone(&gateway.everybody))),
        (AuthMode::Secure, Access::Public) => Some(Ok(Arc::clone(&gateway.nobody))),
        (AuthMode::Secure, Access::Permission | Access::Login | Access::Admin) => None,
    }
}

/// Who is calling, by credentials or by what a trusted proxy says.
///
/// # Errors
/// [`Fault::Unauthorized`] without credentials or with wrong ones, [`Fault::TooMany`] after too many wrong ones,
/// [`Fault::BadRequest`] for an identity header that cannot be one, [`Fault::StoreAway`].
pub(crate) async fn log_in(
    worker: &Worker,
    api: Api,
    (headers, uri): (&HeaderMap, &Uri),
    peer: IpAddr,
) -> Result<Arc<Caller>, Fault> {
    let gateway = &worker.gateway;
    let wrong = Fault::Unauthorized("The credentials are not valid.");
    let address = client_address(gateway, headers, peer);
    if let Some(once) = one_time_token(api, uri) {
        gateway.accounts.check_failures(address)?;
        let Some(identity) = gateway.accounts.spend_once(once).await? else {
            gateway.accounts.count_failure(address, "one-time token").await;
            return Err(wrong);
        };
        return Ok(Arc::new(Caller::of_once(identity)));
    }
    let old = || is_old_fifo(api, uri).then(|| Credentials::read_snarl(headers)).flatten();
    let Some(credentials) = Credentials::read(headers).or_else(old) else {
        return from_proxy(gateway, api, headers, peer);
    };
    let credentials = match credentials {
        Credentials::Password(user, password) if api.is_snap() => {
            gateway.accounts.check_failures(address)?;
            Credentials::UserOrSnap(user, password)
        }
        other @ (Credentials::Token(_)
        | Credentials::Password(..)
        | Credentials::UserOrSnap(..)
        | Credentials::Unusable) => other,
    };
    let caller = worker.logins.log_in(&gateway.accounts, &credentials, address).await?;
    let caller = caller.ok_or(wrong)?;
    if api == Api::Panko { with_project(caller, headers) } else { Ok(caller) }
}

/// Whether the request shows anything, right or wrong, that says who is calling.
#[must_use]
pub(crate) fn is_anything_shown(
    gateway: &Gateway,
    api: Api,
    shown: (&HeaderMap, &Uri),
    peer: IpAddr,
) -> bool {
    are_credentials_shown(api, shown) || is_vouched_for(gateway, shown.0, peer)
}

/// Whether what says who is calling may have come without the doing of the page that asks: a browser adds some
/// credentials by itself, and a proxy that logs users in adds its headers to whatever their browsers send.
#[must_use]
pub(crate) fn is_ambient(gateway: &Gateway, api: Api, shown: (&HeaderMap, &Uri), peer: IpAddr) -> bool {
    Credentials::are_ambient(shown.0)
        || (is_vouched_for(gateway, shown.0, peer) && !are_credentials_shown(api, shown))
}

fn are_credentials_shown(api: Api, (headers, uri): (&HeaderMap, &Uri)) -> bool {
    one_time_token(api, uri).is_some()
        || Credentials::read(headers).is_some()
        || (is_old_fifo(api, uri) && Credentials::read_snarl(headers).is_some())
}

fn is_vouched_for(gateway: &Gateway, headers: &HeaderMap, peer: IpAddr) -> bool {
    gateway.trusts(peer) && PROXY_HEADERS.iter().any(|name| headers.contains_key(*name))
}

fn is_old_fifo(api: Api, uri: &Uri) -> bool {
    api == Api::Fifo && uri.path().starts_with(OLD_FIFO)
}

/// The one-time token in the query, which only `FiFo`'s API knows: for browsers, which cannot set headers on
/// websockets.
fn one_time_token(api: Api, uri: &Uri) -> Option<&str> {
    let pairs = uri.query().filter(|_| api == Api::Fifo)?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(name, _)| *name == "fifo_ott").map(|(_, token)| token)
}

/// Everybody, in the open mode: may do everything.
#[must_use]
pub(crate) fn everybody() -> Caller {
    Caller::new(Principal {
        subject: "open".into(),
        roles: vec!["admin".into()],
        permissions: vec!["...".into()],
        ..Principal::default()
    })
}

/// A caller of whom nothing is known and nothing was asked.
#[must_use]
pub(crate) fn nobody() -> Caller {
    Caller::new(Principal { subject: caller::NOBODY.into(), ..Principal::default() })
}

/// The address that a request comes from: behind trusted proxies, the last one that they do not vouch for.
#[must_use]
pub(crate) fn client_address(gateway: &Gateway, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
    let lists = headers.get_all("x-forwarded-for").iter().rev();
    origin(peer, lists.map(|list| list.to_str().unwrap_or_default()), |hop| gateway.trusts(hop))
}

/// Walks from `peer` through the lists of hops, the last list first, each from its right end. A hop counts because the one
/// after it is trusted to have written it; what stands before one that cannot be read, anybody may have written.
fn origin<'h>(peer: IpAddr, lists: impl Iterator<Item = &'h str>, trusts: impl Fn(IpAddr) -> bool) -> IpAddr {
    let mut hops = lists.flat_map(|list| list.rsplit(','));
    let mut address = peer;
    while trusts(address) {
        let Some(hop) = hops.next().and_then(hop_address) else { break };
        address = hop;
    }
    address
}

/// An address as proxies write it, with or without a port.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let with_port = || hop.parse::<SocketAddr>().ok().map(|place| place.ip());
    match bare {
        Some(bare) => bare.parse().ok().map(IpAddr::V6),
        None => hop.parse().ok().or_else(with_port),
    }
}

/// Panko's pipeline without login: whoever asks is believed to be whom the headers name; what he may see, the service
/// decides by his roles.
fn everybody_as(claims: Claims) -> Principal {
    claims.into_principal("open".into(), vec!["...".into()])
}

/// The user whom a trusted proxy has let in (keystone's middleware in front of us).
fn from_proxy(gateway: &Gateway, api: Api, headers: &HeaderMap, peer: IpAddr) -> Result<Arc<Caller>, Fault> {
    let required = Fault::Unauthorized("Credentials are required.");
    if !gateway.trusts(peer) {
        return Err(required);
    }
    if only(headers, "x-identity-status")?.is_some_and(|status| status != "Confirmed") {
        return Err(required);
    }
    let claims = claimed(headers)?;
    let Some(user) = claims.user_id.clone() else { return Err(required) };
    let is_admin = claims.roles.iter().any(|role| role.eq_ignore_ascii_case(ADMIN_ROLE));
    let permissions = if is_admin {
        vec!["...".to_owned()]
    } else if api == Api::Panko {
        PROXY_PERMISSIONS.map(str::to_owned).to_vec()
    } else {
        // Only events v2 shows each project its own; in the other APIs everybody would see everything.
        Vec::new()
    };
    let principal = claims.into_principal(format!("proxy:{user}"), permissions);
    Ok(Arc::new(if is_admin { Caller::administrator(principal) } else { Caller::new(principal) }))
}

/// Events v2 wants a user and a project. An administrator may say as whom he looks; else it is himself.
fn with_project(caller: Arc<Caller>, headers: &HeaderMap) -> Result<Arc<Caller>, Fault> {
    let own = &caller.principal;
    if !caller.is_admin || (own.user_id.is_some() && own.project_id.is_some()) {
        return Ok(caller);
    }
    let claims = claimed(headers)?;
    let name = own.label().split_once(':').map_or(own.label(), |(_, name)| name);
    let or_self = |held: &Option<String>, claim: Option<String>| {
        held.clone().or(claim).or_else(|| Some(name.to_owned()))
    };
    let principal = Principal {
        user_id: or_self(&own.user_id, claims.user_id),
        project_id: or_self(&own.project_id, claims.project_id),
        ..Principal::clone(own)
    };
    Ok(Arc::new(Caller::new(principal)))
}

/// What `OpenStack`'s identity headers say.
struct Claims {
    user_id: Option<String>,
    project_id: Option<String>,
    roles: Vec<String>,
}

impl Claims {
    fn into_principal(self, subject: String, permissions: Vec<String>) -> Principal {
        let Self { user_id, project_id, roles } = self;
        Principal { subject, user_id, project_id, roles, permissions }
    }
}

/// Reads the headers as Panko does: blank is absent, and roles are cut at commas and not trimmed.
fn claimed(headers: &HeaderMap) -> Result<Claims, Fault> {
    let claim = |name: &str| -> Result<Option<String>, Fault> {
        let Some(value) = only(headers, name)? else { return Ok(None) };
        let text = std::str::from_utf8(value.as_bytes());
        let text = text.map_err(|_odd| Fault::BadRequest("An identity header is not valid UTF-8."))?;
        if text.len() > CLAIM_BYTES {
            return Err(Fault::BadRequest("An identity header is too long."));
        }
        Ok(Some(text.to_owned()).filter(|text| !text.trim().is_empty()))
    };
    let roles = claim("x-roles")?.unwrap_or_default();
    Ok(Claims {
        user_id: claim("x-user-id")?,
        project_id: claim("x-project-id")?,
        roles: roles.split(',').filter(|role| !role.is_empty()).map(str::to_owned).collect(),
    })
}

/// The one value of an identity header. Of two, one may be the client's and one the proxy's, and which counts would depend
/// on who reads them.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h HeaderValue>, Fault> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Fault::BadRequest("An identity header is there twice.")),
        (value, None) => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_whom_the_nearest_trusted_proxy_names() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let own = |hop: IpAddr| hop == ip("10.0.0.1") || hop == ip("10.0.0.2") || hop == ip("fd00::1");
        let far = |peer: &str, lists: &[&str]| origin(ip(peer), lists.iter().rev().copied(), own);
        for (lists, expected) in [
            (&["203.0.113.7"][..], "203.0.113.7"),
            (&["203.0.113.7:4711"], "203.0.113.7"),
            (&["2001:db8::7"], "2001:db8::7"),
            (&["[2001:db8::7]"], "2001:db8::7"),
            (&["[2001:db8::7]:4711"], "2001:db8::7"),
            (&["9.9.9.9, 203.0.113.7 ,10.0.0.2:80"], "203.0.113.7"),
            (&["9.9.9.9", "203.0.113.7, [fd00::1]:80", "10.0.0.2"], "203.0.113.7"),
            (&["10.0.0.2"], "10.0.0.2"),
            (&[], "10.0.0.1"),
            // What cannot be read hides whoever came before it: its writer answers for him.
            (&["9.9.9.9, unknown"], "10.0.0.1"),
            (&["9.9.9.9, _hidden, 10.0.0.2"], "10.0.0.2"),
            (&["9.9.9.9, 203.0.113.7:"], "10.0.0.1"),
            (&["9.9.9.9, [203.0.113.7]"], "10.0.0.1"),
            (&["9.9.9.9, [2001:db8::7]:x"], "10.0.0.1"),
            (&["9.9.9.9,"], "10.0.0.1"),
            (&["9.9.9.9", ""], "10.0.0.1"),
        ] {
            assert_eq!(far("10.0.0.1", lists), ip(expected), "{lists:?}");
        }
        assert_eq!(far("198.51.100.1", &["9.9.9.9"]), ip("198.51.100.1"), "nobody has to believe it");
    }
}
