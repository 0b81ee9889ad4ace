//! Keeps foreign web pages out of an open gateway: a browser would reach it for them, and a plugin upload runs code.
//!
//! Two ways in are closed. A page may point its own host name at this machine (DNS rebinding): then `Host` is a
//! stranger's name. And a page may simply send forms or open websockets across sites: then `Origin` or
//! `Sec-Fetch-Site` tell so (W3C, *Fetch Metadata Request Headers*). Programs send neither and pass.

use crate::routes::{Owner, Page, Route};
use hyper::Method;
use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use std::net::{Ipv4Addr, Ipv6Addr};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Foreign {
    /// A name that is not ours.
    #[error("Refused: this gateway is open to its own machine alone and does not answer to this host name.")]
    Host,
    /// Another site's page.
    #[error("Refused: the request comes from another site's page.")]
    Page,
}

/// Refuses requests to a host name that is neither loopback, nor an address, nor one of `own` names.
///
/// An address is no stranger's name: only names can be pointed elsewhere.
///
/// # Errors
/// [`Foreign::Host`].
pub(crate) fn check_host(headers: &HeaderMap, own: &[String]) -> Result<(), Foreign> {
    let Some(host) = headers.get(HOST) else { return Ok(()) };
    let host = host.to_str().map_err(|_odd| Foreign::Host)?;
    let name = without_port(host).trim_end_matches('.');
    let is_own = |own: &String| own.eq_ignore_ascii_case(name);
    let is_ours = is_address(name) || ends_with_word(name, "localhost") || own.iter().any(is_own);
    if is_ours { Ok(()) } else { Err(Foreign::Host) }
}

/// Whether the last part of a host name is `word`.
fn ends_with_word(name: &str, word: &str) -> bool {
    let last = name.rsplit_once('.').map_or(name, |(_, last)| last);
    last.eq_ignore_ascii_case(word)
}

/// Whether `route` is where logins, rights and secrets are made: no other site's page has any business there, whatever
/// the settings say.
#[must_use]
pub(crate) fn is_private(route: &Route) -> bool {
    match route.owner {
        Owner::Service(_) => false,
        Owner::Rewritten(..) => true,
        Owner::Page(page) => match page {
            Page::Index | Page::Livez | Page::Readyz | Page::Metrics | Page::Version | Page::Docs => false,
            Page::Tokens
            | Page::Token
            | Page::Holders(_)
            | Page::OAuthToken
            | Page::OAuthRevoke
            | Page::OAuthAuthorize
            | Page::Sessions
            | Page::Scopes
            | Page::Audit
            | Page::AuditVerify
            | Page::Identity => true,
        },
    }
}

/// Refuses what another site's page asks for, if it changes something or opens a websocket, but for the pages of
/// `allowed_origins`.
///
/// # Errors
/// [`Foreign::Page`].
pub(crate) fn check_page(
    method: &Method,
    headers: &HeaderMap,
    is_upgrade: bool,
    allowed_origins: &[String],
) -> Result<(), Foreign> {
    if method.is_safe() && !is_upgrade {
        return Ok(());
    }
    // No page can write this header. It also holds where a proxy has changed `Host`.
    let site = headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes());
    if matches!(site, Some(b"same-origin" | b"none")) {
        return Ok(());
    }
    if let Some(origin) = headers.get(ORIGIN) {
        let origin = origin.to_str().map_err(|_odd| Foreign::Page)?;
        let is_allowed = allowed_origins.iter().any(|allowed| allowed == origin);
        return if is_allowed || is_own(origin, headers) { Ok(()) } else { Err(Foreign::Page) };
    }
    if site.is_none() { Ok(()) } else { Err(Foreign::Page) }
}

/// Whether the page was loaded from the host that the request is sent to.
fn is_own(origin: &str, headers: &HeaderMap) -> bool {
    let of_page = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    let of_request = headers.get(HOST).and_then(|host| host.to_str().ok());
    matches!((of_page, of_request), (Some(page), Some(host)) if page.eq_ignore_ascii_case(host))
}

fn without_port(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => address,
        Some((address, rest)) if rest.starts_with(':') => address,
        Some(_) => host,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

fn is_address(name: &str) -> bool {
    name.parse::<Ipv4Addr>().is_ok() || name.parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let parsed =
            pairs.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()));
        parsed.collect()
    }

    #[test]
    fn only_loopback_addresses_and_own_names_are_answered_to() {
        let own = ["box7".to_owned()];
        let verdict = |host: &str| check_host(&headers(&[("host", host)]), &own);
        for host in
            ["localhost", "LOCALHOST:8080", "a.localhost", "localhost.", "127.0.0.1:1", "[::1]:8080", "[::1]"]
        {
            assert_eq!(verdict(host), Ok(()), "{host}");
        }
        for host in ["10.0.0.1:8080", "box7:8080", "BOX7"] {
            assert_eq!(verdict(host), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "[::1].evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "box7.evil",
            "",
            "evil:127",
        ] {
            assert_eq!(verdict(host), Err(Foreign::Host), "{host}");
        }
        assert_eq!(check_host(&headers(&[]), &own), Ok(()), "only programs leave it out");
    }

    #[test]
    fn foreign_pages_may_read_nothing_into_being() {
        let verdict = |method: Method, upgrade, pairs: &[(&str, &str)]| {
            let mut pairs = pairs.to_vec();
            pairs.push(("host", "localhost:8080"));
            check_page(&method, &headers(&pairs), upgrade, &["https://grafana.example".to_owned()])
        };
        let refused = Err(Foreign::Page);
        for origin in ["http://evil.example", "null", "http://localhost:9090", "https://localhost"] {
            assert_eq!(verdict(Method::POST, false, &[("origin", origin)]), refused, "{origin}");
            assert_eq!(verdict(Method::GET, true, &[("origin", origin)]), refused, "websocket from {origin}");
            assert_eq!(
                verdict(Method::GET, false, &[("origin", origin)]),
                Ok(()),
                "reading is the browser's matter"
            );
        }
        for origin in ["http://localhost:8080", "https://localhost:8080", "https://grafana.example"] {
            assert_eq!(verdict(Method::DELETE, false, &[("origin", origin)]), Ok(()), "{origin}");
        }
        for (site, expected) in
            [("cross-site", refused), ("same-site", refused), ("same-origin", Ok(())), ("none", Ok(()))]
        {
            assert_eq!(verdict(Method::PUT, false, &[("sec-fetch-site", site)]), expected, "{site}");
        }
        assert_eq!(verdict(Method::POST, false, &[]), Ok(()), "programs send neither");
        // A proxy before us may have changed `Host`; no page can write the other header.
        let own =
            [("host", "127.0.0.1:1"), ("origin", "https://own.example"), ("sec-fetch-site", "same-origin")];
        assert_eq!(verdict(Method::POST, false, &own), Ok(()));
        let foreign = [own[0], own[1], ("sec-fetch-site", "same-site")];
        assert_eq!(verdict(Method::POST, false, &foreign), Err(Foreign::Page));
    }
}
