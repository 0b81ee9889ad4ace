//! `timedelta`: seconds between two times.

use serde_json::Value;
use shared::datetime;
use shared::yaml::Error;

use super::{Match, Parameters, TraitPlugin};

#[derive(Debug)]
struct Timedelta;

pub(super) fn new(_parameters: &Parameters<'_>) -> Result<Box<dyn TraitPlugin>, Error> {
    Ok(Box::new(Timedelta))
}

impl TraitPlugin for Timedelta {
    /// Needs exactly two matches, both ISO 8601 times.
    fn trait_values(&self, matches: &[Match]) -> Vec<Value> {
        let [start, end] = matches else { return Vec::new() };
        let instant = |found: &Match| datetime::parse_iso8601(found.value.as_str()?);
        let (Some(start), Some(end)) = (instant(start), instant(end)) else { return Vec::new() };
        let micros = datetime::to_micros(end).abs_diff(datetime::to_micros(start));
        #[expect(clippy::as_conversions, reason = "the nearest double is what is asked for")]
        let seconds = micros as f64 / 1e6;
        vec![seconds.into()]
    }
}
