//! Scripts: the list, and each by its id (contract `dtrace`, section 2).

use super::call::{self, Call};
use super::{Parts, list, serve};
use crate::config::Config;
use crate::error::Error;
use crate::model::{Change, Draft, Fields, Refused, Script, is_script_id};
use crate::script::fill;
use crate::store;
use crate::wire::Format;
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{self, Data, Payload, ServiceConfig};
use shared::db::Db;

/// The routes of scripts.
pub(crate) fn routes(cfg: &mut ServiceConfig) {
    serve(cfg, "", "HEAD, OPTIONS, GET, POST", |resource| {
        resource
            .route(web::get().to(list::list_scripts))
            .route(web::head().to(list::list_scripts))
            .route(web::post().to(create_script))
    });
    serve(cfg, "/{uuid}", "HEAD, OPTIONS, GET, PUT, DELETE", |resource| {
        resource
            .route(web::get().to(find_script))
            .route(web::head().to(find_script))
            .route(web::put().to(edit_script))
            .route(web::delete().to(delete_script))
    });
}

/// `POST /dtrace`: stores a script and answers where it is; with `?check=1` only a script that compiles here.
///
/// Quirk: a request without a version is told a place with one, as the original did (`/api/0.1.0/…`).
async fn create_script(
    call: Call,
    payload: Payload,
    db: Data<Db>,
    config: Data<Config>,
    parts: Data<Parts>,
) -> Result<HttpResponse, Error> {
    call.permit_all("create")?;
    let Draft { name, script, config: values } = Draft::parse(&call.body(payload, &config).await?)?;
    if call.query().get("check").is_some_and(|word| ["1", "true"].contains(&word)) {
        check(&script, &values, &parts).await?;
    }
    let uuid = uuid::Uuid::new_v4().to_string();
    let base = if call.base == "/dtrace" { "/api/0.1.0/dtrace" } else { &call.base };
    let location = format!("{base}/{uuid}");
    let script = Script { uuid, name, script, config: values, metadata: "{}".into(), revision: 1 };
    if script.bytes() > config.max_script_bytes {
        return Err(Refused::TooLarge(config.max_script_bytes).into());
    }
    db.write(move |conn| store::put_script(conn, &script)).await?;
    Ok(HttpResponse::SeeOther().insert_header((header::LOCATION, location)).finish())
}

/// Compiles a script with its stored values, as an empty start would run it.
async fn check(script: &str, values: &str, parts: &Parts) -> Result<(), Error> {
    let values = serde_json::from_str(values).unwrap_or_default();
    let filled = fill(script, &values, |_name| true, None).map_err(Error::Invalid)?;
    let local = parts.runs.fleet().local();
    let dialect = local.dialect(script).await;
    local.check(&filled, dialect).await.map_err(Error::from)
}

/// `GET /dtrace/{uuid}`
async fn find_script(call: Call, db: Data<Db>) -> Result<HttpResponse, Error> {
    let format = call.permit("get")?;
    let script = find(&db, call.id()).await?;
    let etag = call::etag(script.revision, format);
    if call.is_known(&etag) {
        return Ok(HttpResponse::NotModified().insert_header((header::ETAG, etag)).finish());
    }
    let body = match format {
        Format::Json => script.json(&Fields::ALL).into_bytes(),
        Format::Msgpack => format.encode(&script.value(&Fields::ALL)),
    };
    let mut answer = call::answer(format, body);
    if let Ok(etag) = header::HeaderValue::from_str(&etag) {
        answer.headers_mut().insert(header::ETAG, etag);
    }
    Ok(answer)
}

/// `PUT /dtrace/{uuid}`: changes the members that the body names. The original refused (400).
async fn edit_script(
    call: Call,
    payload: Payload,
    db: Data<Db>,
    config: Data<Config>,
) -> Result<HttpResponse, Error> {
    call.permit("edit")?;
    let uuid = find(&db, call.id()).await?.uuid;
    let change = Change::parse(&call.body(payload, &config).await?)?;
    let (most, expected) = (config.max_script_bytes, call.expected_revisions());
    db.write(move |conn| store::edit_script(conn, &uuid, change, most, expected)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `DELETE /dtrace/{uuid}`
async fn delete_script(call: Call, db: Data<Db>) -> Result<HttpResponse, Error> {
    call.permit("delete")?;
    let (uuid, expected) = (known_form(call.id())?, call.expected_revisions());
    db.write(move |conn| store::delete_script(conn, &uuid, expected)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The script `id`. An id that is no UUID is unknown; the original crashed.
pub(crate) async fn find(db: &Db, id: &str) -> Result<Script, Error> {
    let uuid = known_form(id)?;
    Ok(db.read(move |conn| store::find_script(conn, &uuid)).await?)
}

/// An id, if it has the form of one.
pub(crate) fn known_form(id: &str) -> Result<String, Error> {
    if is_script_id(id) { Ok(id.to_owned()) } else { Err(Error::NotFound(format!("script {id}"))) }
}
