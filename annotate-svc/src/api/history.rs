//! `/annotation/{id}/history`: every version of an annotation, also of a deleted one (annotate.md, section 11).

use super::annotations::{form, known_form};
use super::answer::json;
use super::reading::Reading;
use super::route::{Kind, add};
use crate::error::Error;
use crate::model::{Form, Stamp, pairs};
use crate::store::{self, Archived};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

/// Versions of one answer.
const PAGE: usize = 100;

/// Most versions of one answer.
const MAX_PAGE: usize = 1000;

pub(super) fn routes(cfg: &mut ServiceConfig, prefix: &str) {
    add(cfg, &format!("{prefix}/{{id}}/history"), Kind::Own("GET"), |resource| resource.get(list_versions));
}

/// `GET …/{id}/history[?limit=&before=&Epoch=1]`: newest first; `before` is the last version seen.
async fn list_versions(
    req: HttpRequest,
    id: web::Path<String>,
    reading: Reading,
) -> Result<HttpResponse, Error> {
    let id = known_form(&id).ok_or(Error::NotFound)?;
    let pairs = pairs(req.query_string());
    let value = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    let limit = value("limit").map_or(Some(PAGE), |text| text.parse().ok());
    let limit = limit.filter(|limit| (1..=MAX_PAGE).contains(limit));
    let limit = limit.ok_or_else(|| Error::Invalid(format!("limit: expected 1 to {MAX_PAGE}")))?;
    let before = value("before").map_or(Some(i64::MAX), |text| text.parse().ok());
    let before = before.ok_or_else(|| Error::Invalid("before: expected a version".into()))?;
    let versions = reading.read(move |conn| store::list_versions(conn, id, before, limit)).await?;
    if versions.is_empty() && before == i64::MAX {
        return Err(Error::NotFound);
    }
    let form = form(&req);
    Ok(json(&versions.iter().map(|version| object(version, form)).collect::<Vec<_>>()))
}

fn object(version: &Archived, form: Form) -> Value {
    let at = Stamp { micros: version.at, offset_secs: 0 };
    let at = match form {
        Form::Rfc3339 => Value::from(at.rfc3339()),
        Form::Epoch => Value::from(at.secs()),
    };
    json!({
        "Version": version.stored.version, "Action": version.action, "ChangedAt": at, "ChangedBy": version.by,
        "Annotation": version.stored.annotation.wire(form),
    })
}
