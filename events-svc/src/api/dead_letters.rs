//! `/internal/dead-letters`: messages that could not be used, for operators (public as `/admin/events/dead-letters`).
//!
//! A list shows heads; the whole message comes with a single letter. Replay and drop of many work on the letters
//! that were there when the request came, in bounded steps.

use crate::engine::{Accepted, Fate, Notifications, Texts};
use crate::error::Error;
use crate::store::{self, DeadLetter, HEAD_BYTES};
use actix_web::HttpResponse;
use actix_web::web::{self, Data, PathConfig, QueryConfig, ServiceConfig};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::datetime::{from_micros, iso};
use shared::db::Db;

/// Letters of one page, unless the client says otherwise, and at most.
const PAGE: (i64, i64) = (100, 1000);

/// Letters of one replay, unless the client says otherwise, and at most.
const REPLAY: (i64, i64) = (1000, 10_000);

/// Letters that are replayed together, and bytes after which no more are taken into memory.
const STEP: (i64, i64) = (100, 16 << 20);

/// Letters that are dropped in one transaction.
const DROP_STEP: i64 = 1000;

/// The dead letters' routes.
pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.service(
        web::resource("/internal/dead-letters")
            .app_data(bad_query())
            .get(list_dead_letters)
            .delete(delete_dead_letters),
    )
    .service(web::resource("/internal/dead-letters/replay").app_data(bad_query()).post(replay_dead_letters))
    .service(
        web::resource("/internal/dead-letters/{id}")
            .app_data(no_number())
            .get(find_dead_letter)
            .delete(delete_dead_letter),
    )
    .service(
        web::resource("/internal/dead-letters/{id}/replay").app_data(no_number()).post(replay_dead_letter),
    );
}

fn bad_query() -> QueryConfig {
    QueryConfig::default().error_handler(|cause, _| Error::Invalid(cause.to_string()).into())
}

fn no_number() -> PathConfig {
    PathConfig::default().error_handler(|_, req| {
        Error::NotFound(format!("dead letter {}", req.match_info().query("id"))).into()
    })
}

#[derive(Deserialize)]
struct PageQuery {
    /// Id of the last letter seen.
    after: Option<i64>,
    /// Most letters.
    limit: Option<i64>,
}

impl PageQuery {
    fn limit(&self, (default, most): (i64, i64)) -> i64 {
        self.limit.unwrap_or(default).clamp(1, most)
    }
}

/// `GET …?after=&limit=`: heads, oldest first, with the total.
async fn list_dead_letters(query: web::Query<PageQuery>, db: Data<Db>) -> Result<HttpResponse, Error> {
    let (after, limit) = (query.after.unwrap_or(0), query.limit(PAGE));
    let page = db.read(move |conn| {
        let letters = store::list_dead_letters(conn, after, limit)?;
        Ok::<_, Error>((letters, store::count_dead_letters(conn)?))
    });
    let (letters, total) = page.await?;
    let letters: Vec<Value> = letters
        .iter()
        .map(|letter| {
            let is_cut = usize::try_from(letter.size).is_ok_and(|size| size > HEAD_BYTES);
            object(
                letter.id,
                &letter.source,
                &letter.reason,
                letter.received,
                letter.size,
                text(&letter.head, is_cut),
            )
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({ "total": total, "dead_letters": letters })))
}

/// `GET …/{id}`: the whole letter.
async fn find_dead_letter(id: web::Path<i64>, db: Data<Db>) -> Result<HttpResponse, Error> {
    let DeadLetter { id, source, reason, body, received } = find(&db, *id).await?;
    let size = i64::try_from(body.len()).unwrap_or(i64::MAX);
    Ok(HttpResponse::Ok().json(object(id, &source, &reason, received, size, text(&body, false))))
}

/// `DELETE …/{id}`: drops the letter for good.
async fn delete_dead_letter(id: web::Path<i64>, db: Data<Db>) -> Result<HttpResponse, Error> {
    let id = *id;
    match db.write(move |conn| store::delete_dead_letters(conn, &[id])).await? {
        0 => Err(not_found(id)),
        _ => Ok(HttpResponse::NoContent().finish()),
    }
}

/// `DELETE …`: drops all letters for good. Letters that come meanwhile stay.
async fn delete_dead_letters(db: Data<Db>) -> Result<HttpResponse, Error> {
    let last = db.read(store::last_dead_letter).await?;
    let mut deleted = 0;
    loop {
        match db.write(move |conn| store::delete_oldest_dead_letters(conn, last, DROP_STEP)).await? {
            0 => return Ok(HttpResponse::Ok().json(json!({ "deleted": deleted }))),
            step => deleted += step,
        }
    }
}

/// `POST …/{id}/replay`: tries the message again. The letter goes when the message could be used; one that fails
/// again stays as it is, and the answer says why.
async fn replay_dead_letter(
    id: web::Path<i64>,
    db: Data<Db>,
    notifications: Data<Notifications>,
) -> Result<HttpResponse, Error> {
    let letter = find(&db, *id).await?;
    let fates = replay(&db, &notifications, vec![letter]).await?;
    let reason = match fates.as_slice() {
        [(_, Fate::Invalid(reason))] => Some(("reason", reason.as_str().into())),
        _ => None,
    };
    Ok(counts(fates.iter().map(|(_, fate)| fate).collect(), reason))
}

/// `POST …/replay?after=&limit=`: tries the messages again, oldest first. `next` is the `after` of the next call,
/// null when there is nothing left to try.
async fn replay_dead_letters(
    query: web::Query<PageQuery>,
    db: Data<Db>,
    notifications: Data<Notifications>,
) -> Result<HttpResponse, Error> {
    let last = db.read(store::last_dead_letter).await?;
    let (mut after, mut left) = (query.after.unwrap_or(0), query.limit(REPLAY));
    let mut fates = Vec::new();
    while left > 0 {
        let (limit, bytes) = (left.min(STEP.0), STEP.1);
        let step = db.read(move |conn| store::read_dead_letters(conn, after, last, limit, bytes)).await?;
        let Some(newest) = step.last() else { break };
        after = newest.id;
        left -= i64::try_from(step.len()).unwrap_or(left);
        fates.extend(replay(&db, &notifications, step).await?.into_iter().map(|(_, fate)| fate));
    }
    let next = if after < last { after.into() } else { Value::Null };
    Ok(counts(fates.iter().collect(), Some(("next", next))))
}

/// Tries letters again and removes those that could be used.
async fn replay(
    db: &Db,
    notifications: &Notifications,
    letters: Vec<DeadLetter>,
) -> Result<Vec<(i64, Fate)>, Error> {
    let (ids, bodies): (Vec<i64>, Vec<Vec<u8>>) =
        letters.into_iter().map(|letter| (letter.id, letter.body)).unzip();
    let fates: Vec<_> = ids.into_iter().zip(notifications.replay(&Texts::from(bodies)).await?).collect();
    let used = fates.iter().filter(|(_, fate)| !matches!(fate, Fate::Invalid(_))).map(|(id, _)| *id);
    let used: Vec<i64> = used.collect();
    db.write(move |conn| store::delete_dead_letters(conn, &used)).await?;
    Ok(fates)
}

async fn find(db: &Db, id: i64) -> Result<DeadLetter, Error> {
    let letter = db.read(move |conn| store::find_dead_letter(conn, id)).await?;
    letter.ok_or_else(|| not_found(id))
}

fn not_found(id: i64) -> Error {
    Error::NotFound(format!("dead letter {id}"))
}

/// The answer to a replay.
fn counts(accepted: Accepted, more: Option<(&str, Value)>) -> HttpResponse {
    let Accepted { received, saved, duplicate, dropped, invalid } = accepted;
    let counts = [
        ("replayed", received),
        ("saved", saved),
        ("duplicate", duplicate),
        ("dropped", dropped),
        ("invalid", invalid),
    ];
    let counts = counts.into_iter().map(|(name, count)| (name, Value::from(count))).chain(more);
    HttpResponse::Ok()
        .json(counts.map(|(name, value)| (name.to_owned(), value)).collect::<serde_json::Map<_, _>>())
}

fn object(id: i64, source: &str, reason: &str, received: i64, size: i64, body: Value) -> Value {
    json!({
        "id": id, "source": source, "reason": reason, "received": iso(from_micros(received)), "size": size,
        "body": body,
    })
}

/// A message as JSON: as text where it is text, else in base64. Of one that `is_cut` the broken last character is
/// left out.
fn text(body: &[u8], is_cut: bool) -> Value {
    let whole = match std::str::from_utf8(body) {
        Ok(text) => Some(text),
        Err(cause) if is_cut && cause.error_len().is_none() => {
            body.get(..cause.valid_up_to()).and_then(|text| std::str::from_utf8(text).ok())
        }
        Err(_binary) => None,
    };
    let (form, body) =
        whole.map_or_else(|| ("base64", STANDARD.encode(body)), |text| ("text", text.to_owned()));
    if is_cut { json!({ form: body, "is_cut": true }) } else { json!({ form: body }) }
}
