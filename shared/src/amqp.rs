//! Opening a connection to an AMQP broker within bounds: one that takes the connection and says nothing must cost
//! neither a hanging caller nor a thread for each attempt.

use lapin::tcp::{AsyncTcpStream, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Longest time until the socket (and TLS) stands.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time until the broker has let us in.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The broker is away, or refused.
    #[error("{0}")]
    Broker(#[from] lapin::Error),
    /// No answer in time.
    #[error("no answer in time while opening the connection")]
    Silent,
}

/// Connects to a broker, which is told the `name` of the connection. `authorities` are certificates, in PEM, that may
/// sign the broker's beside those of the system.
///
/// A call that is dropped leaves neither a socket nor a thread.
///
/// # Errors
/// When the broker is away, refuses us, or does not answer in time.
pub async fn connect(
    address: AMQPUri,
    authorities: Option<String>,
    name: String,
) -> Result<Connection, ConnectError> {
    let tls = OwnedTLSConfig { identity: None, cert_chain: authorities };
    let socket = OpenSocket::default();
    let half_open = socket.clone();
    let opening = Connection::connector(
        address,
        lapin::runtime::default_runtime()?,
        async move |address, runtime| {
            let (host, port) = (address.authority.host, address.authority.port);
            let stream = async {
                let places: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), port)).await?.collect();
                let stream = AsyncTcpStream::connect(&runtime, places).await?;
                if let AsyncTcpStream::Plain(plain) = &stream {
                    half_open.watch(plain.get_ref())?;
                }
                match address.scheme {
                    AMQPScheme::AMQP => Ok(stream),
                    AMQPScheme::AMQPS => stream.into_tls(&host, tls.as_ref()).await,
                }
            };
            let stream = tokio::time::timeout(CONNECT_TIMEOUT, stream).await;
            Ok(stream.unwrap_or_else(|_elapsed| Err(std::io::ErrorKind::TimedOut.into()))?)
        },
        ConnectionProperties::default().with_connection_name(name.into()),
    );
    let opened = tokio::time::timeout(OPEN_TIMEOUT, opening).await;
    let connection = opened.map_err(|_elapsed| ConnectError::Silent)??;
    socket.leave_open();
    Ok(connection)
}

/// A second handle on the socket of a connection in the making. Dropped before [`OpenSocket::leave_open`], it shuts
/// the socket down: that ends the thread that waits for the broker's words on it.
#[derive(Clone, Default)]
struct OpenSocket(Arc<Mutex<Option<TcpStream>>>);

impl OpenSocket {
    fn watch(&self, socket: &tokio::net::TcpStream) -> std::io::Result<()> {
        *self.lock() = Some(socket.as_fd().try_clone_to_owned()?.into());
        Ok(())
    }

    fn leave_open(&self) {
        self.lock().take();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<TcpStream>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        if let Some(socket) = self.lock().take() {
            // It fails only when the broker was faster.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    fn waiting_threads() -> usize {
        let threads = std::fs::read_dir("/proc/self/task").unwrap();
        let names =
            threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
        names.filter(|name| name.starts_with("lapin-io-loop")).count()
    }

    async fn connect_to(port: u16) -> Result<Connection, ConnectError> {
        let address = format!("amqp://127.0.0.1:{port}/").parse().unwrap();
        connect(address, None, "test".to_owned()).await
    }

    #[tokio::test]
    async fn giving_up_on_a_silent_broker_leaves_neither_socket_nor_thread() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let greeted = async {
            let mut socket = listener.accept().await.unwrap().0;
            let mut greeting = [0; 8];
            socket.read_exact(&mut greeting).await.unwrap();
            assert_eq!(&greeting, b"AMQP\x00\x00\x09\x01");
            socket
        };
        let mut socket = tokio::select! {
            _ = connect_to(port) => panic!("nobody answered"),
            socket = greeted => socket,
        };
        let mut rest = [0; 8];
        let end = tokio::time::timeout(Duration::from_secs(10), socket.read(&mut rest)).await;
        assert_eq!(end.unwrap().unwrap(), 0, "the other end is shut");
        for _ in 0..500 {
            if waiting_threads() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} threads are left", waiting_threads());
    }

    #[tokio::test]
    async fn a_broker_that_is_away_or_speaks_something_else_is_a_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answered = async {
            let mut socket = listener.accept().await.unwrap().0;
            tokio::io::AsyncWriteExt::write_all(&mut socket, b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .unwrap();
        };
        let (refused, ()) = tokio::join!(connect_to(port), answered);
        assert!(matches!(refused, Err(ConnectError::Broker(_))), "{refused:?}");
        drop(listener);
        let refused = connect_to(port).await;
        assert!(matches!(refused, Err(ConnectError::Broker(_))), "{refused:?}");
    }
}
