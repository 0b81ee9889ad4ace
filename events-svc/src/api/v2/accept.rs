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

/// The `Accept` header of a request.
#[derive(Debug)]
pub(super) struct Accept(shared::accept::Accept);

impl Accept {
    /// The header, several of them joined as HTTP says.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).map(|value| String::from_utf8_lossy(value.as_bytes()));
        Self::parse(&values.collect::<Vec<_>>().join(","))
    }

    fn parse(text: &str) -> Self {
        Self(shared::accept::Accept::parse(text))
    }

    /// What a 200 is written in; `None` is 406.
    pub(super) fn representation(&self) -> Option<Representation> {
        if matches!(self.0.text(), "" | "*/*") {
            return Some(Representation::Json);
        }
        // Quirk: XML stands first, so that `application/*` and a browser's usual header get it.
        Some(match self.0.preferred(&[XML, TEXT_XML, JSON])? {
            XML => Representation::Xml,
            TEXT_XML => Representation::TextXml,
            _ => Representation::Json,
        })
    }

    /// Whether JSON will do: for documents that have no other form.
    pub(super) fn takes_json(&self) -> bool {
        self.0.text().is_empty() || self.0.preferred(&[JSON]).is_some()
    }

    /// Whether JSON is asked for by name.
    pub(super) fn names_json(&self) -> bool {
        self.0.text().contains(JSON) && self.takes_json()
    }

    /// How a fault of the routing and access layer is written.
    pub(super) fn page(&self) -> Page {
        match self.0.acceptable(&["text/html", JSON]) {
            Some(JSON) => Page::Object,
            Some(_) => Page::Html,
            None => Page::Plain,
        }
    }

    /// Whether an error is XML. Quirk: here the best range decides, in [`Accept::representation`] the most specific.
    pub(super) fn prefers_xml_error(&self) -> bool {
        self.0.ranks(XML, JSON)
    }
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
