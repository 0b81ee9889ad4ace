//! One way to add a resource: with its CORS answers and with 405 for other methods.

use super::{answer, cors};
use crate::error::Error;
use actix_web::http::{Method, header};
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Resource, ResponseError};

/// What the methods of a resource are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// GET reads, everything else writes. Holds the methods besides OPTIONS.
    Own(&'static str),
    /// Grafana's data sources read with POST.
    ReadByPost,
}

impl Kind {
    /// The methods besides OPTIONS.
    pub(super) fn methods(self) -> &'static str {
        match self {
            Self::Own(methods) => methods,
            // The page is there, too.
            Self::ReadByPost => "GET, POST",
        }
    }

    /// The methods besides OPTIONS that another page may use to read, or with `method` to write.
    pub(super) fn methods_of_pages(self, method: &str) -> &'static str {
        match self {
            Self::ReadByPost => "POST",
            Self::Own(_) if self.is_read(method) => "GET",
            Self::Own(methods) => methods,
        }
    }

    /// Whether a method changes nothing here.
    pub(super) fn is_read(self, method: &str) -> bool {
        method == "GET" || method == "HEAD" || self == Self::ReadByPost
    }
}

/// Adds a resource.
pub(super) fn add(
    cfg: &mut ServiceConfig,
    path: &str,
    kind: Kind,
    handlers: impl FnOnce(Resource) -> Resource,
) {
    let resource = handlers(web::resource(path.to_owned()))
        .route(web::method(Method::OPTIONS).to(cors::preflight))
        .default_service(web::to(refuse_method))
        .app_data(web::Data::new(kind))
        .wrap(from_fn(cors::cors));
    cfg.service(resource);
}

async fn refuse_method(kind: web::Data<Kind>) -> HttpResponse {
    let mut answer = Error::MethodNotAllowed.error_response();
    answer::set(&mut answer, header::ALLOW.as_str(), &format!("{}, OPTIONS", kind.methods()));
    answer
}
