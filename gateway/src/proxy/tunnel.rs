//! Websockets: once both sides have agreed, bytes pass both ways until one side ends.

use crate::limits::Place;
use crate::server::Worker;
use crate::upstream::InFlight;
use bytes::BytesMut;
use hyper::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::io;
use std::rc::Rc;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

/// Whether the request asks for a websocket (RFC 6455, section 4.1).
pub(crate) fn is_asked(headers: &HeaderMap) -> bool {
    let has = |name, wanted: &str| {
        let mut values = headers.get_all(name).iter().filter_map(|value: &HeaderValue| value.to_str().ok());
        values.any(|value| value.split(',').any(|word| word.trim().eq_ignore_ascii_case(wanted)))
    };
    headers.contains_key(UPGRADE) && has(CONNECTION, "upgrade") && has(UPGRADE, "websocket")
}

/// Puts the headers back that the client waits for; they were taken off with the others of the connection.
pub(super) fn grant(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Passes bytes both ways until one side ends or the gateway stops. `early` are bytes of the service that have arrived
/// already.
pub(super) fn open(
    worker: &Rc<Worker>,
    client: OnUpgrade,
    (mut service, early): (TcpStream, BytesMut),
    held: (InFlight, Place),
) {
    let stop = worker.stop.clone();
    worker.spawn(async move {
        let passing = async {
            let mut client = TokioIo::new(client.await.map_err(io::Error::other)?);
            client.write_all(&early).await?;
            copy_bidirectional(&mut client, &mut service).await
        };
        tokio::select! {
            // Either side may vanish; that is how most websockets end.
            outcome = passing => if let Err(cause) = outcome { log::debug!("websocket ended: {cause}") },
            () = stop.stopped() => (),
        }
        drop(held);
    });
}
