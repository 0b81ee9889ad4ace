//! The query strings of `/v1/events` (streams-events-v1.md, sections 1 to 4 and 6).

use crate::error::Error;
use crate::model::{FlatFilter, TraitValue};
use shared::stacktach::Query;

/// Pairs of one filter, at most, as in v2: each is a query of its own to the database's planner.
const MAX_PAIRS: usize = 64;

/// What `GET /v1/events` asks for, `limit` events at most, and its count, which has no limit.
pub(crate) fn filter(query: &Query, limit: usize) -> Result<FlatFilter, Error> {
    let date = |name| query.date(name).map_err(Error::Invalid);
    let (direction, mark) = query.mark().map_err(Error::Invalid)?;
    let traits = query.pairs("traits", MAX_PAIRS).map_err(Error::Invalid)?;
    Ok(FlatFilter {
        event_type: query.get("event_name").map(str::to_owned),
        after: date("from_datetime")?,
        until: date("to_datetime")?,
        traits: traits.into_iter().map(|(name, value)| (name, readings(&value))).collect(),
        mark,
        direction,
        limit,
        ..FlatFilter::default()
    })
}

/// Everything a text can mean as a trait's value.
fn readings(text: &str) -> Vec<TraitValue> {
    let mut readings = vec![TraitValue::Text(text.to_owned())];
    readings.extend(text.parse().ok().map(TraitValue::Integer));
    readings.extend(text.parse().ok().filter(|number: &f64| number.is_finite()).map(TraitValue::Float));
    readings.extend(shared::datetime::parse(text).map(TraitValue::Datetime));
    readings
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_stands_for_every_type_it_can_be_read_as() {
        use TraitValue::{Float, Integer, Text};
        assert_eq!(readings("7"), [Text("7".into()), Integer(7), Float(7.0)]);
        assert_eq!(readings("2.0"), [Text("2.0".into()), Float(2.0)]);
        let noon = "2015-02-27T12:00:00".parse().unwrap();
        assert_eq!(readings("2015-02-27T13:00+01:00").last(), Some(&TraitValue::Datetime(noon)));
    }

    proptest! {
        #[test]
        fn no_query_string_panics(text in "\\PC{0,80}") {
            let _ = filter(&Query::parse(&text), 100);
            let _ = filter(&Query::parse(&format!("traits={text}")), 100);
        }
    }
}
