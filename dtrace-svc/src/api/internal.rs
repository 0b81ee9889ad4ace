//! `/internal/…`: this service as a server of another's runs. Only services of the same installation may call: the
//! gateway forwards nothing here, and the signed identity must be a service's.

use super::stream::Parts;
use crate::engine::Ending;
use crate::error::Error;
use crate::executor::{Event, Executor, Exit, Job, MAX_EVENT, SUBJECT, Tracing};
use actix_web::web::{self, Bytes, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream;
use shared::identity::Principal;
use shared::stop::Stop;
use std::convert::Infallible;

/// The routes for other services.
pub(crate) fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/internal/runs").post(create_run));
}

/// `POST /internal/runs`: runs a job here and streams its events, one JSON object a line. 422 with the diagnostic when
/// the tracer refuses the script. The tracer stops when the connection closes.
async fn create_run(
    req: HttpRequest,
    who: Principal,
    payload: Payload,
    parts: Data<Parts>,
) -> Result<HttpResponse, Error> {
    if who.subject != SUBJECT {
        return Err(Error::Forbidden("internal".into()));
    }
    // A job holds a script, escaped once more.
    let bytes = shared::body::read(&req, payload, parts.config.max_script_bytes * 2).await?;
    let job: Job =
        serde_json::from_slice(&bytes).map_err(|cause| Error::Invalid(format!("no job: {cause}")))?;
    log::info!(target: "audit", subject = job.subject; "{} runs a script here for another server", job.subject);
    match parts.runs.fleet().local().start(job).await {
        Ok(tracing) => {
            let body = stream::unfold(Some((tracing, parts.draining.clone())), next_line);
            Ok(HttpResponse::Ok().content_type("application/x-ndjson").streaming(Box::pin(body)))
        }
        Err(refused) => Ok(HttpResponse::UnprocessableEntity().json(refused)),
    }
}

/// What is left of a run to stream: nothing after its last event.
type Rest = Option<(Tracing, Stop)>;

async fn next_line(rest: Rest) -> Option<(Result<Bytes, Infallible>, Rest)> {
    let (mut tracing, draining) = rest?;
    let event = tokio::select! {
        event = tracing.next() => event?,
        () = draining.stopped() => Event::Exit(Exit { code: None, stderr: Ending::Stopped.word().into() }),
    };
    let mut line = serde_json::to_vec(&event).unwrap_or_default();
    if line.len() > MAX_EVENT {
        // Keys as long as that: the other side would end the run.
        line = serde_json::to_vec(&Event::Lost(1)).unwrap_or_default();
    }
    line.push(b'\n');
    let rest = (!matches!(event, Event::Exit(_))).then_some((tracing, draining));
    Some((Ok(Bytes::from(line)), rest))
}
