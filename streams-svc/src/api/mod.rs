//! Every route of the stream service.

mod debug;
mod history;
mod internal;
mod matching;
mod query;
mod streams;
mod tail;

use actix_web::http::{Method, header};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Resource};

/// Routes: names before ids, so that `tail` is not taken for an id.
pub fn routes(cfg: &mut ServiceConfig) {
    internal::routes(cfg);
    debug::routes(cfg);
    matching::routes(cfg);
    tail::routes(cfg);
    streams::routes(cfg);
    history::routes(cfg);
}

/// Answers OPTIONS with the methods of a resource, and anything it has no route for with 405.
fn closed(resource: Resource, allow: &'static str) -> Resource {
    let options =
        move || async move { HttpResponse::NoContent().insert_header((header::ALLOW, allow)).finish() };
    let refused = move || async move {
        HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, allow)).finish()
    };
    resource.route(web::method(Method::OPTIONS).to(options)).default_service(web::to(refused))
}

/// A JSON answer.
fn json(body: String) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json; charset=utf-8").body(body)
}

/// An instant of microseconds in the public encoding.
fn time(micros: i64) -> serde_json::Value {
    crate::model::datetime_json(shared::datetime::from_micros(micros))
}
