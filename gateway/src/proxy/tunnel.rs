//! Websockets: once both sides have agreed, bytes pass both ways until one side ends.

use crate::limits::Place;
use crate::server::Worker;
use crate::upstream::InFlight;
use hyper::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::rc::Rc;
use tokio::io::copy_bidirectional;

/// Whether the request asks for a websocket (RFC 6455, section 4.1).
pub(crate) fn is_asked(headers: &HeaderMap) -> bool {
    let has = |name, wanted: &str| {
        let mut values = headers.get_all(name).iter().filter_map(|value: &HeaderValue| value.to_str().ok());
        values.any(|value| value.split(',').any(|word| word.trim().eq_ignore_ascii_case(wanted)))
    };
    headers.contains_key(UPGRADE) && has(CONNECTION, "upgrade") && has(UPGRADE, "websocket")
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

/// Passes bytes both ways until one side ends or the gateway stops.
pub(super) fn open(worker: &Rc<Worker>, client: OnUpgrade, service: OnUpgrade, held: (InFlight, Place)) {
    let stop = worker.stop.clone();
    worker.spawn(async move {
        let passing = async {
            let (client, service) = tokio::try_join!(client, service)?;
            let (mut client, mut service) = (TokioIo::new(client), TokioIo::new(service));
            // Either side may vanish; that is how most websockets end.
            let _ = copy_bidirectional(&mut client, &mut service).await;
            Ok::<_, hyper::Error>(())
        };
        tokio::select! {
            outcome = passing => if let Err(cause) = outcome { log::debug!("websocket not opened: {cause}") },
            () = stop.stopped() => (),
        }
        drop(held);
    });
}
