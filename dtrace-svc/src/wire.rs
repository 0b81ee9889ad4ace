//! The two forms of every body and message: JSON and msgpack.

mod msgpack;

pub use msgpack::{from_msgpack, to_msgpack};

use serde_json::Value;

/// How a body or a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `application/json`
    Json,
    /// `application/x-msgpack`
    Msgpack,
}

impl Format {
    /// Media type of a body.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Msgpack => "application/x-msgpack",
        }
    }

    /// The form that a `Content-Type` names, whatever its parameters.
    #[must_use]
    pub fn of_content_type(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or("").trim();
        [Self::Json, Self::Msgpack]
            .into_iter()
            .find(|format| format.media_type().eq_ignore_ascii_case(essence))
    }

    /// The form that an `Accept` wants most; JSON when it leaves the choice. The original preferred msgpack then.
    #[must_use]
    pub fn of_accept(text: &str) -> Option<Self> {
        let (json, msgpack) = (quality(text, Self::Json), quality(text, Self::Msgpack));
        match (json > 0.0, msgpack > json) {
            (_, true) => Some(Self::Msgpack),
            (true, false) => Some(Self::Json),
            (false, false) => None,
        }
    }

    /// `value` in this form.
    #[must_use]
    pub fn encode(self, value: &Value) -> Vec<u8> {
        match self {
            Self::Json => value.to_string().into_bytes(),
            Self::Msgpack => to_msgpack(value),
        }
    }

    /// A body as JSON text; the text is not checked yet.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn json_text(self, bytes: &[u8]) -> Result<String, String> {
        match self {
            Self::Json => String::from_utf8(bytes.to_vec())
                .map_err(|cause| format!("the body is no JSON object: {cause}")),
            Self::Msgpack => from_msgpack(bytes).map(|value| value.to_string()),
        }
    }
}

/// How much an `Accept` wants a form, 0 to 1: the most specific range counts (RFC 9110, section 12.5.1).
fn quality(accept: &str, format: Format) -> f32 {
    let ranges = accept.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        let specific = match name {
            "*/*" => 0,
            _ if name.eq_ignore_ascii_case("application/*") => 1,
            _ if name.eq_ignore_ascii_case(format.media_type()) => 2,
            _ => return None,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        Some((specific, weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0))))
    });
    ranges.max_by_key(|(specific, _)| *specific).map_or(0.0, |(_, weight)| weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_chooses_the_form_and_json_when_it_leaves_the_choice() {
        use Format::{Json, Msgpack};
        for (accept, format) in [
            ("application/json", Some(Json)),
            ("application/json; charset=UTF-8", Some(Json)),
            ("application/x-msgpack", Some(Msgpack)),
            ("Application/X-MsgPack", Some(Msgpack)),
            ("*/*", Some(Json)),
            ("application/*", Some(Json)),
            ("text/html, */*;q=0.1", Some(Json)),
            ("application/json;q=0.5, application/x-msgpack", Some(Msgpack)),
            ("application/json;q=0, */*", Some(Msgpack)),
            ("application/x-msgpack;q=0.2, */*;q=0.1", Some(Msgpack)),
            ("application/json;q=0", None),
            ("text/html", None),
            ("", None),
            (";;,,q", None),
        ] {
            assert_eq!(Format::of_accept(accept), format, "{accept}");
        }
    }

    #[test]
    fn content_types_may_have_parameters() {
        assert_eq!(Format::of_content_type("application/json;charset=UTF-8"), Some(Format::Json));
        assert_eq!(Format::of_content_type("APPLICATION/JSON"), Some(Format::Json));
        assert_eq!(Format::of_content_type("application/x-msgpack"), Some(Format::Msgpack));
        for other in ["", "text/plain", "application/jsonx", "application/xml;application/json"] {
            assert_eq!(Format::of_content_type(other), None, "{other}");
        }
    }
}
