//! Grafana's `SimpleJSON` and JSON data sources (annotate.md, section 11): they read with POST, below the root.

use super::answer::json;
use super::page::page;
use super::reading::Reading;
use super::route::{Kind, add};
use super::values::counted;
use crate::error::Error;
use crate::model::data_source::{
    AnnotationQuery, Kind as TargetKind, Query, Series, TagValuesQuery, Target, series, table,
};
use crate::model::{Condition, Field, Filter, Verb};
use crate::store::{Order, Search, Stored};
use actix_web::web::{Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Series of one field's values.
const MAX_SERIES: usize = 50;

pub(super) fn routes(cfg: &mut ServiceConfig) {
    add(cfg, "/annotations", Kind::ReadByPost, |resource| resource.post(list_annotations).get(page));
    add(cfg, "/search", Kind::ReadByPost, |resource| resource.post(list_fields).get(page));
    add(cfg, "/tag-keys", Kind::ReadByPost, |resource| resource.post(list_tag_keys).get(page));
    add(cfg, "/tag-values", Kind::ReadByPost, |resource| resource.post(list_tag_values).get(page));
    add(cfg, "/query", Kind::ReadByPost, |resource| resource.post(query).get(page));
}

async fn read<T: DeserializeOwned>(
    req: &HttpRequest,
    payload: Payload,
    reading: &Reading,
) -> Result<T, Error> {
    let body = shared::body::read(req, payload, reading.config.max_body_bytes).await?;
    serde_json::from_slice(&body).map_err(|cause| Error::Invalid(format!("the body cannot be used: {cause}")))
}

/// `POST /annotations`: the annotations of a panel, newest first.
async fn list_annotations(
    req: HttpRequest,
    payload: Payload,
    reading: Reading,
) -> Result<HttpResponse, Error> {
    let query: AnnotationQuery = read(&req, payload, &reading).await?;
    query.check().map_err(Error::Invalid)?;
    let asked = query.annotation.get("query").and_then(Value::as_str).unwrap_or_default();
    let search = Search {
        window: query.range.window().map_err(Error::Invalid)?,
        filter: Filter::parse(asked)?,
        order: Order::Newest,
        ..Search::default()
    };
    let (found, _) = reading.some(search, reading.config.max_page).await?;
    let object = |stored: &Stored| {
        let annotation = &stored.annotation;
        let text = |field| annotation.texts.get(field);
        let tags = [Field::Owner, Field::Host, Field::Source].map(text);
        let tags: Vec<&str> = tags.into_iter().filter(|tag| !tag.is_empty()).collect();
        json!({
            "annotation": query.annotation,
            "time": annotation.start.millis(), "timeEnd": annotation.end.millis(),
            "isRegion": annotation.start.millis() != annotation.end.millis(),
            "title": text(Field::Category), "tags": tags, "text": text(Field::Message),
        })
    };
    Ok(json(&found.iter().map(object).collect::<Vec<_>>()))
}

fn names() -> impl Iterator<Item = &'static str> {
    [Field::Source, Field::Host, Field::CreationUser, Field::Owner, Field::Category, Field::Url]
        .into_iter()
        .map(Field::name)
}

/// `POST /search`: what a panel can ask for.
async fn list_fields() -> HttpResponse {
    json(&names().collect::<Vec<_>>())
}

/// `POST /tag-keys`: what ad hoc filters can be about.
async fn list_tag_keys() -> HttpResponse {
    json(&names().map(|name| json!({ "type": "string", "text": name })).collect::<Vec<_>>())
}

/// `POST /tag-values`: the values of a field, most frequent first.
async fn list_tag_values(
    req: HttpRequest,
    payload: Payload,
    reading: Reading,
) -> Result<HttpResponse, Error> {
    let query: TagValuesQuery = read(&req, payload, &reading).await?;
    let field = counted(&query.key).ok_or_else(|| Error::Invalid(format!("invalid field {}", query.key)))?;
    let most = reading.config.max_values;
    let values = reading.values(field, most).await?;
    Ok(json(&values.iter().map(|(value, _)| json!({ "text": value })).collect::<Vec<_>>()))
}

/// `POST /query`: for each target a table, or how many annotations began in each interval. A target is a field, for
/// one series per value, or a filter; empty it means all annotations.
async fn query(req: HttpRequest, payload: Payload, reading: Reading) -> Result<HttpResponse, Error> {
    let query: Query = read(&req, payload, &reading).await?;
    query.check().map_err(Error::Invalid)?;
    let (mut answers, most) = (Vec::new(), reading.config.max_rows);
    let mut rows_left = most;
    for target in &query.targets {
        let found = find(&query, target, &reading).await?;
        if target.kind == TargetKind::Table {
            rows_left = rows_left.checked_sub(found.len()).ok_or(Error::TooMany(most))?;
        }
        answers.extend(answer(&query, target, &found)?);
    }
    Ok(json(&answers))
}

/// What one target is answered with.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Table(Value),
    Series(Series),
}

async fn find(query: &Query, target: &Target, reading: &Reading) -> Result<Vec<Stored>, Error> {
    let field = counted(&target.target);
    let filter = if field.is_some() { "" } else { target.target.as_str() };
    let mut search = Search {
        window: query.range.window().map_err(Error::Invalid)?,
        filter: Filter::parse(filter)?,
        order: if target.kind == TargetKind::Table { Order::Newest } else { Order::Oldest },
        ..Search::default()
    };
    for adhoc in &query.adhoc_filters {
        let field = Field::named(&adhoc.key).filter(|field| *field != Field::Message);
        let verb = match adhoc.operator.as_str() {
            "=" => Some(Verb::Is),
            "!=" => Some(Verb::IsNot),
            _ => None,
        };
        let (Some(field), Some(verb)) = (field, verb) else {
            return Err(Error::Invalid(format!("filter {} {} cannot be used", adhoc.key, adhoc.operator)));
        };
        search.conditions.add(Condition { field, verb, value: adhoc.value.clone() })?;
    }
    reading.all(search).await
}

fn answer(query: &Query, target: &Target, found: &[Stored]) -> Result<Vec<Answer>, Error> {
    let asked = (query, query.range.window().map_err(Error::Invalid)?);
    let annotations = || found.iter().map(|stored| &stored.annotation);
    Ok(match (target.kind, counted(&target.target)) {
        (TargetKind::Table, _) => vec![Answer::Table(table(annotations(), &target.ref_id))],
        (TargetKind::Series, None) => {
            let name = if target.target.is_empty() { "annotations" } else { &target.target };
            vec![Answer::Series(series(name, &target.ref_id, asked, 1, annotations()))]
        }
        (TargetKind::Series, Some(field)) => {
            let mut values: Vec<&str> = annotations().map(|one| one.texts.get(field)).collect();
            values.sort_unstable();
            values.dedup();
            values.retain(|value| !value.is_empty());
            values.truncate(MAX_SERIES);
            let of = |value: &&str| {
                let own = annotations().filter(|one| one.texts.get(field) == *value);
                Answer::Series(series(value, &target.ref_id, asked, values.len(), own))
            };
            values.iter().map(of).collect()
        }
    })
}
