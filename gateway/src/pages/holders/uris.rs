//! Redirect URIs of clients.

use super::array;
use super::permissions::done;
use crate::body::Body;
use crate::fault::Fault;
use crate::model::{Action, Holder};
use crate::pages::{Call, input, nothing};
use crate::store;
use hyper::{Response, StatusCode, Uri};
use serde_json::json;

/// Longest URI in bytes.
const URI_BYTES: usize = 2048;

/// `GET /clients/C/uris`
pub(super) async fn list(call: &Call<'_>, client: &Holder) -> Result<Response<Body>, Fault> {
    let id = client.id.clone();
    let uris = call.accounts().read(move |conn| store::uris_of(conn, &id)).await?;
    Ok(array(uris.into_iter().map(|(id, uri)| json!({ "uuid": id, "uri": uri })).collect()))
}

/// `POST /clients/C/uris {"uri"}`
pub(super) async fn add(mut call: Call<'_>, client: Holder) -> Result<Response<Body>, Fault> {
    let members = input::members(&mut call.request).await?;
    let uri = input::member(&members, "uri")?.filter(|uri| is_redirect_uri(uri));
    let uri = uri.ok_or(Fault::BadRequest(
        "uri: expected https, http, or a scheme with a dot in it, and no fragment",
    ))?;
    let deed = call.deed(Action::UriAdd, &client.label(), &uri);
    let change = call.accounts().write(move |conn| store::add_uri(conn, &client.id, &uri, deed)).await?;
    done(change, "It has 64 of them.")
}

/// `DELETE /clients/C/uris/ID`
pub(super) async fn remove(call: &Call<'_>, client: Holder, id: &str) -> Result<Response<Body>, Fault> {
    let (id, deed) = (id.to_owned(), call.deed(Action::UriRemove, &client.label(), id));
    let is_gone = call.accounts().write(move |conn| store::remove_uri(conn, &client.id, &id, deed)).await?;
    if is_gone { Ok(nothing(StatusCode::NO_CONTENT)) } else { Err(Fault::NotFound) }
}

/// Whether a browser may be sent there (RFC 6749, section 3.1.2; RFC 8252, section 7.1): a page, or the own scheme of
/// an app, which has a dot. `javascript:` and its like have none.
fn is_redirect_uri(uri: &str) -> bool {
    let is_plain =
        uri.len() <= URI_BYTES && uri.bytes().all(|byte| byte.is_ascii_graphic()) && !uri.contains('#');
    let Some((scheme, rest)) = uri.split_once(':').filter(|_| is_plain) else { return false };
    let is_page = || {
        uri.parse::<Uri>().is_ok_and(|uri| uri.authority().is_some_and(|name| !name.as_str().contains('@')))
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => rest.starts_with("//") && is_page(),
        own => {
            own.contains('.')
                && own.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_redirect_uri;

    #[test]
    fn browsers_are_sent_to_pages_and_apps_alone() {
        for uri in ["https://a.example/cb?x=1", "http://127.0.0.1:9999/cb", "com.example.app:/cb"] {
            assert!(is_redirect_uri(uri), "{uri}");
        }
        let long = format!("https://a.example/{}", "x".repeat(2048));
        for uri in [
            "",
            "/cb",
            "https:/a",
            "https://a.example/#x",
            "https://u:p@a.example/",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://a.example/ b",
            "https://a.example/\r\nx: y",
            "https://é.example/",
            long.as_str(),
        ] {
            assert!(!is_redirect_uri(uri), "{uri}");
        }
    }
}
