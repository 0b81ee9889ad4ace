//! `/annotation/values/{field}`: the values that annotations have (annotate.md, sections 5 and 11).

use super::answer::json;
use super::query::limit;
use super::reading::Reading;
use super::route::{Kind, add};
use crate::error::Error;
use crate::model::{Field, Parameters};
use crate::store::Search;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

/// Names that this route knows besides those of a query.
const OWN: &[&str] = &["filter", "limit", "counts"];

pub(super) fn routes(cfg: &mut ServiceConfig, prefix: &str) {
    add(cfg, &format!("{prefix}/values/{{field}}"), Kind::Own("GET"), |resource| resource.get(list_values));
}

/// `GET …/values/{field}`: the values, most frequent first, without the empty one; with `counts=1` how many
/// annotations have each. With a window or conditions only of the annotations that meet them.
async fn list_values(
    req: HttpRequest,
    field: web::Path<String>,
    reading: Reading,
) -> Result<HttpResponse, Error> {
    let field = counted(&field).ok_or_else(|| Error::Original(format!("invalid field {field}")))?;
    let parameters = Parameters::parse(req.query_string(), OWN, reading.now())?;
    let most = limit(&parameters, reading.config.max_values)?.unwrap_or(reading.config.max_values);
    let values = if parameters.is_search() {
        reading.values_of(Search::of(&parameters)?, field, most).await?
    } else {
        reading.values(field, most).await?
    };
    if parameters.own("counts") == Some("1") {
        let counted = values.iter().map(|(value, count)| json!({ "Value": value, "Count": count }));
        return Ok(json(&counted.collect::<Vec<_>>()));
    }
    Ok(json(&values.iter().map(|(value, _)| value).collect::<Vec<_>>()))
}

/// The field of this name. The seed says `URL`, the documents `Url`: both are taken.
pub(super) fn counted(name: &str) -> Option<Field> {
    let name = if name == "URL" { "Url" } else { name };
    Field::named(name).filter(|field| Field::COUNTED.contains(field))
}
