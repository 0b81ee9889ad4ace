//! The client's side of a run's websocket (RFC 6455), over the gateway's answer to the upgrade.

use crate::client::Client;
use actix_http::ws::{CloseCode, Codec, Frame, Item, Message, hash_key};
use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use reqwest::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use reqwest::{Method, StatusCode, Upgraded};
use serde_json::{Map, Value};
use tokio_util::codec::Framed;

/// Largest message taken, in bytes.
const MAX_MESSAGE: usize = 64 << 20;

/// An open websocket.
pub(super) struct Socket {
    frames: Framed<Upgraded, Codec>,
    partial: BytesMut,
}

/// What comes from the service.
pub(super) enum Told {
    /// A message.
    Message(Map<String, Value>),
    /// It has closed, with this explanation.
    Closed(CloseCode, String),
}

impl Socket {
    /// Opens a websocket at a path.
    pub(super) async fn open(client: &Client, path: &str) -> anyhow::Result<Self> {
        let key = STANDARD.encode(uuid::Uuid::new_v4().as_bytes());
        let request = client
            .request(Method::GET, path)
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, &key);
        let answer = client.send(request).await?;
        let is_switched = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
        let accepted = answer.headers().get(SEC_WEBSOCKET_ACCEPT).map(|value| value.as_bytes());
        ensure!(is_switched && accepted == Some(&hash_key(key.as_bytes())), "the gateway opens no websocket");
        let codec = Codec::new().max_size(MAX_MESSAGE).client_mode();
        Ok(Self { frames: Framed::new(answer.upgrade().await?, codec), partial: BytesMut::new() })
    }

    /// Sends a message.
    pub(super) async fn send(&mut self, message: &Map<String, Value>) -> anyhow::Result<()> {
        let text = serde_json::to_string(message)?;
        Ok(self.frames.send(Message::Text(text.into())).await?)
    }

    /// The next message. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> anyhow::Result<Told> {
        loop {
            let frame = self.frames.next().await.context("the connection broke off")??;
            let whole = match frame {
                Frame::Text(bytes) | Frame::Binary(bytes) => BytesMut::from(&*bytes),
                Frame::Continuation(piece) => match self.take(piece)? {
                    Some(whole) => whole,
                    None => continue,
                },
                Frame::Ping(bytes) => {
                    self.frames.send(Message::Pong(bytes)).await?;
                    continue;
                }
                Frame::Pong(_) => continue,
                Frame::Close(reason) => {
                    let (code, text) =
                        reason.map_or((CloseCode::Normal, None), |reason| (reason.code, reason.description));
                    return Ok(Told::Closed(code, text.unwrap_or_default()));
                }
            };
            return Ok(Told::Message(
                serde_json::from_slice(&whole).context("the gateway's message is no object")?,
            ));
        }
    }

    /// A message that comes in pieces, once the last has come.
    fn take(&mut self, piece: Item) -> anyhow::Result<Option<BytesMut>> {
        let (bytes, is_last) = match piece {
            Item::FirstText(bytes) | Item::FirstBinary(bytes) | Item::Continue(bytes) => (bytes, false),
            Item::Last(bytes) => (bytes, true),
        };
        if self.partial.len() + bytes.len() > MAX_MESSAGE {
            bail!("a message is larger than {MAX_MESSAGE} bytes");
        }
        self.partial.extend_from_slice(&bytes);
        Ok(is_last.then(|| self.partial.split()))
    }

    /// Says goodbye; the run ends with its last listener.
    pub(super) async fn close(mut self) {
        // The service notices in any case.
        let _ = self.frames.send(Message::Close(None)).await;
    }
}
