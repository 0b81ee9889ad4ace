//! The header `Accept`: which of several media types a client would rather have (RFC 9110, section 12.5.1).

/// What a client accepts.
#[derive(Debug)]
pub struct Accept {
    text: String,
    /// `None` when the header is malformed: then everything is acceptable.
    ranges: Option<Vec<Range>>,
}

/// One media range with its weight.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    kind: String,
    subtype: String,
    /// Without parameters; a range with some covers no media type by its full name.
    is_bare: bool,
    /// Weight in thousandths.
    weight: u16,
}

impl Accept {
    /// Reads the header; several of them are one, joined by commas.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        Self { text: text.to_owned(), ranges: ranges(text) }
    }

    /// The header as it came.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The offer of the greatest weight, of equal ones the first. The most specific range gives an offer its weight.
    #[must_use]
    pub fn acceptable<'o>(&self, offers: &[&'o str]) -> Option<&'o str> {
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

    /// The acceptable offer; else one that the header starts with, which forgives parameters.
    #[must_use]
    pub fn preferred<'o>(&self, offers: &[&'o str]) -> Option<&'o str> {
        let named = || offers.iter().find(|offer| self.text.starts_with(**offer)).copied();
        self.acceptable(offers).or_else(named)
    }

    /// Whether the best range that covers `one` is better than the best that covers `other`.
    #[must_use]
    pub fn ranks(&self, one: &str, other: &str) -> bool {
        let Some(ranges) = &self.ranges else { return false };
        let best = |offer: &str| {
            let covering = ranges.iter().filter(|range| range.weight > 0);
            covering.filter_map(|range| Some((range.weight, range.specificity(offer)?))).max()
        };
        best(one) > best(other)
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

    /// Right: the examples of RFC 9110, section 12.5.1, and the weights that its section 12.4.2 gives.
    #[test]
    fn the_most_specific_range_gives_the_weight() {
        let accept = "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, text/plain;format=fixed;q=0.4, */*;q=0.5";
        for (offers, expected) in [
            (["text/html", "text/plain"], Some("text/plain")),
            (["text/html", "image/jpeg"], Some("image/jpeg")),
        ] {
            assert_eq!(Accept::parse(accept).acceptable(&offers), expected, "{offers:?}");
        }
        for (accept, expected) in [
            ("audio/*; q=0.2, audio/basic", Some("audio/basic")),
            ("audio/*", Some("audio/x")),
            ("audio/*;q=0", None),
            ("text/html", None),
            ("nonsense", Some("audio/x")),
            ("audio/basic;q=2", Some("audio/x")),
        ] {
            assert_eq!(Accept::parse(accept).acceptable(&["audio/x", "audio/basic"]), expected, "{accept}");
        }
    }

    #[test]
    fn a_better_range_ranks_higher_and_a_malformed_header_ranks_nothing() {
        for (accept, expected) in [
            ("a/x, a/y;q=0.9", true),
            ("a/x, */*", true),
            ("a/x, a/y", false),
            ("*/*", false),
            ("nonsense", false),
        ] {
            assert_eq!(Accept::parse(accept).ranks("a/x", "a/y"), expected, "{accept}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(text in ".{0,60}", near in "[a-z*/;,=q0-9. \"\\\\]{0,60}") {
            for text in [text, near] {
                let accept = Accept::parse(&text);
                let _ = (accept.preferred(&["a/b"]), accept.ranks("a/b", "c/d"));
            }
        }
    }
}
