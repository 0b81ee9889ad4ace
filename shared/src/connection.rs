//! Cutting off a client that does not read. An answer that is being streamed waits for room in the connection, so its
//! end would wait too; only closing the socket frees what the client holds.

use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use socket2::{SockRef, Socket};
use std::any::Any;
use std::net::Shutdown;
use std::sync::Arc;

/// The connection that a request came over. Cloning gives the same one.
#[derive(Debug, Clone)]
pub struct Connection(Arc<Socket>);

impl Connection {
    /// Remembers a new connection for its requests; for `HttpServer::on_connect`.
    pub fn remember(io: &dyn Any, extensions: &mut Extensions) {
        let socket = io.downcast_ref::<TcpStream>().and_then(|stream| SockRef::from(stream).try_clone().ok());
        if let Some(socket) = socket {
            extensions.insert(Self(Arc::new(socket)));
        }
    }

    /// The connection of a request; `None` where connections are not remembered.
    #[must_use]
    pub fn of(req: &HttpRequest) -> Option<Self> {
        req.conn_data::<Self>().cloned()
    }

    /// Closes it in both directions, whatever is still to be sent.
    pub fn cut_off(&self) {
        // It may be gone already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
