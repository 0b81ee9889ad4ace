//! The query strings of `/v1/streams` (streams-events-v1.md, sections 1 to 5).

use shared::stacktach::Query;

use crate::engine::State;
use crate::error::Error;
use crate::store::{StreamFilter, wanted_terms};

/// Most traits that a filter may name.
const MAX_TRAITS: usize = 50;

/// Whether `details`, or `detail`, is asked for: any text but a word for no.
pub(super) fn has_details(query: &Query) -> bool {
    let word = query.get("details").or_else(|| query.get("detail")).unwrap_or("no");
    !["false", "0", "no", "off"].iter().any(|no| word.eq_ignore_ascii_case(no))
}

/// What `GET /v1/streams` asks for, `limit` streams at most, and its count, which has no limit.
pub(super) fn filter(query: &Query, limit: usize) -> Result<StreamFilter, Error> {
    let date = |name| query.date(name).map_err(Error::Invalid);
    let (direction, mark) = query.mark().map_err(Error::Invalid)?;
    let name = query.get("trigger_name").or_else(|| query.get("name"));
    if name.is_some_and(|name| name.contains('\0')) {
        return Err(Error::Invalid("trigger_name contains a NUL character".to_owned()));
    }
    let traits = query.pairs("distinguishing_traits", MAX_TRAITS).map_err(Error::Invalid)?;
    Ok(StreamFilter {
        older_than: date("older_than")?,
        younger_than: date("younger_than")?,
        state: query.get("state").map(state).transpose()?,
        trigger_name: name.map(str::to_owned),
        traits: traits.iter().map(|(name, value)| wanted_terms(name, value)).collect(),
        mark,
        direction,
        limit,
    })
}

fn state(word: &str) -> Result<State, Error> {
    State::from_word(word).ok_or_else(|| Error::Invalid(format!("state is not known: {word}")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_for_no_are_no_and_any_other_text_is_yes() {
        for (text, expected) in [
            ("", false),
            ("details=", false),
            ("details=False", false),
            ("detail=off", false),
            ("details=0", false),
            ("details=no", false),
            ("details=True", true),
            ("detail=1", true),
            ("details=please", true),
        ] {
            assert_eq!(has_details(&Query::parse(text)), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_query_string_panics(text in "\\PC{0,80}") {
            let _ = filter(&Query::parse(&text), 100);
            let _ = filter(&Query::parse(&format!("distinguishing_traits={text}")), 100);
        }
    }
}
