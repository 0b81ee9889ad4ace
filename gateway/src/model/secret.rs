//! Secrets that the gateway makes: each kind of token begins in its own way, so that one can be recognised, also by
//! scanners for leaked secrets.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// Random bytes of a token: 256 bits, so that a plain hash protects it as well as a slow one would.
const TOKEN_BYTES: usize = 32;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// Made by an administrator.
    Api,
    /// OAuth 2 access token.
    Access,
    /// OAuth 2 refresh token: works once, for the next pair.
    Refresh,
    /// OAuth 2 authorization code: works once, within a minute.
    Code,
    /// Works once, as `fifo_ott`.
    Once,
}

impl TokenKind {
    const ALL: [Self; 5] = [Self::Api, Self::Access, Self::Refresh, Self::Code, Self::Once];

    /// How tokens of this kind begin.
    #[must_use]
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Api => "qt_",
            Self::Access => "qa_",
            Self::Refresh => "qr_",
            Self::Code => "qc_",
            Self::Once => "qo_",
        }
    }

    /// The kind's name in the store.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Access => "access",
            Self::Refresh => "refresh",
            Self::Code => "code",
            Self::Once => "once",
        }
    }

    /// The kind that `token` seems to be of.
    #[must_use]
    pub(crate) fn of(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| token.starts_with(kind.prefix()))
    }

    /// A fresh token of this kind.
    #[must_use]
    pub(crate) fn generate(self) -> String {
        format!("{}{}", self.prefix(), URL_SAFE_NO_PAD.encode(rand::random::<[u8; TOKEN_BYTES]>()))
    }
}

/// What is stored of a token.
#[must_use]
pub(crate) fn token_hash(token: &str) -> String {
    sha256(token.as_bytes())
}

/// SHA-256 in URL-safe base64, as PKCE writes it too (RFC 7636, section 4.2).
#[must_use]
pub(crate) fn sha256(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_unlike_and_their_hash_is_sha_256() {
        let (one, two) = (TokenKind::Api.generate(), TokenKind::Api.generate());
        assert!(one.starts_with("qt_") && one.len() == 3 + 43 && one != two);
        // printf qt_test | sha256sum | xxd -r -p | base64, in the URL alphabet
        assert_eq!(token_hash("qt_test"), "Vr1t0nDe4V70Nk12r97a_bNAmCh-_D570RknANnVCr4");
    }

    #[test]
    fn a_kind_is_known_by_its_beginning() {
        for kind in TokenKind::ALL {
            assert_eq!(TokenKind::of(&kind.generate()), Some(kind));
        }
        assert_eq!(TokenKind::of("gAAAAkeystone"), None);
    }
}
