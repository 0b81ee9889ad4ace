//! Websockets: once both sides have agreed, bytes pass both ways until one side ends.

use crate::limits::{Place, Seat};
use crate::server::Worker;
use crate::upstream::{Answer, InFlight};
use crate::watch::Watching;
use base64::{Engine, engine::general_purpose::STANDARD};
use hyper::header::{CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Version};
use hyper_util::rt::TokioIo;
use std::io::Cursor;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, copy_bidirectional, join};

/// Bytes of a handshake's key.
const KEY_BYTES: usize = 16;

/// A websocket that is asked for.
pub(crate) struct Upgrade {
    /// The client's side of it.
    pub(crate) client: OnUpgrade,
    /// Whoever has asked, if he can be looked at again.
    pub(crate) watching: Option<Watching>,
    /// Held by whoever has not said who he is.
    pub(crate) seat: Option<Seat>,
}

/// Whether the request asks for a websocket (RFC 6455, section 4.1). One of HTTP/1.0 asks for nothing by `Upgrade`
/// (RFC 9110, section 7.8).
pub(crate) fn is_asked<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let has = |name, wanted: &str| {
        let mut values = headers.get_all(name).iter().filter_map(|value: &HeaderValue| value.to_str().ok());
        values.any(|value| value.split(',').any(|word| word.trim().eq_ignore_ascii_case(wanted)))
    };
    request.version() == Version::HTTP_11
        && headers.contains_key(UPGRADE)
        && has(CONNECTION, "upgrade")
        && has(UPGRADE, "websocket")
}

/// Whether the request is a whole handshake, and no other request with some of its words (RFC 6455, section 4.2.1).
pub(crate) fn is_handshake<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let key = headers.get(SEC_WEBSOCKET_KEY).and_then(|key| STANDARD.decode(key.as_bytes()).ok());
    request.method() == Method::GET
        && is_asked(request)
        && headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13")
        && key.is_some_and(|key| key.len() == KEY_BYTES)
}

/// Puts the wish for a websocket back, which was taken off with the other headers of the connection.
pub(super) fn ask(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Leaves of the service's headers about the connection those that the client waits for.
pub(super) fn grant(headers: &mut HeaderMap) {
    super::headers::strip_answer(headers);
    ask(headers);
}

/// Passes bytes both ways until one side ends, the caller may do so no more, or the gateway stops.
pub(super) fn open(worker: &Rc<Worker>, upgrade: Upgrade, service: Answer, held: (InFlight, Place)) {
    let stop = worker.stop.clone();
    let Upgrade { client, watching, seat } = upgrade;
    worker.spawn(async move {
        let passing = async {
            let mut client = TokioIo::new(client.await?);
            let Some((read, input, output)) = service.into_parts() else { return Ok(()) };
            let mut service = join(Cursor::new(read).chain(input), output);
            // Either side may vanish; that is how most websockets end.
            let _ = copy_bidirectional(&mut client, &mut service).await;
            Ok::<_, hyper::Error>(())
        };
        tokio::select! {
            outcome = passing => if let Err(cause) = outcome { log::debug!("websocket not opened: {cause}") },
            () = Watching::ended(watching.as_ref()) => (),
            () = stop.stopped() => (),
        }
        drop((held, seat));
    });
}
