//! What a reading request brings besides its path: query string and body, taken apart but not yet understood.

use super::error::Fault;
use actix_web::dev::Payload;
use actix_web::web::{self, Bytes};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use indexmap::IndexSet;
use serde_json::{Map, Value};
use shared::body;
use std::future::Future;
use std::pin::Pin;

const FORM: &str = "application/x-www-form-urlencoded";

/// Content types of a body with arguments in JSON.
const JSON: [&str; 3] = ["application/json", "text/javascript", "application/javascript"];

/// Largest body of a reading request, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Query string and body of a request.
#[derive(Debug, Default)]
pub(super) struct Received {
    query: String,
    content_type: String,
    body: Bytes,
}

impl FromRequest for Received {
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Fault>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (req, mut payload) = (req.clone(), payload.take());
        Box::pin(async move {
            let payload = web::Payload::from_request(&req, &mut payload).await;
            let payload = payload.map_err(|cause| Fault::Invalid(cause.to_string()))?;
            let body = body::read(&req, payload, MAX_BODY_BYTES).await?;
            let (query, content_type) = (req.query_string().to_owned(), req.content_type().to_owned());
            Ok(Self { query, content_type, body: (*body).clone() })
        })
    }
}

impl Received {
    #[cfg(test)]
    pub(super) fn new(query: &str, content_type: &str, body: &[u8]) -> Self {
        Self { query: query.into(), content_type: content_type.into(), body: Bytes::copy_from_slice(body) }
    }

    /// The arguments of the URL, and those of a form in the body.
    ///
    /// # Errors
    /// [`Fault::Malformed`] when they are not UTF-8.
    pub(super) fn pairs(&self) -> Result<Pairs, Fault> {
        let form = if self.content_type == FORM { pairs(&self.body)? } else { Vec::new() };
        Ok(Pairs { url: pairs(self.query.as_bytes())?, form })
    }

    /// The arguments of a JSON body; none without a body.
    ///
    /// # Errors
    /// [`Fault::UnknownMimetype`], or [`Fault::Invalid`] when the body is no JSON object.
    pub(super) fn object(&self) -> Result<Map<String, Value>, Fault> {
        if self.body.is_empty() || self.content_type == FORM {
            return Ok(Map::new());
        }
        if !JSON.contains(&self.content_type.as_str()) {
            return Err(Fault::UnknownMimetype(self.content_type.clone()));
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(members)) => Ok(members),
            Ok(_) => Err(Fault::Invalid("Request must be a JSON dict".into())),
            Err(_) => Err(Fault::Invalid("Request is not in valid JSON format".into())),
        }
    }

    /// For resources without arguments: whatever is given is one too many.
    ///
    /// # Errors
    /// [`Fault::Invalid`] naming the arguments.
    pub(super) fn refuse_arguments(&self) -> Result<(), Fault> {
        refuse_unknown(self.pairs()?.names())?;
        refuse_unknown(self.object()?.keys().map(String::as_str))
    }
}

/// Names and values, of the URL before those of a form.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    url: Vec<(String, String)>,
    form: Vec<(String, String)>,
}

impl Pairs {
    /// Each name as often as it is given.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.url.iter().chain(&self.form).map(|(name, _)| name.as_str())
    }

    /// All values of a name.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        values(&self.url, name).chain(values(&self.form, name)).collect()
    }

    /// The values of a name in the URL alone.
    pub(super) fn in_url(&self, name: &str) -> Vec<&str> {
        values(&self.url, name).collect()
    }

    /// The value that counts: the last, of the URL if it is there.
    pub(super) fn last(&self, name: &str) -> Option<&str> {
        values(&self.url, name).last().or_else(|| values(&self.form, name).last())
    }
}

fn values<'p>(pairs: &'p [(String, String)], name: &str) -> impl Iterator<Item = &'p str> {
    pairs.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_str())
}

/// # Errors
/// [`Fault::Invalid`] when there is any name.
pub(super) fn refuse_unknown<'n>(names: impl Iterator<Item = &'n str>) -> Result<(), Fault> {
    let unknown: IndexSet<&str> = names.collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let unknown: Vec<&str> = unknown.into_iter().collect();
    Err(Fault::Invalid(format!("Unknown argument: \"{}\"", unknown.join(", "))))
}

/// A urlencoded text taken apart; a name without `=` has a blank value.
fn pairs(text: &[u8]) -> Result<Vec<(String, String)>, Fault> {
    let parts = text.split(|byte| *byte == b'&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = match part.iter().position(|byte| *byte == b'=') {
                Some(at) => (part.get(..at), part.get(at + 1..)),
                None => (Some(part), None),
            };
            Ok((decoded(name.unwrap_or_default())?, decoded(value.unwrap_or_default())?))
        })
        .collect()
}

/// Percent signs with two digits and plus signs decoded.
fn decoded(text: &[u8]) -> Result<String, Fault> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        rest = after;
        match (byte, digits) {
            (b'%', Some(digits)) => {
                bytes.extend(u8::from_str_radix(digits, 16));
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).map_err(|_not_utf8| Fault::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pairs_are_decoded() {
        let pairs = pairs(b"a=b+c%20d&bad&=x&&e=%C3%A9=1&p=%2B%zz%4").unwrap();
        let expected = [("a", "b c d"), ("bad", ""), ("", "x"), ("e", "é=1"), ("p", "+%zz%4")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs, expected);
        assert!(matches!(decoded(b"%FF"), Err(Fault::Malformed)));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in proptest::collection::vec(any::<u8>(), 0..60), near in "[%+&=0-9a-f]{0,40}") {
            let _ = (pairs(&text), pairs(near.as_bytes()));
        }

        #[test]
        fn encoded_text_reads_back(text in ".{0,40}") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(decoded(encoded.as_bytes()).unwrap(), text);
        }
    }
}
