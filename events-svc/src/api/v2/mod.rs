//! The v2 API, as OpenStack Panko 10.0.0 speaks it (`shared/spec/events-v2.md`), and its door for events.
//!
//! | file | what |
//! |---|---|
//! | `accept` | which representation the client accepts |
//! | `access` | who may see what |
//! | `received`, `query`, `filter` | arguments: taken apart, of the right type, understood |
//! | `answer`, `xml` | lists and events written out |
//! | `error` | faults in all their shapes |
//! | `events`, `event_types`, `capabilities`, `version` | reading |
//! | `publish`, `posted` | events coming in |

mod accept;
mod access;
mod answer;
mod capabilities;
mod error;
mod event_types;
mod events;
mod filter;
mod posted;
mod publish;
mod query;
mod received;
mod version;
mod xml;

use accept::Accept;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{HttpServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::guard::{GuardContext, fn_guard};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource};
use error::Fault;
use std::future::ready;

/// Every route of the API, in the order of the contract. A slash at the end changes nothing.
pub(crate) fn routes(cfg: &mut ServiceConfig) {
    let root = web::resource("/").get(version::list_versions).head(version::list_versions);
    cfg.service(methods(root, "GET, HEAD").wrap(from_fn(dress)))
        .service(web::resource("/healthcheck").get(version::healthcheck).head(version::healthcheck))
        .service(numbered(at("/v2/capabilities").get(capabilities::list_capabilities), "GET"))
        .service(numbered(
            at("/v2/events").get(events::list_events).post(publish::create_events),
            "GET, POST",
        ))
        .service(numbered(at("/v2/events/{message_id}").get(events::find_event), "GET"))
        .service(numbered(at("/v2/event_types").get(event_types::list_event_types), "GET"))
        .service(numbered(at("/v2/event_types/{event_type}").get(event_types::find_event_type), "GET"))
        .service(numbered(at("/v2/event_types/{event_type}/traits").get(event_types::list_traits), "GET"))
        .service(numbered(
            at("/v2/event_types/{event_type}/traits/{name}").get(event_types::list_trait_values),
            "GET",
        ))
        .service(
            web::resource(["/v2", "/v2/{tail:.*}"])
                .default_service(web::to(async || Err::<HttpResponse, _>(Fault::NoSuchPath)))
                .wrap(from_fn(dress))
                .wrap(from_fn(number)),
        );
}

/// A path with and without a slash at its end.
///
/// An encoded slash inside makes it another path: the original splits after decoding.
fn at(path: &str) -> Resource {
    let is_whole = |ctx: &GuardContext<'_>| !ctx.head().uri.path().to_ascii_lowercase().contains("%2f");
    web::resource([path.to_owned(), format!("{path}/")]).guard(fn_guard(is_whole))
}

/// Answers every method that the resource has not with 405 and what it has.
fn methods(resource: Resource, allowed: &'static str) -> Resource {
    resource.default_service(web::to(move |req: HttpRequest| {
        ready(Err::<HttpResponse, _>(Fault::MethodNotAllowed(req.method().clone(), allowed)))
    }))
}

/// A resource of the API proper.
fn numbered(resource: Resource, allowed: &'static str) -> impl HttpServiceFactory + 'static {
    methods(resource, allowed).wrap(from_fn(dress)).wrap(from_fn(number))
}

/// Writes a fault in the form that the client accepts.
async fn dress<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let answer = next.call(req).await?.map_into_boxed_body();
    let fault = answer.response().error().and_then(|cause| cause.as_error::<Fault>());
    let dressed = fault.map(|fault| fault.answer(&Accept::of(answer.request().headers())));
    Ok(match dressed {
        Some(dressed) => answer.into_response(dressed),
        None => answer,
    })
}

/// Gives the answer the id that OpenStack clients show.
async fn number<B: MessageBody + 'static>(
    req: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let mut answer = next.call(req).await?;
    if let Ok(id) = HeaderValue::from_str(&format!("req-{}", uuid::Uuid::new_v4())) {
        answer.headers_mut().insert(HeaderName::from_static("x-openstack-request-id"), id);
    }
    Ok(answer)
}
