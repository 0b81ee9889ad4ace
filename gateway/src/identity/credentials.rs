//! What a client shows to be let in.

use crate::model::TokenKind;
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::header::{AUTHORIZATION, COOKIE, HeaderMap};

/// Longest credential in bytes; longer ones are wrong without looking.
const CREDENTIAL_BYTES: usize = 4096;

/// Header and cookie of version 0.1.0 of `FiFo`'s API.
pub(crate) const SNARL: &str = "x-snarl-token";

/// Credentials, not yet checked.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// A token: as bearer, in `X-Auth-Token`, or as a password (for clients that know only those).
    Token(String),
    /// User and password.
    Password(String, String),
    /// User and password, or any user and Snap's password.
    UserOrSnap(String, String),
    /// Something that can only be wrong.
    Unusable,
}

impl Credentials {
    /// Finds them in the headers. Two `Authorization` are none: whose counts would depend on who reads them.
    #[must_use]
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        if let Some(value) = values.next() {
            if values.next().is_some() {
                return Some(Self::Unusable);
            }
            return Some(value.to_str().ok().and_then(Self::authorization).unwrap_or(Self::Unusable));
        }
        let token = headers.get("x-auth-token")?;
        Some(token.to_str().ok().and_then(Self::token).unwrap_or(Self::Unusable))
    }

    /// Finds them where version 0.1.0 of `FiFo`'s API has them too: in `X-Snarl-Token`, as a header or a cookie.
    #[must_use]
    pub(crate) fn read_snarl(headers: &HeaderMap) -> Option<Self> {
        let header = headers.get(SNARL).map(|value| value.to_str().ok().and_then(Self::token));
        let found = header.or_else(|| snarl_cookie(headers).map(Self::token))?;
        Some(found.unwrap_or(Self::Unusable))
    }

    /// Whether a browser may send them by itself: then a foreign page can make it do so.
    #[must_use]
    pub(crate) fn are_ambient(headers: &HeaderMap) -> bool {
        if headers.get(AUTHORIZATION).is_none() && snarl_cookie(headers).is_some() {
            return true;
        }
        let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| scheme(value).is_some_and(|(name, _)| name.eq_ignore_ascii_case("basic")))
    }

    fn authorization(value: &str) -> Option<Self> {
        let (name, rest) = scheme(value).filter(|_| value.len() <= CREDENTIAL_BYTES)?;
        if name.eq_ignore_ascii_case("bearer") {
            return Self::token(rest);
        }
        if !name.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        let (user, password) = pair.split_once(':')?;
        Self::token(password).or_else(|| Some(Self::Password(user.to_owned(), password.to_owned())))
    }

    fn token(text: &str) -> Option<Self> {
        let kind = TokenKind::of(text).filter(|_| text.len() <= CREDENTIAL_BYTES)?;
        matches!(kind, TokenKind::Api | TokenKind::Access).then(|| Self::Token(text.to_owned()))
    }
}

/// The token in the cookie that version 0.1.0 of `FiFo`'s API sets.
fn snarl_cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == SNARL).map(|(_, token)| token)
}

/// The scheme and the rest of an `Authorization`.
fn scheme(value: &str) -> Option<(&str, &str)> {
    value.split_once(' ').map(|(name, rest)| (name, rest.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, value: &str) -> Option<Credentials> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        Credentials::read(&headers)
    }

    #[test]
    fn tokens_come_in_three_ways_and_passwords_in_one() {
        let token = Some(Credentials::Token("qt_x".into()));
        assert!(read("authorization", "Bearer qt_x") == token);
        assert!(read("authorization", "bearer  qt_x") == token);
        assert!(read("x-auth-token", "qt_x") == token);
        // printf ':qt_x' | base64; printf 'ada:a:b' | base64
        assert!(read("authorization", "Basic OnF0X3g=") == token);
        assert!(
            read("authorization", "Basic YWRhOmE6Yg==")
                == Some(Credentials::Password("ada".into(), "a:b".into()))
        );
        assert!(read("host", "x").is_none());
        assert!(read("authorization", "Bearer qa_x") == Some(Credentials::Token("qa_x".into())));
    }

    #[test]
    fn two_authorizations_are_none() {
        let mut headers = HeaderMap::new();
        for token in ["qt_x", "qt_y"] {
            headers.append(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        }
        assert!(Credentials::read(&headers) == Some(Credentials::Unusable));
    }

    #[test]
    fn the_old_fifo_header_and_cookie_count_where_they_are_asked_for() {
        let token = Some(Credentials::Token("qa_x".into()));
        for (name, value) in [(SNARL, "qa_x"), ("cookie", "a=b; x-snarl-token=qa_x; c=d")] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert!(Credentials::read(&headers).is_none());
            assert!(Credentials::read_snarl(&headers) == token);
            assert_eq!(Credentials::are_ambient(&headers), name == "cookie");
        }
        assert!(read("authorization", "Bearer qr_refresh") == Some(Credentials::Unusable));
    }

    #[test]
    fn what_cannot_be_right_is_not_looked_up() {
        let long = format!("Bearer qt_{}", "x".repeat(5000));
        for value in
            ["Bearer abc", "Bearer", "Digest x", "Basic !!!", "Basic YWRh", "Basic /w==", "", long.as_str()]
        {
            assert!(read("authorization", value) == Some(Credentials::Unusable), "{value}");
        }
        assert!(read("x-auth-token", "gAAAAkeystone") == Some(Credentials::Unusable));
    }
}
