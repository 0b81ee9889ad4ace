//! The clock of a replay, for several processes: `POST /time` sets it, `GET /time` tells it (streams-events-v1.md,
//! section 15).
//!
//! It stands alone, as the original's did: whoever replays posts the time of the latest notification, and every worker
//! with `time_sync_endpoint` asks for it. Nobody logs in, so it belongs on loopback or a network of its own.

use actix_web::dev::ServerHandle;
use actix_web::web::{self, Bytes, Data, PayloadConfig, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer};
use std::net::SocketAddr;
use std::sync::{PoisonError, RwLock};
use tokio::task::JoinHandle;

/// Bytes of a time at most.
const TIME_BYTES: usize = 256;

/// What is told before anybody has set the clock.
const UNSET: &str = "None";

/// The text that was posted last.
#[derive(Default)]
struct Time(RwLock<Option<String>>);

/// A clock service that answers.
pub struct ClockService {
    /// Where it answers.
    pub address: SocketAddr,
    handle: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
}

impl ClockService {
    /// Starts it; port 0 takes a free one. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn start(address: &str) -> std::io::Result<Self> {
        let time = Data::new(Time::default());
        let server = HttpServer::new(move || App::new().app_data(Data::clone(&time)).configure(routes));
        let server = server.workers(1).disable_signals().bind(address)?;
        let bound = server.addrs().first().copied();
        let address = bound.ok_or_else(|| std::io::Error::other("no address bound"))?;
        let server = server.run();
        Ok(Self { address, handle: server.handle(), task: tokio::spawn(server) })
    }

    /// Ends it.
    pub async fn stop(self) {
        self.handle.stop(true).await;
        // Its end is what was asked for.
        let _ = self.task.await;
    }
}

fn routes(cfg: &mut ServiceConfig) {
    let limit = PayloadConfig::new(TIME_BYTES);
    cfg.service(web::resource("/time").app_data(limit).get(tell).post(set));
}

async fn tell(time: Data<Time>) -> HttpResponse {
    let time = time.0.read().unwrap_or_else(PoisonError::into_inner);
    HttpResponse::Ok().content_type("text/plain").body(time.clone().unwrap_or_else(|| UNSET.to_owned()))
}

/// Takes a text that is a time, and keeps it as it is.
async fn set(body: Bytes, time: Data<Time>) -> HttpResponse {
    let text = std::str::from_utf8(&body).ok().filter(|text| shared::datetime::parse(text).is_some());
    let Some(text) = text else { return HttpResponse::BadRequest().body("a time is needed (ISO 8601)") };
    *time.0.write().unwrap_or_else(PoisonError::into_inner) = Some(text.to_owned());
    HttpResponse::Ok().finish()
}
