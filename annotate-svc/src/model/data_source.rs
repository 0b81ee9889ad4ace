//! What Grafana's data sources send, and the tables and series they take.

use super::annotation::{Annotation, Field};
use super::go::time::parse_rfc3339;
use super::query::Window;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// Points of one series.
const MAX_POINTS: i64 = 11_000;

/// Targets of one query.
const MAX_TARGETS: usize = 26;

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
    fn interval(&self, millis: i64) -> i64 {
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            reason = "saturates, as it should"
        )]
        let number = |asked: Option<f64>| asked.unwrap_or(0.0).max(0.0) as i64;
        let most = match number(self.max_points) {
            0 => MAX_POINTS,
            points => points.min(MAX_POINTS),
        };
        number(self.interval_millis).max(millis / most + 1).max(1)
    }
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

/// How many annotations began in each interval of the query.
#[must_use]
pub fn series<'a>(
    name: &str,
    ref_id: &str,
    query: &Query,
    annotations: impl Iterator<Item = &'a Annotation>,
) -> Value {
    let Ok(Window { start, end }) = query.range.window() else { return Value::Null };
    let (start, end) = (start.div_euclid(1000), end.div_euclid(1000));
    let interval = query.interval((end - start).max(0));
    let mut points: Vec<(i64, i64)> = Vec::new();
    let mut at = start;
    while at <= end {
        points.push((0, at));
        at += interval;
    }
    for one in annotations {
        let began = one.start.millis();
        let place = usize::try_from((began - start).div_euclid(interval)).ok();
        if let Some((count, _)) = place.and_then(|place| points.get_mut(place)) {
            *count += 1;
        }
    }
    json!({ "target": name, "refId": ref_id, "datapoints": points })
}
