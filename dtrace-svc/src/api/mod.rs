//! Every route of the DTrace service.

mod call;
mod catalogue;
mod frames;
mod internal;
mod list;
mod login;
mod metadata;
mod runs;
mod scripts;
mod session;
mod stream;

pub(crate) use stream::Parts;

use crate::error::Error;
use actix_web::http::{Method, header};
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Resource};
use std::future::ready;

/// Where the routes are: as the seed writes them, below any version word, and among Quintet's own.
const PREFIXES: [&str; 3] = ["/dtrace", "/v1/dtrace", "/api/{version}/dtrace"];

/// Routes in the order of the contract (`dtrace`, section 2).
pub fn routes(cfg: &mut ServiceConfig) {
    // Before the scripts: its word is no id.
    catalogue::routes(cfg);
    scripts::routes(cfg);
    metadata::routes(cfg);
    stream::routes(cfg);
    runs::routes(cfg);
    internal::routes(cfg);
}

/// Adds one path below every prefix, with and without a slash at its end. `methods` are those that `handlers` adds,
/// as `Allow` shows them.
fn serve(
    cfg: &mut ServiceConfig,
    path: &str,
    methods: &'static str,
    handlers: impl FnOnce(Resource) -> Resource,
) {
    let paths = PREFIXES.map(|prefix| format!("{prefix}{path}{{_slash:/?}}")).to_vec();
    let options = web::method(Method::OPTIONS).to(move || {
        let mut answer = HttpResponse::Ok();
        answer.insert_header((header::ALLOW, methods));
        answer.insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, methods));
        ready(answer.finish())
    });
    let others = web::to(move || ready(Err::<HttpResponse, _>(Error::MethodNotAllowed(methods))));
    let resource = handlers(web::resource(paths)).route(options).default_service(others);
    cfg.service(resource.wrap(from_fn(call::headers)));
}
