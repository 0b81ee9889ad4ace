//! A gateway under test, a client that sees every byte, and services played by the test.

use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use quintet_gateway::{Config, Running, Upstreams};
use shared::clock::ManualClock;
use shared::config::{AuthMode, Common, Secret};
use shared::identity::{self, IdentityKey, Principal};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Longest time a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something that must happen.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it did not happen in time")
}

/// A gateway, its clock and its folder.
pub(crate) struct Gateway {
    pub(crate) running: Running,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) common: Common,
    pub(crate) key: IdentityKey,
    _folder: tempfile::TempDir,
    _database: Option<Database>,
}

/// What a test wants of its gateway.
pub(crate) struct Setup {
    pub(crate) config: Config,
    pub(crate) mode: Option<AuthMode>,
    pub(crate) upstreams: Upstreams,
    pub(crate) shutdown_timeout_secs: u64,
}

impl Default for Setup {
    fn default() -> Self {
        let config = Config { listen: "127.0.0.1:0".into(), workers: 1, ..Config::default() };
        Self { config, mode: None, upstreams: Upstreams::new(), shutdown_timeout_secs: 10 }
    }
}

impl Setup {
    /// A gateway where one must log in.
    pub(crate) fn secure() -> Self {
        Self { mode: Some(AuthMode::Secure), ..Self::default() }
    }

    /// Adds a replica of `service`.
    pub(crate) fn service(mut self, service: &str, url: &str) -> Self {
        self.upstreams.entry(service.into()).or_default().push(url.into());
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    pub(crate) async fn start(self) -> Gateway {
        let folder = tempfile::tempdir().unwrap();
        let mut common = Common::default();
        common.data_dir = folder.path().to_owned();
        common.auth.mode = self.mode;
        common.shutdown_timeout_secs = self.shutdown_timeout_secs;
        let database = if self.mode == Some(AuthMode::Secure) { Database::on_postgres() } else { None };
        common.database_url = database.as_ref().map(|database| Secret::new(&database.url));
        let key = IdentityKey::new(b"the key of the tests");
        let clock = ManualClock::at("2026-01-01T12:00:00Z".parse().unwrap());
        let running =
            quintet_gateway::start(self.config, &common, key.clone(), self.upstreams, clock.clone())
                .await
                .unwrap();
        Gateway { running, clock, common, key, _folder: folder, _database: database }
    }
}

impl Gateway {
    /// `host:port` of the listener called `name`.
    pub(crate) fn address(&self, name: &str) -> String {
        let (_, url) = self.running.listeners().iter().find(|(own, _)| *own == name).unwrap();
        url.strip_prefix("http://").unwrap().to_owned()
    }

    /// A connection to the main listener.
    pub(crate) async fn connect(&self) -> Wire {
        self.connect_to("main").await
    }

    pub(crate) async fn connect_to(&self, name: &str) -> Wire {
        Wire::new(TcpStream::connect(self.address(name)).await.unwrap())
    }

    /// Sends one request on a connection of its own and reads the answer.
    pub(crate) async fn ask(&self, request: &str) -> Message {
        self.ask_at("main", request).await
    }

    pub(crate) async fn ask_at(&self, name: &str, request: &str) -> Message {
        let mut wire = self.connect_to(name).await;
        wire.send(request).await;
        wire.answer_to(request).await
    }

    /// Lets the gateway's only worker see what has happened on its sockets: it looks at them all between two requests.
    pub(crate) async fn settled(&self) {
        for _ in 0..2 {
            assert_eq!(self.ask(&get("/livez")).await.status(), 200);
        }
    }

    /// A secret of this installation.
    pub(crate) fn secret(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.common.data_dir.join("secrets").join(name)).unwrap();
        text.trim_end().to_owned()
    }

    /// The caller that a forwarded request names.
    pub(crate) fn caller(&self, request: &Message) -> Principal {
        use shared::clock::Clock;
        self.key.verify(request.header(identity::HEADER).unwrap(), self.clock.now()).unwrap()
    }
}

/// A database on the server that the environment names: for tests that look at accounts. The others keep to SQLite.
struct Database {
    server: String,
    name: String,
    url: String,
}

impl Database {
    fn on_postgres() -> Option<Self> {
        let server = std::env::var(shared::testing::POSTGRES_URL).ok()?;
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        let (base, _) = server.rsplit_once('/').unwrap();
        let url = format!("{base}/{name}");
        PgConnection::establish(&server).unwrap().batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        Some(Self { server, name, url })
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let dropped = PgConnection::establish(&self.server)
            .unwrap()
            .batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
        if let Err(cause) = dropped {
            log::warn!("test database {} stays: {cause}", self.name);
        }
    }
}

/// A request line with what every test request has.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

/// A request with more headers, each ending in a line break, and a body.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{headers}{length}\r\n{body}")
}

/// An answer of a service.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

/// One side of a connection, byte by byte.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

/// A request or an answer as it came over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) first_line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    pub(crate) fn status(&self) -> u16 {
        self.first_line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The one value of a header; more than one is a fault of the sender.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} twice in {self:?}");
        value
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|cause| panic!("{cause}: {self:?}"))
    }
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, unread: Vec::new() }
    }

    pub(crate) async fn send(&mut self, text: impl AsRef<[u8]>) {
        soon(self.stream.write_all(text.as_ref())).await.unwrap();
    }

    /// Goes without a word, as a process that is killed with unread bytes does.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Says that nothing more will be sent; still reads.
    pub(crate) async fn half_close(&mut self) {
        soon(self.stream.shutdown()).await.unwrap();
    }

    /// Reads until `wanted` is there; `None` when the connection ends before.
    pub(crate) async fn until(&mut self, wanted: &str) -> Option<Vec<u8>> {
        loop {
            let found = self.unread.windows(wanted.len()).position(|window| window == wanted.as_bytes());
            if let Some(at) = found {
                return Some(self.unread.drain(..at + wanted.len()).collect());
            }
            if self.more().await == 0 {
                return None;
            }
        }
    }

    /// Reads exactly `bytes`.
    pub(crate) async fn exactly(&mut self, bytes: usize) -> Vec<u8> {
        while self.unread.len() < bytes {
            assert_ne!(self.more().await, 0, "the connection ended early");
        }
        self.unread.drain(..bytes).collect()
    }

    /// Reads what there is; 0 when the connection has ended.
    pub(crate) async fn more(&mut self) -> usize {
        let mut buffer = vec![0; 65_536];
        let bytes = soon(self.stream.read(&mut buffer)).await.unwrap_or(0);
        self.unread.extend_from_slice(&buffer[..bytes]);
        bytes
    }

    /// Whether the other side has ended the connection, with nothing left to read.
    pub(crate) async fn is_ended(&mut self) -> bool {
        self.unread.is_empty() && self.more().await == 0
    }

    /// What comes until the other side ends the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.more().await > 0 {}
        std::mem::take(&mut self.unread)
    }

    /// First line and headers.
    pub(crate) async fn head(&mut self) -> Option<Message> {
        let head = String::from_utf8(self.until("\r\n\r\n").await?).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let first_line = lines.next().unwrap().to_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        Some(Message { first_line, headers: lines.map(header).collect(), body: Vec::new() })
    }

    /// A whole message; bodies by length or in chunks.
    pub(crate) async fn message(&mut self) -> Option<Message> {
        let mut message = self.head().await?;
        if message.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk().await {
                message.body.extend(chunk);
            }
        } else if let Some(bytes) = message.header("content-length") {
            let bytes = bytes.parse().unwrap();
            message.body = self.exactly(bytes).await;
        }
        Some(message)
    }

    /// The answer to `request`: one to HEAD has no body.
    pub(crate) async fn answer_to(&mut self, request: &str) -> Message {
        if request.starts_with("HEAD ") { self.head().await } else { self.message().await }
            .expect("no answer")
    }

    /// One chunk; `None` after the last.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = self.until("\r\n").await.expect("broken off in the middle of a body");
        let size = usize::from_str_radix(std::str::from_utf8(&size).unwrap().trim(), 16).unwrap();
        let mut chunk = self.exactly(size + 2).await;
        chunk.truncate(size);
        (size > 0).then_some(chunk)
    }
}

/// A service that the test plays by hand.
pub(crate) struct Service {
    listener: TcpListener,
    pub(crate) url: String,
}

impl Service {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, url }
    }

    /// The next connection of the gateway.
    pub(crate) async fn accept(&self) -> Wire {
        Wire::new(soon(self.listener.accept()).await.unwrap().0)
    }

    /// Answers every request by `reply`, until dropped.
    pub(crate) fn automatic(self, reply: impl Fn(&Message) -> String + Clone + Send + 'static) -> Automatic {
        let Self { listener, url } = self;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let reply = reply.clone();
                tokio::spawn(async move {
                    let mut wire = Wire::new(stream);
                    while let Some(request) = wire.message().await {
                        if wire.stream.write_all(reply(&request).as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Automatic { url, task }
    }
}

/// A service that answers by itself.
pub(crate) struct Automatic {
    pub(crate) url: String,
    task: JoinHandle<()>,
}

impl Drop for Automatic {
    fn drop(&mut self) {
        self.task.abort();
    }
}
