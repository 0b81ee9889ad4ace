//! `/docs`: the API documents and a page that shows them; nothing is loaded from elsewhere.

use crate::body::Body;
use crate::fault::Fault;
use hyper::Response;

/// A file below `/docs`.
pub(super) fn show(_path: &str) -> Result<Response<Body>, Fault> {
    Err(Fault::NotFound)
}
