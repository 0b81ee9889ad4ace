//! Which representation the client accepts, chosen as the original's libraries choose (events-v2.md, sections 4 and 8).

use super::error::Fault;
use actix_web::dev::Payload;
use actix_web::http::header::{ACCEPT, HeaderMap};
use actix_web::{FromRequest, HttpRequest};
use std::future::{Ready, ready};

const JSON: &str = "application/json";
const XML: &str = "application/xml";
const TEXT_XML: &str = "text/xml";

/// How a 200 is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Representation {
    /// `application/json`.
    Json,
    /// `application/xml`.
    Xml,
    /// `text/xml`: the same text under another name.
    TextXml,
}

impl Representation {
    /// The content type of an answer. JSON goes without a charset, as the contract asks.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Xml => "application/xml; charset=UTF-8",
            Self::TextXml => "text/xml; charset=UTF-8",
        }
    }

    pub(super) fn is_xml(self) -> bool {
        self != Self::Json
    }
}

/// The first argument of a handler: 406 comes before every other check of a known path.
impl FromRequest for Representation {
    type Error = Fault;
    type Future = Ready<Result<Self, Fault>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Accept::of(req.headers()).representation().ok_or(Fault::NotAcceptable))
    }
}

/// How an error of the routing and access layer is written inside `error_message`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    /// A JSON object with code and title.
    Object,
    /// A small HTML page.
    Html,
    /// Plain text.
    Plain,
}

/// The `Accept` header of a request (RFC 9110, section 12.5.1).
#[derive(Debug)]
pub(super) struct Accept {
    text: String,
    /// `None` when the header is malformed: then everything is acceptable.
    ranges: Option<Vec<Range>>,
}

/// One media range with its weight.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    kind: String,
    subtype: String,
    /// Without parameters; a range with some covers none of our types by its full name.
    is_bare: bool,
    /// Weight in thousandths.
    weight: u16,
}

impl Accept {
    /// The header, several of them joined as HTTP says.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).map(|value| String::from_utf8_lossy(value.as_bytes()));
        Self::parse(&values.collect::<Vec<_>>().join(","))
    }

    fn parse(text: &str) -> Self {
        let text = text.trim();
        Self { text: text.to_owned(), ranges: ranges(text) }
    }

    /// What a 200 is written in; `None` is 406.
    pub(super) fn representation(&self) -> Option<Representation> {
        if self.text.is_empty() || self.text == "*/*" {
            return Some(Representation::Json);
        }
        // Quirk: XML stands first, so that `application/*` and a browser's usual header get it.
        Some(match self.preferred(&[XML, TEXT_XML, JSON])? {
            XML => Representation::Xml,
            TEXT_XML => Representation::TextXml,
            _ => Representation::Json,
        })
    }

    /// Whether JSON will do: for documents that have no other form.
    pub(super) fn takes_json(&self) -> bool {
        self.text.is_empty() || self.preferred(&[JSON]).is_some()
    }

    /// Whether JSON is asked for by name.
    pub(super) fn names_json(&self) -> bool {
        self.text.contains(JSON) && self.takes_json()
    }

    /// How a fault of the routing and access layer is written.
    pub(super) fn page(&self) -> Page {
        match self.acceptable(&["text/html", JSON]) {
            Some(JSON) => Page::Object,
            Some(_) => Page::Html,
            None => Page::Plain,
        }
    }

    /// Whether an error is XML. Quirk: here the best range decides, in [`Accept::representation`] the most specific.
    pub(super) fn prefers_xml_error(&self) -> bool {
        let Some(ranges) = &self.ranges else { return false };
        let best = |offer: &str| {
            let covering = ranges.iter().filter(|range| range.weight > 0);
            covering.filter_map(|range| Some((range.weight, range.specificity(offer)?))).max()
        };
        best(XML) > best(JSON)
    }

    /// The acceptable offer; else one that the header starts with, which forgives parameters.
    fn preferred<'o>(&self, offers: &[&'o str]) -> Option<&'o str> {
        let named = || offers.iter().find(|offer| self.text.starts_with(**offer)).copied();
        self.acceptable(offers).or_else(named)
    }

    /// The offer of the greatest weight, of equal ones the first. The most specific range gives an offer its weight.
    fn acceptable<'o>(&self, offers: &[&'o str]) -> Option<&'o str> {
        let Some(ranges) = &self.ranges else { return offers.first().copied() };
        let weight = |offer: &str| {
            let covering =
                ranges.iter().rev().filter_map(|range| Some((range.specificity(offer)?, range.weight)));
            covering.max_by_key(|(specificity, _)| *specificity).map_or(0, |(_, weight)| weight)
        };
        let weighed =
            offers.iter().rev().map(|offer| (weight(offer), *offer)).filter(|(weight, _)| *weight > 0);
        weighed.max_by_key(|(weight, _)| *weight).map(|(_, offer)| offer)
    }
}

impl Range {
    /// How closely the range names the media type; `None` when it does not cover it.
    fn specificity(&self, offer: &str) -> Option<u8> {
        let (kind, subtype) = offer.split_once('/')?;
        match (self.kind.as_str(), self.subtype.as_str()) {
            (own_kind, own) if own_kind == kind && own == subtype => self.is_bare.then_some(3),
            (own_kind, "*") if own_kind == kind => Some(2),
            ("*", "*") => Some(1),
            _ => None,
        }
    }
}

/// The ranges of a header; `None` when one of them is malformed.
fn ranges(text: &str) -> Option<Vec<Range>> {
    let elements = split(text, ',').into_iter().map(str::trim).filter(|element| !element.is_empty());
    elements.map(range).collect()
}

fn range(element: &str) -> Option<Range> {
    let mut parts = split(element, ';').into_iter().map(str::trim);
    let (kind, subtype) =
        parts.next()?.split_once('/').filter(|(kind, sub)| is_token(kind) && is_token(sub))?;
    let mut range =
        Range { kind: kind.to_lowercase(), subtype: subtype.to_lowercase(), is_bare: true, weight: 1000 };
    let mut is_weighed = false;
    for part in parts {
        match part.split_once('=') {
            Some(("q" | "Q", value)) if !is_weighed => {
                range.weight = weight(value)?;
                is_weighed = true;
            }
            Some((name, value)) if is_token(name) && is_value(value) => range.is_bare &= is_weighed,
            // Only what follows the weight may be a bare word.
            None if is_weighed && is_token(part) => {}
            Some(_) | None => return None,
        }
    }
    Some(range)
}

/// A weight from 0 to 1 with at most three decimals, in thousandths.
fn weight(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{decimals:0<3}").parse().ok()?;
    match (whole, thousandths) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

fn is_token(text: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_tchar)
}

fn is_value(text: &str) -> bool {
    let is_quoted = text.len() >= 2 && text.starts_with('"') && text.ends_with('"');
    is_quoted || is_token(text)
}

/// Splits at a separator, but not inside quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(|c| {
        let separates = c == separator && !is_quoted;
        is_quoted ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && is_quoted && !is_escaped;
        separates
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Right: what `WebOb` 1.8.7 and pecan 1.4.2 choose for the header.
    #[test]
    fn representation_is_chosen_as_the_original_does() {
        use Representation::{Json, TextXml, Xml};
        for (accept, expected) in [
            ("", Some(Json)),
            ("*/*", Some(Json)),
            ("application/json", Some(Json)),
            ("application/xml", Some(Xml)),
            ("text/xml", Some(TextXml)),
            ("application/xml;q=0.5, application/json", Some(Json)),
            ("application/json;q=0.5, application/xml;q=0.6", Some(Xml)),
            ("application/json;q=0, text/xml", Some(TextXml)),
            ("application/*", Some(Xml)),
            ("text/*", Some(TextXml)),
            ("text/html,*/*", Some(Xml)),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", Some(Xml)),
            ("*/*;q=0.1, application/json", Some(Json)),
            ("application/json;charset=utf-8", Some(Json)),
            ("application/json; charset=\"a,b;c\"", Some(Json)),
            ("APPLICATION/JSON", Some(Json)),
            ("nonsense", Some(Xml)),
            ("application/json;q=2", Some(Xml)),
            (",,application/json,", Some(Json)),
            ("text/html", None),
            ("image/png", None),
            ("text/javascript", None),
            ("application/vnd.openstack.telemetry-v2+json", None),
            ("application/json;q=0", Some(Json)),
            ("*/*;q=0", None),
        ] {
            assert_eq!(Accept::parse(accept).representation(), expected, "{accept}");
        }
    }

    #[test]
    fn form_of_an_error_is_chosen_as_the_original_does() {
        use Page::{Html, Object, Plain};
        for (accept, page, is_xml) in [
            ("", Plain, false),
            ("*/*", Html, false),
            ("text/html", Html, false),
            ("application/json", Object, false),
            ("application/*", Object, false),
            ("text/plain", Plain, false),
            ("application/xml", Plain, true),
            ("text/xml", Plain, false),
            ("application/xml, */*", Html, true),
            ("*/*, application/xml", Html, true),
            ("application/xml, application/json", Object, false),
            ("application/xml;q=0.5, application/json", Object, false),
            ("nonsense", Html, false),
        ] {
            let accept_header = Accept::parse(accept);
            assert_eq!((accept_header.page(), accept_header.prefers_xml_error()), (page, is_xml), "{accept}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(text in ".{0,60}", near in "[a-z*/;,=q0-9. \"\\\\]{0,60}") {
            for text in [text, near] {
                let accept = Accept::parse(&text);
                let _ = (accept.representation(), accept.page(), accept.prefers_xml_error());
            }
        }
    }
}
