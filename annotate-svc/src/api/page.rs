//! What a browser and Grafana's connection tests get below the root: a page that says where things are.

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, ResponseError};

const PAGE: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Annotations</title></head>\
<body><h1>Annotations</h1><p>This is the annotation service. Its API is below <code>/annotation</code>:</p><ul>\
<li><a href=\"/annotation/query\">annotations of the last day</a></li>\
<li><a href=\"/annotation/values/Category\">categories</a>, <a href=\"/annotation/values/Owner\">owners</a>, \
<a href=\"/annotation/values/Host\">hosts</a></li></ul></body></html>\n";

/// `GET` of anything else answers the page, as the original's does; `/static/…` and other methods are unknown.
pub(super) fn routes(cfg: &mut ServiceConfig) {
    let unknown = || async { crate::error::Error::NotFound.error_response() };
    cfg.service(web::resource("/static/{file:.*}").default_service(web::to(unknown)))
        .service(web::resource("/{page:.*}").get(page).default_service(web::to(unknown)));
}

/// The page.
pub(super) async fn page() -> HttpResponse {
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(PAGE)
}
