//! A websocket client that can also misbehave: frames are written by hand (RFC 6455, section 5.2).

use crate::harness::Server;
use serde_json::Value;
use shared::identity::HEADER;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// Longest wait for anything.
const TIMEOUT: Duration = Duration::from_secs(20);

/// An open websocket.
pub(crate) struct Socket {
    stream: BufReader<TcpStream>,
    /// The subprotocol of the answer.
    pub(crate) protocol: Option<String>,
}

/// What comes from the service, pings left out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Close(u16, String),
    /// The connection ended without a close.
    Eof,
}

impl Frame {
    fn of(frame: Option<(u8, Vec<u8>)>) -> Option<Self> {
        Some(match frame {
            None => Self::Eof,
            Some((0x1, payload)) => Self::Text(String::from_utf8(payload).unwrap()),
            Some((0x2, payload)) => Self::Binary(payload),
            Some((0x8, payload)) => {
                let code = payload.first_chunk::<2>().map_or(1005, |code| u16::from_be_bytes(*code));
                let text = payload.get(2..).unwrap_or_default();
                Self::Close(code, String::from_utf8(text.to_vec()).unwrap())
            }
            Some(_) => return None,
        })
    }
}

impl Server {
    /// Opens a websocket; the status when it is refused.
    pub(crate) async fn socket_with(
        &self,
        identity: &str,
        path: &str,
        protocol: &str,
    ) -> Result<Socket, u16> {
        let host = self.url.strip_prefix("http://").unwrap();
        let stream = TcpStream::connect(host).await.unwrap();
        let mut stream = BufReader::new(stream);
        let protocol = if protocol.is_empty() {
            String::new()
        } else {
            format!("sec-websocket-protocol: {protocol}\r\n")
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocol}{HEADER}: {identity}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(stream.read_line(&mut head).await.unwrap(), 0, "{head}");
        }
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        if status != 101 {
            return Err(status);
        }
        // The answer that RFC 6455, section 1.3, gives for this key.
        assert!(head.to_lowercase().contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        let protocol = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("sec-websocket-protocol").then(|| value.to_owned())
        });
        Ok(Socket { stream, protocol })
    }

    /// A websocket of a caller with these permissions.
    pub(crate) async fn socket_as(&self, permissions: &[&str], path: &str) -> Result<Socket, u16> {
        self.socket_with(&self.identity(permissions), path, "").await
    }

    /// A websocket of a caller who may do everything, on a script's stream.
    pub(crate) async fn socket(&self, uuid: &str) -> Socket {
        self.socket_as(&["..."], &format!("/api/0.2.0/dtrace/{uuid}/stream")).await.ok().unwrap()
    }
}

impl Socket {
    /// Sends any frame; `first` is its first byte, the mask is zero.
    pub(crate) async fn send_frame(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..=125 => frame.push(0x80 | u8::try_from(length).unwrap()),
            length @ 126..=65_535 => {
                frame.push(0xfe);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            length => {
                frame.push(0xff);
                frame.extend(u64::try_from(length).unwrap().to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.send_raw(&frame).await;
    }

    /// Sends bytes as they are. A connection that is closed already is none of the caller's business.
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        let _ = tokio::time::timeout(TIMEOUT, self.stream.get_mut().write_all(bytes)).await.unwrap();
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.send_frame(0x81, text.as_bytes()).await;
    }

    pub(crate) async fn send_json(&mut self, value: &Value) {
        self.send(&value.to_string()).await;
    }

    /// The next frame; pings are answered.
    pub(crate) async fn next(&mut self) -> Frame {
        loop {
            match tokio::time::timeout(TIMEOUT, self.read()).await.unwrap() {
                Some((0x9, payload)) => self.send_frame(0x8a, &payload).await,
                other => {
                    if let Some(frame) = Frame::of(other) {
                        return frame;
                    }
                }
            }
        }
    }

    /// The next frame; pings are passed over.
    pub(crate) async fn next_silently(&mut self) -> Frame {
        loop {
            let frame = tokio::time::timeout(TIMEOUT, self.read()).await.unwrap();
            if let Some(frame) = Frame::of(frame) {
                return frame;
            }
        }
    }

    /// The next frame, which must be a text with JSON.
    pub(crate) async fn json(&mut self) -> Value {
        let frame = self.next().await;
        let Frame::Text(text) = &frame else { unreachable!("{frame:?}") };
        serde_json::from_str(text).unwrap()
    }

    /// The next message that is no empty tick.
    pub(crate) async fn figures(&mut self) -> Value {
        loop {
            let message = self.json().await;
            if message != serde_json::json!({}) {
                return message;
            }
        }
    }

    /// The code of the close that must come now, data before it passed over.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            match self.next().await {
                Frame::Close(code, _) => return code,
                Frame::Eof => return 1006,
                Frame::Text(_) | Frame::Binary(_) => (),
            }
        }
    }

    async fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).await.ok()?;
        let length = match head[1] {
            126 => u64::from(self.stream.read_u16().await.ok()?),
            127 => self.stream.read_u64().await.ok()?,
            length => u64::from(length),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some((head[0] & 0xf, payload))
    }
}
