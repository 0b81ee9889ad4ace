//! `/annotation/query`: the annotations of a window (annotate.md, section 4).

use super::answer::{self, json};
use super::reading::{Reading, count};
use super::route::{Kind, add};
use crate::error::Error;
use crate::model::{Form, Parameters};
use crate::store::{Order, Page, Place, Search, Stored};
use actix_web::web::{Bytes, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;

/// Annotations that are read at once for an answer without a limit.
const CHUNK: usize = 1000;

/// Names that this route knows besides the original's.
const OWN: &[&str] = &["filter", "limit", "cursor", "order", "total"];

pub(super) fn routes(cfg: &mut ServiceConfig, prefix: &str) {
    add(cfg, &format!("{prefix}/query"), Kind::Own("GET"), |resource| resource.get(list_annotations));
}

/// `GET …/query`: every annotation that was active in the window and meets all conditions; with `limit` a page of
/// them.
async fn list_annotations(req: HttpRequest, reading: Reading) -> Result<HttpResponse, Error> {
    let parameters = Parameters::parse(req.query_string(), OWN, reading.now())?;
    let form = parameters.form;
    let limit = limit(&parameters, reading.config.max_page)?;
    let after = parameters.own("cursor").map(place).transpose()?;
    let total = match parameters.own("total") {
        Some("1") => Some(()),
        Some("" | "0") | None => None,
        Some(_) => return Err(Error::Invalid("total: expected 1".into())),
    };
    let mut search = Search::of(&parameters)?;
    let total = match total {
        Some(()) => Some(count(&reading, search.clone(), reading.config.max_rows).await?),
        None => None,
    };
    let mut answer = match parameters.own("order").unwrap_or("oldest") {
        "relevance" => relevant(&reading, search, form, limit, after).await?,
        "oldest" => page_or_all(&reading, search, form, limit, after).await?,
        "newest" => {
            search.order = Order::Newest;
            page_or_all(&reading, search, form, limit, after).await?
        }
        _ => return Err(Error::Invalid("order: expected oldest, newest or relevance".into())),
    };
    if let Some(total) = total {
        answer::set(&mut answer, "x-total-count", &total);
    }
    Ok(answer)
}

async fn page_or_all(
    reading: &Reading,
    search: Search,
    form: Form,
    limit: Option<usize>,
    mut after: Option<Place>,
) -> Result<HttpResponse, Error> {
    let Some(limit) = limit else {
        let first = reading.page(search.clone(), after, CHUNK).await?;
        return Ok(all(reading.clone(), search, form, first));
    };
    // A page is only shorter than its limit when it is the last.
    let mut found: Vec<Stored> = Vec::new();
    loop {
        let page = reading.page(search.clone(), after, limit - found.len()).await?;
        found.extend(page.found);
        after = page.next;
        if after.is_none() || found.len() >= limit {
            break;
        }
    }
    let mut answer = list(&found, form);
    if let Some(Place { start, id }) = after {
        answer::set(&mut answer, "x-next-cursor", &format!("{start}.{id}"));
    }
    Ok(answer)
}

fn list(found: &[Stored], form: Form) -> HttpResponse {
    json(&found.iter().map(|stored| stored.annotation.wire(form)).collect::<Vec<_>>())
}

async fn relevant(
    reading: &Reading,
    search: Search,
    form: Form,
    limit: Option<usize>,
    after: Option<Place>,
) -> Result<HttpResponse, Error> {
    let conditions = &search.conditions;
    if conditions.words.is_none()
        || !conditions.without.is_empty()
        || search.filter.is_some()
        || after.is_some()
    {
        let text =
            "order=relevance needs Message=…, and goes with neither a filter, excluded words nor a cursor";
        return Err(Error::Invalid(text.into()));
    }
    let most = limit.unwrap_or(100);
    Ok(list(&reading.relevant(search, most).await?, form))
}

/// Answers everything, one chunk in memory at a time.
fn all(reading: Reading, search: Search, form: Form, first: Page) -> HttpResponse {
    if first.next.is_none() {
        return list(&first.found, form);
    }
    let rest = Rest { reading, search, form, page: Some(first), is_begun: false };
    let body = stream::try_unfold(rest, |mut rest| async move {
        let Some(page) = rest.page.take() else { return Ok(None) };
        let text = rest.text(&page);
        if let Some(place) = page.next {
            rest.page = Some(rest.reading.page(rest.search.clone(), Some(place), CHUNK).await?);
        }
        Ok::<_, Error>(Some((text, rest)))
    });
    HttpResponse::Ok().content_type("application/json").streaming(body)
}

/// What is left of an answer that is being sent.
struct Rest {
    reading: Reading,
    search: Search,
    form: Form,
    page: Option<Page>,
    is_begun: bool,
}

impl Rest {
    fn text(&mut self, page: &Page) -> Bytes {
        let mut text = String::new();
        for stored in &page.found {
            text.push(if self.is_begun { ',' } else { '[' });
            self.is_begun = true;
            text.push_str(&serde_json::to_string(&stored.annotation.wire(self.form)).unwrap_or_default());
        }
        if page.next.is_none() {
            text.push_str(if self.is_begun { "]\n" } else { "[]\n" });
        }
        text.into()
    }
}

/// The parameter `limit`, of which no more than `most` is given.
pub(super) fn limit(parameters: &Parameters, most: usize) -> Result<Option<usize>, Error> {
    let Some(text) = parameters.own("limit") else { return Ok(None) };
    let limit = text.parse().ok().filter(|limit: &usize| *limit > 0);
    let limit = limit.ok_or_else(|| Error::Invalid("limit: expected a number from 1".into()))?;
    Ok(Some(limit.min(most)))
}

fn place(cursor: &str) -> Result<Place, Error> {
    let read = || {
        let (start, id) = cursor.split_once('.')?;
        Some(Place { start: start.parse().ok()?, id: id.parse().ok()? })
    };
    read().ok_or_else(|| Error::Invalid("cursor: expected the value of an answer's X-Next-Cursor".into()))
}
