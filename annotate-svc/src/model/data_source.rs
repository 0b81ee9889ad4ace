//! What Grafana's data sources send, and the tables and series they take.

use super::annotation::{Annotation, Field};
use super::go::time::parse_rfc3339;
use super::query::Window;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

/// Points of one series.
const MAX_POINTS: i64 = 11_000;

/// Targets of one query.
const MAX_TARGETS: usize = 26;

/// Points of all series of an answer.
const MAX_ANSWER_POINTS: i64 = 26 * MAX_POINTS;

/// Bytes of a panel's own words: they go back with every annotation.
const MAX_ECHO_BYTES: usize = 4096;

/// The times of a panel.
#[derive(Debug, Clone, Deserialize)]
pub struct Range {
    from: String,
    to: String,
}

impl Range {
    /// The window.
    ///
    /// # Errors
    /// When a time is not RFC 3339.
    pub fn window(&self) -> Result<Window, String> {
        let read =
            |name: &str, text: &str| parse_rfc3339(text).map_err(|cause| format!("range.{name}: {cause}"));
        Ok(Window { start: read("from", &self.from)?.micros, end: read("to", &self.to)?.micros })
    }
}

/// Body of `POST /annotations`.
#[derive(Debug, Clone, Deserialize)]
pub struct AnnotationQuery {
    /// When.
    pub range: Range,
    /// The panel's own words; goes back as it came.
    #[serde(default)]
    pub annotation: Value,
}

impl AnnotationQuery {
    /// Refuses what would make the answer too large.
    ///
    /// # Errors
    /// Says what.
    pub fn check(&self) -> Result<(), String> {
        let is_small = self.annotation.to_string().len() <= MAX_ECHO_BYTES;
        if is_small { Ok(()) } else { Err(format!("annotation: at most {MAX_ECHO_BYTES} bytes")) }
    }
}

/// Body of `POST /tag-values`.
#[derive(Debug, Clone, Deserialize)]
pub struct TagValuesQuery {
    /// Field.
    pub key: String,
}

/// Body of `POST /query`.
#[derive(Debug, Clone, Deserialize)]
pub struct Query {
    /// When.
    pub range: Range,
    #[serde(rename = "intervalMs", default)]
    interval_millis: Option<f64>,
    #[serde(rename = "maxDataPoints", default)]
    max_points: Option<f64>,
    /// What.
    #[serde(default)]
    pub targets: Vec<Target>,
    /// Conditions on fields.
    #[serde(rename = "adhocFilters", default, deserialize_with = "or_default")]
    pub adhoc_filters: Vec<AdhocFilter>,
}

/// One thing that a panel asks for.
#[derive(Debug, Clone, Deserialize)]
pub struct Target {
    /// A field or a filter.
    #[serde(default, deserialize_with = "or_default")]
    pub target: String,
    /// The panel's name for it.
    #[serde(rename = "refId", default, deserialize_with = "or_default")]
    pub ref_id: String,
    /// What form the answer has.
    #[serde(rename = "type", default)]
    pub kind: Kind,
}

/// Forms of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Kind {
    /// Rows.
    #[serde(rename = "table")]
    Table,
    /// Counts per interval.
    #[default]
    #[serde(other)]
    Series,
}

/// A condition that the viewer of a dashboard has added.
#[derive(Debug, Clone, Deserialize)]
pub struct AdhocFilter {
    /// Field.
    pub key: String,
    /// `=`, `!=`
    pub operator: String,
    /// Value.
    pub value: String,
}

/// `null` for nothing, as some panels send it.
fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Query {
    /// Refuses more than one answer should hold.
    ///
    /// # Errors
    /// Says what.
    pub fn check(&self) -> Result<(), String> {
        if self.targets.len() > MAX_TARGETS {
            return Err(format!("at most {MAX_TARGETS} targets"));
        }
        self.range.window().map(|_window| ())
    }

    /// Milliseconds between two points: what the panel asks for, and more when that gave too many points.
    fn interval(&self, millis: i64, most_points: i64) -> i64 {
        number(self.interval_millis).max(millis / most_points + 1)
    }

    /// Points of one series, of a target that has so many.
    fn most_points(&self, together: usize) -> i64 {
        let series = i64::try_from(self.targets.len().saturating_mul(together)).unwrap_or(i64::MAX).max(1);
        let most = MAX_POINTS.min(MAX_ANSWER_POINTS / series).max(1);
        match number(self.max_points) {
            0 => most,
            points => points.min(most),
        }
    }
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "saturates, as it should")]
fn number(asked: Option<f64>) -> i64 {
    asked.unwrap_or(0.0).max(0.0) as i64
}

/// A table of annotations.
#[must_use]
pub fn table<'a>(annotations: impl Iterator<Item = &'a Annotation>, ref_id: &str) -> Value {
    let mut columns =
        vec![json!({ "text": "StartDate", "type": "time" }), json!({ "text": "EndDate", "type": "time" })];
    columns.extend(Field::ALL.map(|field| json!({ "text": field.name(), "type": "string" })));
    columns.push(json!({ "text": "Id", "type": "string" }));
    let row = |one: &Annotation| -> Vec<Value> {
        let dates = [one.start.millis(), one.end.millis()].map(Value::from);
        let texts = one.texts.iter().map(|(_, text)| Value::from(text));
        dates.into_iter().chain(texts).chain([one.id.to_string().into()]).collect()
    };
    let rows: Vec<Vec<Value>> = annotations.map(row).collect();
    json!({ "type": "table", "refId": ref_id, "columns": columns, "rows": rows })
}

/// How many annotations began in each interval.
#[derive(Debug, Serialize)]
pub struct Series {
    target: String,
    #[serde(rename = "refId")]
    ref_id: String,
    /// Count and begin of each interval.
    datapoints: Vec<(i64, i64)>,
}

/// The series of the annotations that come; `together` is how many series their target has.
#[must_use]
pub fn series<'a>(
    name: &str,
    ref_id: &str,
    (query, window): (&Query, Window),
    together: usize,
    annotations: impl Iterator<Item = &'a Annotation>,
) -> Series {
    let (start, end) = (window.start.div_euclid(1000), window.end.div_euclid(1000));
    let millis = end - start;
    let interval = query.interval(millis.max(0), query.most_points(together));
    let places = if millis < 0 { 0 } else { millis / interval + 1 };
    let mut datapoints: Vec<(i64, i64)> = (0..places).map(|place| (0, start + place * interval)).collect();
    for one in annotations {
        let place = usize::try_from((one.start.millis() - start).div_euclid(interval)).ok();
        if let Some((count, _)) = place.and_then(|place| datapoints.get_mut(place)) {
            *count += 1;
        }
    }
    Series { target: name.to_owned(), ref_id: ref_id.to_owned(), datapoints }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(more: &Value) -> Query {
        let range = json!({ "from": "2016-02-01T00:00:00Z", "to": "2016-03-02T00:00:00Z" });
        let mut query = json!({ "range": range, "targets": [{}, {}] });
        query.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(query).unwrap()
    }

    fn points(more: &Value, together: usize) -> Vec<(i64, i64)> {
        let query = query(more);
        let window = query.range.window().unwrap();
        series("a", "A", (&query, window), together, std::iter::empty()).datapoints
    }

    #[test]
    fn whatever_interval_is_asked_for_a_series_has_a_bound() {
        const DAY: i64 = 86_400_000;
        const START: i64 = 1_454_284_800_000;
        for huge in [json!(i64::MAX), json!(1e300), json!(30 * DAY + 1)] {
            assert_eq!(points(&json!({ "intervalMs": huge, "maxDataPoints": 0 }), 1), [(0, START)], "{huge}");
        }
        assert_eq!(points(&json!({ "intervalMs": DAY }), 1).len(), 31);
        assert_eq!(points(&json!({ "maxDataPoints": 2 }), 1).len(), 2);
        // 30 days are more than 11 000 points of 235 637 ms.
        assert_eq!(points(&json!({ "intervalMs": 1 }), 1).len(), 11_000);
        // Two targets of 50 series have 286 000 points together, 2 860 each.
        assert_eq!(points(&json!({ "intervalMs": 1 }), 50).len(), 2860);
        assert_eq!(points(&json!({ "intervalMs": -5, "maxDataPoints": -1 }), 1).len(), 11_000);
    }

    #[test]
    fn a_range_that_ends_before_it_begins_has_no_points() {
        let query = query(&json!({}));
        let window = Window { start: 5_000_000, end: 0 };
        assert!(series("a", "A", (&query, window), 1, std::iter::empty()).datapoints.is_empty());
    }
}
