//! The parameters of a handler, as lax as the original took them.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;
use shared::glob::GlobSet;

use super::{HandlerError, Params};

/// Bound of the parameters that are times.
const LONGEST: Duration = Duration::from_secs(3600);

/// Reads a handler's parameters into its type; null and blank ones are not given, and those that nobody knows are
/// ignored, as in the original.
pub(super) fn read<T: serde::de::DeserializeOwned>(params: &Params) -> Result<T, HandlerError> {
    let is_given =
        |value: &Json| !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty());
    let given = params.iter().filter(|(_, value)| is_given(value));
    let given = given.map(|(name, value)| (name.clone(), value.clone())).collect();
    serde_json::from_value(Json::Object(given))
        .map_err(|error| HandlerError::new(format_args!("wrong parameter: {error}")))
}

/// A list of texts, which may also be one text.
pub(super) fn texts<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a text or a list of texts")]
    enum Texts {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Texts::deserialize(source)? {
        Texts::One(text) => vec![text],
        Texts::Many(texts) => texts,
    })
}

/// Types of events; none given are all.
pub(super) fn event_types(globs: &[String]) -> Result<GlobSet, HandlerError> {
    let all = ["*".to_owned()];
    GlobSet::parse(if globs.is_empty() { &all } else { globs }).map_err(HandlerError::new)
}

/// So many seconds, none or an hour at most, whatever number it is.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).map_or(LONGEST, |time| time.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_bound_whatever_is_given() {
        for (given, time) in [
            (0.5, Duration::from_millis(500)),
            (30.0, Duration::from_secs(30)),
            (-1.0, Duration::ZERO),
            (1e300, LONGEST),
            (f64::INFINITY, LONGEST),
        ] {
            assert_eq!(seconds(given), time, "{given}");
        }
        assert!(seconds(f64::NAN) <= LONGEST);
    }
}
