//! What a client shows to be let in.

use crate::model::TOKEN_PREFIX;
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::header::{AUTHORIZATION, HeaderMap};

/// Longest credential in bytes; longer ones are wrong without looking.
const CREDENTIAL_BYTES: usize = 4096;

/// Credentials, not yet checked.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// An API token: as bearer, in `X-Auth-Token`, or as a password (for clients that know only those).
    Token(String),
    /// User and password.
    Password(String, String),
    /// Something that can only be wrong.
    Unusable,
}

impl Credentials {
    /// Finds them in the headers.
    #[must_use]
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        if let Some(value) = headers.get(AUTHORIZATION) {
            return Some(value.to_str().ok().and_then(Self::authorization).unwrap_or(Self::Unusable));
        }
        let token = headers.get("x-auth-token")?;
        Some(token.to_str().ok().and_then(Self::token).unwrap_or(Self::Unusable))
    }

    /// Whether a browser may send them by itself: then a foreign page can make it do so.
    #[must_use]
    pub(crate) fn are_ambient(headers: &HeaderMap) -> bool {
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
        let is_token = text.starts_with(TOKEN_PREFIX) && text.len() <= CREDENTIAL_BYTES;
        is_token.then(|| Self::Token(text.to_owned()))
    }
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
