//! The socket below a stream: frames put together, pings answered and sent, floods and silence ended, slow clients cut
//! off.

use crate::engine::Encoded;
use crate::wire::Format;
use actix_web::error::PayloadError;
use actix_web::web::{Bytes, BytesMut};
use actix_ws::{CloseCode, CloseReason, Item, Message, MessageStream, ProtocolError};
use shared::connection::Connection;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior};

/// Frames that a client may send at once, and in a second on average.
const BURST: f64 = 60.0;
const PER_SECOND: f64 = 10.0;

/// Longest wait for a client to take the close.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// What comes from a client.
pub(crate) enum Incoming {
    /// A whole message.
    Message(Bytes),
    /// The client breaks a rule, or asks to close: the websocket is closed with this.
    End(CloseCode, &'static str),
    /// The connection is gone.
    Gone,
}

/// Whether a frame was too large, be it the codec or the guard below it that found out.
fn is_overflow(cause: &ProtocolError) -> bool {
    if let ProtocolError::Io(cause) = cause {
        let inner = cause.get_ref().and_then(|inner| inner.downcast_ref::<PayloadError>());
        return matches!(inner, Some(PayloadError::Overflow));
    }
    matches!(cause, ProtocolError::Overflow)
}

/// One websocket.
pub(crate) struct Session {
    connection: Option<Connection>,
    socket: actix_ws::Session,
    frames: MessageStream,
    format: Format,
    /// A message that comes in pieces.
    partial: BytesMut,
    max_message: usize,
    timeout: Duration,
    pings: Interval,
    last_seen: Instant,
    allowance: f64,
    counted: Instant,
}

impl Session {
    /// Over an accepted handshake. A client is cut off that takes nothing for `timeout`, or says nothing (not even a
    /// pong) for twice as long.
    pub(crate) fn new(
        connection: Option<Connection>,
        socket: actix_ws::Session,
        frames: MessageStream,
        format: Format,
        max_message: usize,
        timeout: Duration,
    ) -> Self {
        let now = Instant::now();
        let mut pings = tokio::time::interval_at(now + timeout / 2, timeout / 2);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            connection,
            socket,
            frames: frames.max_frame_size(max_message),
            format,
            partial: BytesMut::new(),
            max_message,
            timeout,
            pings,
            last_seen: now,
            allowance: BURST,
            counted: now,
        }
    }

    /// The form of the messages.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// The client's next message. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Incoming {
        loop {
            let frame = tokio::select! {
                frame = self.frames.recv() => frame,
                _ = self.pings.tick() => {
                    if self.last_seen.elapsed() > self.timeout * 2 {
                        return Incoming::End(CloseCode::Policy, "no answer to pings");
                    }
                    if !within(self.timeout, self.socket.ping(b"")).await {
                        return Incoming::End(CloseCode::Policy, "too slow");
                    }
                    continue;
                }
            };
            let frame = match frame {
                None => return Incoming::Gone,
                Some(Err(cause)) if is_overflow(&cause) => {
                    return Incoming::End(CloseCode::Size, "message too large");
                }
                Some(Err(ProtocolError::Io(cause))) if cause.kind() != ErrorKind::InvalidData => {
                    return Incoming::Gone;
                }
                Some(Err(_broken)) => return Incoming::End(CloseCode::Protocol, "protocol error"),
                Some(Ok(frame)) => frame,
            };
            self.last_seen = Instant::now();
            if !self.is_allowed() {
                return Incoming::End(CloseCode::Policy, "too many messages");
            }
            if let Some(incoming) = self.take(frame).await {
                return incoming;
            }
        }
    }

    /// A whole message, or the end; nothing for frames that need no answer from above.
    async fn take(&mut self, frame: Message) -> Option<Incoming> {
        let (bytes, is_last) = match frame {
            Message::Text(text) => return Some(Incoming::Message(text.into_bytes())),
            Message::Binary(bytes) => return Some(Incoming::Message(bytes)),
            Message::Ping(bytes) => {
                let is_taken = within(self.timeout, self.socket.pong(&bytes)).await;
                return (!is_taken).then_some(Incoming::End(CloseCode::Policy, "too slow"));
            }
            Message::Pong(_) | Message::Nop => return None,
            Message::Close(_) => return Some(Incoming::End(CloseCode::Normal, "")),
            Message::Continuation(
                Item::FirstText(bytes) | Item::FirstBinary(bytes) | Item::Continue(bytes),
            ) => (bytes, false),
            Message::Continuation(Item::Last(bytes)) => (bytes, true),
        };
        if self.partial.len() + bytes.len() > self.max_message {
            return Some(Incoming::End(CloseCode::Size, "message too large"));
        }
        self.partial.extend_from_slice(&bytes);
        is_last.then(|| Incoming::Message(self.partial.split().freeze()))
    }

    /// Counts one frame against the allowance.
    fn is_allowed(&mut self) -> bool {
        let now = Instant::now();
        let earned = (now - self.counted).as_secs_f64() * PER_SECOND;
        self.counted = now;
        self.allowance = (self.allowance + earned).min(BURST) - 1.0;
        self.allowance >= 0.0
    }

    /// Sends a message in the form that was agreed on.
    ///
    /// # Errors
    /// Why the client is to be cut off.
    pub(crate) async fn send(&mut self, message: &Encoded) -> Result<(), &'static str> {
        let is_taken = match self.format {
            Format::Json => within(self.timeout, self.socket.text(message.json().clone())).await,
            Format::Msgpack => within(self.timeout, self.socket.binary(message.bytes(self.format))).await,
        };
        if is_taken { Ok(()) } else { Err("too slow") }
    }

    /// Closes the websocket; a client that does not take the close, and what was sent before, loses its connection.
    pub(crate) async fn close(mut self, code: CloseCode, text: &str) {
        let reason = CloseReason { code, description: (!text.is_empty()).then(|| text.to_owned()) };
        let _ = tokio::time::timeout(CLOSE_TIME, self.socket.close(Some(reason))).await;
        let answered = async {
            while let Some(Ok(frame)) = self.frames.recv().await {
                if let Message::Close(_) = frame {
                    break;
                }
            }
        };
        if tokio::time::timeout(self.timeout, answered).await.is_err() {
            self.connection.inspect(Connection::cut_off);
        }
    }
}

/// Whether something was sent while the client had time to take it.
async fn within<E>(time: Duration, sending: impl Future<Output = Result<(), E>>) -> bool {
    matches!(tokio::time::timeout(time, sending).await, Ok(Ok(())))
}
