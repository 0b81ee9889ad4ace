//! `/annotation/table` and `/annotation/stats`: what Bosun's expression functions computed (annotate.md, section 10).

use super::answer::json;
use super::reading::Reading;
use super::route::{Kind, add};
use crate::error::Error;
use crate::model::{Column, Form, Parameters, Stats};
use crate::store::{Order, Search};
use actix_web::web::ServiceConfig;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

pub(super) fn routes(cfg: &mut ServiceConfig, prefix: &str) {
    add(cfg, &format!("{prefix}/table"), Kind::Own("GET"), |resource| resource.get(table));
    add(cfg, &format!("{prefix}/stats"), Kind::Own("GET"), |resource| resource.get(stats));
}

/// `GET …/table?filter=&columns=&StartDate=&EndDate=`: `{"Columns": […], "Rows": [[…]]}`, newest first.
async fn table(req: HttpRequest, reading: Reading) -> Result<HttpResponse, Error> {
    let parameters = Parameters::parse(req.query_string(), &["filter", "columns"], reading.now())?;
    let columns = Column::list(parameters.own("columns").unwrap_or_default()).map_err(Error::Invalid)?;
    let mut search = Search::of(&parameters)?;
    search.order = Order::Newest;
    let found = reading.all(search).await?;
    let row = |texts: &crate::store::Stored| -> Vec<Value> {
        columns.iter().map(|column| column.value(&texts.annotation, parameters.form)).collect()
    };
    let rows: Vec<Vec<Value>> = found.iter().map(row).collect();
    let names: Vec<&str> = columns.iter().map(|column| column.name()).collect();
    Ok(json(&json!({ "Columns": names, "Rows": rows })))
}

/// `GET …/stats?filter=&StartDate=&EndDate=`: how many annotations, each counted by the part of it that lies in the
/// window, and how long they were. Newest first; sums of nothing are null.
async fn stats(req: HttpRequest, reading: Reading) -> Result<HttpResponse, Error> {
    let parameters = Parameters::parse(req.query_string(), &["filter"], reading.now())?;
    let (start, end) = parameters.dates;
    let mut search = Search::of(&parameters)?;
    search.order = Order::Newest;
    let found = reading.all(search).await?;
    let stats = Stats::of(found.iter().map(|stored| &stored.annotation), start, end);
    let date = |stamp: crate::model::Stamp| match parameters.form {
        Form::Rfc3339 => Value::from(stamp.rfc3339()),
        Form::Epoch => Value::from(stamp.secs()),
    };
    Ok(json(&json!({
        "StartDate": date(start), "EndDate": date(end), "Count": stats.counts.len(),
        "Counts": stats.counts, "CountsSum": sum(&stats.counts),
        "Durations": stats.durations, "DurationsSum": sum(&stats.durations),
    })))
}

/// The sum; of nothing it is no number in the original, `null` in JSON.
fn sum(numbers: &[f64]) -> Option<f64> {
    (!numbers.is_empty()).then(|| numbers.iter().sum())
}
