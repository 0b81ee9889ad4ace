//! Forms as browsers and clients send them (`application/x-www-form-urlencoded`).

use super::error::{Code, OAuthError};

/// Most pairs of a form.
const PAIRS: usize = 64;

/// Names and values, decoded.
#[derive(Debug, Default)]
pub(in crate::pages) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form.
    ///
    /// # Errors
    /// [`Code::InvalidRequest`] for what is no UTF-8, has a zero byte, or is too much.
    pub(super) fn parse(body: &[u8]) -> Result<Self, OAuthError> {
        let bad = || OAuthError::new(Code::InvalidRequest, "The form cannot be read.");
        let mut pairs = Vec::new();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (name, value) = pair.split_at(at);
            let value = value.strip_prefix(b"=").unwrap_or_default();
            pairs.push((decoded(name).ok_or_else(bad)?, decoded(value).ok_or_else(bad)?));
        }
        if pairs.len() > PAIRS { Err(bad()) } else { Ok(Self(pairs)) }
    }

    /// This form, and what `other` has beside it.
    #[must_use]
    pub(super) fn or(mut self, other: Self) -> Self {
        let more = other.0.into_iter().filter(|(name, _)| !self.0.iter().any(|(own, _)| own == name));
        let more: Vec<_> = more.collect();
        self.0.extend(more);
        self
    }

    /// The value of `name`; an empty one counts as missing (RFC 6749, section 3.1).
    ///
    /// # Errors
    /// [`Code::InvalidRequest`] when it is there twice (section 3.2).
    pub(super) fn get(&self, name: &str) -> Result<Option<&str>, OAuthError> {
        let mut values = self.0.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
        let value = values.next();
        match values.next() {
            Some(_) => Err(OAuthError::new(Code::InvalidRequest, "A parameter is there twice.")),
            None => Ok(value.filter(|value| !value.is_empty())),
        }
    }

    /// The value of `name`.
    ///
    /// # Errors
    /// As [`Form::get`], and when it is missing.
    pub(super) fn required(&self, name: &'static str) -> Result<&str, OAuthError> {
        self.get(name)?.ok_or_else(|| {
            let text = match name {
                "username" => "The parameter username is missing.",
                "password" => "The parameter password is missing.",
                "grant_type" => "The parameter grant_type is missing.",
                "code" => "The parameter code is missing.",
                "refresh_token" => "The parameter refresh_token is missing.",
                "token" => "The parameter token is missing.",
                _ => "A parameter is missing.",
            };
            OAuthError::new(Code::InvalidRequest, text)
        })
    }
}

/// A text without its encoding; `None` for what is malformed or cannot be stored.
pub(super) fn decoded(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let value = digit(rest.next()?)? * 16 + digit(rest.next()?)?;
                u8::try_from(value).ok()?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_as_browsers_write_them() {
        let form = Form::parse(b"a=1+2&b=%C3%A9%26&c&d=&a+b=x").unwrap();
        assert_eq!(form.get("a").unwrap(), Some("1 2"));
        assert_eq!(form.get("b").unwrap(), Some("é&"));
        assert_eq!(
            (form.get("c").unwrap(), form.get("d").unwrap(), form.get("e").unwrap()),
            (None, None, None)
        );
        assert_eq!(form.get("a b").unwrap(), Some("x"));
    }

    #[test]
    fn odd_forms_are_refused() {
        let many = "a=1&".repeat(65);
        for body in ["a=%", "a=%2", "a=%zz", "a=%ff", "a=%00", "%00=a", many.as_str()] {
            assert!(Form::parse(body.as_bytes()).is_err(), "{body}");
        }
        assert!(Form::parse(b"a=1&a=2").unwrap().get("a").is_err());
        assert!(Form::parse(b"").unwrap().required("token").is_err());
    }
}
