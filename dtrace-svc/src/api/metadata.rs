//! Metadata of a script, at any depth below `/metadata` (contract `dtrace`, section 2).

use super::call::{self, Call};
use super::scripts::find;
use super::serve;
use crate::config::Config;
use crate::error::Error;
use crate::model;
use crate::store;
use crate::wire::Format;
use actix_web::HttpResponse;
use actix_web::web::{self, Data, Payload, ServiceConfig};
use serde_json::Value;
use shared::db::Db;

/// Words of the path before the keys: the id and `metadata`.
const KEYS: usize = 2;

/// The routes of metadata.
pub(crate) fn routes(cfg: &mut ServiceConfig) {
    serve(cfg, "/{uuid}/metadata", "HEAD, OPTIONS, GET, PUT", |resource| {
        resource
            .route(web::get().to(find_metadata))
            .route(web::head().to(find_metadata))
            .route(web::put().to(set_metadata))
    });
    serve(cfg, "/{uuid}/metadata/{path:.+}", "HEAD, OPTIONS, GET, PUT, DELETE", |resource| {
        resource
            .route(web::get().to(find_metadata))
            .route(web::head().to(find_metadata))
            .route(web::put().to(set_metadata))
            .route(web::delete().to(remove_metadata))
    });
}

/// `GET /dtrace/{uuid}/metadata[/a/b…]`: the value there. The original had no GET (405).
async fn find_metadata(call: Call, db: Data<Db>) -> Result<HttpResponse, Error> {
    let format = call.permit("get")?;
    let script = find(&db, call.id()).await?;
    let keys = call.words_from(KEYS);
    let text = model::find_metadata(&script.metadata, keys).ok_or_else(|| not_found(keys))?;
    let body = match format {
        Format::Json => text.into_bytes(),
        Format::Msgpack => {
            let value: Value =
                serde_json::from_str(&text).map_err(|cause| Error::Storage(cause.to_string()))?;
            format.encode(&value)
        }
    };
    Ok(call::answer(format, body))
}

/// `PUT /dtrace/{uuid}/metadata[/a/b…]`: stores each member of the body there. The original took exactly one.
async fn set_metadata(
    call: Call,
    payload: Payload,
    db: Data<Db>,
    config: Data<Config>,
) -> Result<HttpResponse, Error> {
    call.permit("edit")?;
    let uuid = find(&db, call.id()).await?.uuid;
    let body = call.body(payload, &config).await?;
    let (most, keys, expected) =
        (config.max_script_bytes, call.words_from(KEYS).to_vec(), call.expected_revisions());
    db.write(move |conn| {
        let change = |metadata: &str| Ok(model::set_metadata(metadata, &keys, &body)?);
        store::edit_metadata(conn, &uuid, most, expected, change)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `DELETE /dtrace/{uuid}/metadata/a/b…`: removes what is there. Of a missing key the seed says 404; the original's
/// code said 204 always.
async fn remove_metadata(call: Call, db: Data<Db>, config: Data<Config>) -> Result<HttpResponse, Error> {
    call.permit("edit")?;
    let uuid = find(&db, call.id()).await?.uuid;
    let (keys, expected) = (call.words_from(KEYS).to_vec(), call.expected_revisions());
    let most = config.max_script_bytes;
    db.write(move |conn| {
        let change = |metadata: &str| {
            let missing = || store::StoreError::NotFound(format!("metadata {}", keys.join("/")));
            model::remove_metadata(metadata, &keys).ok_or_else(missing)
        };
        store::edit_metadata(conn, &uuid, most, expected, change)
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

fn not_found(keys: &[String]) -> Error {
    Error::NotFound(format!("metadata {}", keys.join("/")))
}
