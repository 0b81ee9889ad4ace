//! `/internal/dead-letters`: messages that could not be used, for operators (public as `/admin/events/dead-letters`).

use crate::engine::Notifications;
use crate::error::Error;
use crate::store::{self, DeadLetter};
use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::datetime::{from_micros, iso};
use shared::db::Db;

/// Letters of one page.
const PAGE: i64 = 100;

/// The dead letters' routes.
pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/internal/dead-letters").get(list_dead_letters))
        .service(
            web::resource("/internal/dead-letters/{id}").get(find_dead_letter).delete(delete_dead_letter),
        )
        .service(web::resource("/internal/dead-letters/{id}/replay").post(replay_dead_letter));
}

#[derive(Deserialize)]
struct PageQuery {
    /// Id of the last letter seen.
    after: Option<i64>,
    /// Most letters, 1 to 1000.
    limit: Option<i64>,
}

/// `GET …?after=&limit=`: oldest first, with the total.
async fn list_dead_letters(query: web::Query<PageQuery>, db: Data<Db>) -> Result<HttpResponse, Error> {
    let (after, limit) = (query.after.unwrap_or(0), query.limit.unwrap_or(PAGE).clamp(1, 1000));
    let page = db.read(move |conn| {
        let letters = store::list_dead_letters(conn, after, limit)?;
        Ok::<_, Error>((letters, store::count_dead_letters(conn)?))
    });
    let (letters, total) = page.await?;
    let letters: Vec<Value> = letters.iter().map(object).collect();
    Ok(HttpResponse::Ok().json(json!({ "total": total, "dead_letters": letters })))
}

/// `GET …/{id}`.
async fn find_dead_letter(id: web::Path<i64>, db: Data<Db>) -> Result<HttpResponse, Error> {
    Ok(HttpResponse::Ok().json(object(&find(&db, *id).await?)))
}

/// `DELETE …/{id}`: drops the letter for good.
async fn delete_dead_letter(id: web::Path<i64>, db: Data<Db>) -> Result<HttpResponse, Error> {
    let id = *id;
    match db.write(move |conn| Ok::<_, Error>(store::delete_dead_letter(conn, id)?)).await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(not_found(id)),
    }
}

/// `POST …/{id}/replay`: tries the message again. The letter goes when the event is stored; a letter that fails
/// again stays as it is.
async fn replay_dead_letter(
    id: web::Path<i64>,
    db: Data<Db>,
    notifications: Data<Notifications>,
) -> Result<HttpResponse, Error> {
    let letter = find(&db, *id).await?;
    let outcome = notifications.replay(letter.body).await?;
    if outcome.invalid == 0 {
        let id = *id;
        db.write(move |conn| Ok::<_, Error>(store::delete_dead_letter(conn, id)?)).await?;
    }
    Ok(HttpResponse::Ok().json(json!({
        "saved": outcome.saved, "duplicate": outcome.duplicate,
        "dropped": outcome.dropped, "invalid": outcome.invalid,
    })))
}

async fn find(db: &Db, id: i64) -> Result<DeadLetter, Error> {
    let letter = db.read(move |conn| Ok::<_, Error>(store::find_dead_letter(conn, id)?)).await?;
    letter.ok_or_else(|| not_found(id))
}

fn not_found(id: i64) -> Error {
    Error::NotFound(format!("dead letter {id}"))
}

/// A letter as JSON: the body as text where it is text, else in base64.
fn object(letter: &DeadLetter) -> Value {
    let body = match std::str::from_utf8(&letter.body) {
        Ok(text) => json!({ "text": text }),
        Err(_binary) => json!({ "base64": STANDARD.encode(&letter.body) }),
    };
    json!({
        "id": letter.id, "source": letter.source, "reason": letter.reason,
        "received": iso(from_micros(letter.received)), "body": body,
    })
}
