//! `GET /dtrace/catalogue`: the ready scripts.

use super::call::{self, Call};
use super::serve;
use crate::catalogue::{Entry, entries};
use crate::error::Error;
use actix_web::HttpResponse;
use actix_web::web::{self, ServiceConfig};
use serde_json::Value;

/// The route of the catalogue.
pub(crate) fn routes(cfg: &mut ServiceConfig) {
    serve(cfg, "/catalogue", "HEAD, OPTIONS, GET", |resource| {
        resource.route(web::get().to(list_catalogue)).route(web::head().to(list_catalogue))
    });
}

/// Whoever may list scripts may see those that come with the service.
async fn list_catalogue(call: Call) -> Result<HttpResponse, Error> {
    let format = call.permit_all("list")?;
    let list: Value = entries().iter().map(Entry::value).collect();
    Ok(call::answer(format, format.encode(&list)))
}
