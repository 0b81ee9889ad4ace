//! `GET /dtrace/{uuid}/stream`: a run over a websocket (contract `dtrace`, section 6).

use super::call::Call;
use super::frames;
use super::login::{End, Login};
use super::scripts::find;
use super::serve;
use super::session::{Incoming, Session};
use crate::config::Config;
use crate::engine::{ANONYMOUS, Ending, Heard, Identify, Listener, Message, Plan, Refusal, Runs};
use crate::error::Error;
use crate::metrics::RunMetrics;
use crate::permit::is_script_allowed;
use crate::wire::{Format, from_msgpack};
use actix_web::http::header;
use actix_web::web::{self, Bytes, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use actix_ws::CloseCode;
use serde_json::{Map, Value, json};
use shared::connection::Connection;
use shared::db::Db;
use shared::identity::Principal;
use shared::stop::Stop;
use std::pin::pin;
use std::time::Duration;
use tokio::time::Instant;

/// Wrong tokens after which a websocket is closed.
const MAX_DENIALS: u32 = 5;

/// The route of the stream.
pub(crate) fn routes(cfg: &mut ServiceConfig) {
    serve(cfg, "/{uuid}/stream", "HEAD, OPTIONS, GET", |resource| {
        resource.route(web::get().to(open_stream)).route(web::head().to(head_stream))
    });
}

/// What a stream needs besides its socket.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) db: Db,
    pub(crate) runs: Runs,
    pub(crate) identify: Identify,
    pub(crate) metrics: RunMetrics,
    pub(crate) draining: Stop,
    pub(crate) config: Config,
}

/// `HEAD`: whether the stream could be opened.
async fn head_stream(call: Call, parts: Data<Parts>) -> Result<HttpResponse, Error> {
    call.check(call.id(), "stream")?;
    find(&parts.db, call.id()).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Upgrades to a websocket. A caller whom the gateway does not know may name himself in a message; he learns nothing
/// about the script before.
async fn open_stream(
    req: HttpRequest,
    call: Call,
    payload: Payload,
    parts: Data<Parts>,
) -> Result<HttpResponse, Error> {
    let is_known = call.principal.subject != ANONYMOUS;
    if is_known {
        call.check(call.id(), "stream")?;
        find(&parts.db, call.id()).await?;
    }
    // msgpack when it is offered, whatever else is; nothing that was not offered.
    let offered =
        req.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).filter_map(|value| value.to_str().ok());
    let offers_msgpack = offered.flat_map(|value| value.split(',')).any(|word| word.trim() == "msgpack");
    let (format, protocol) =
        if offers_msgpack { (Format::Msgpack, "msgpack") } else { (Format::Json, "json") };
    let refuse = |cause: actix_web::Error| Error::Invalid(format!("no websocket: {cause}"));
    let payload = frames::guard(&req, payload, parts.config.max_message_bytes).map_err(refuse)?;
    let (answer, socket, frames) =
        actix_ws::handle_with_protocols(&req, payload, &[protocol]).map_err(refuse)?;
    let timeout = Duration::from_secs(parts.config.listener_timeout_secs);
    let stream = Stream {
        session: Session::new(
            Connection::of(&req),
            socket,
            frames,
            format,
            parts.config.max_message_bytes,
            timeout,
        ),
        uuid: call.id().to_owned(),
        login: is_known.then(|| Login::Handshake(call.principal.clone())),
        named: login_end(&parts.config),
        wants_output: call.query().get("lines").is_some_and(|word| word == "true"),
        wants_record: call.query().get("record").is_some_and(|word| word == "true"),
        listener: None,
        logout: Box::pin(std::future::pending()),
        denials: 0,
        parts: parts.get_ref().clone(),
    };
    actix_web::rt::spawn(stream.run());
    Ok(answer)
}

/// One websocket.
struct Stream {
    session: Session,
    uuid: String,
    /// The caller, while he is known.
    login: Option<Login>,
    /// Until when he must be.
    named: Instant,
    /// Lines and losses are sent as messages of their own; the original's clients would take them for figures.
    wants_output: bool,
    wants_record: bool,
    listener: Option<Listener>,
    /// The end of the login by which a run is listened to.
    logout: End,
    denials: u32,
    parts: Parts,
}

/// Why a websocket is closed.
struct Closing(CloseCode, String);

/// What a websocket waits for.
enum Woken {
    Incoming(Incoming),
    Heard(Heard),
    Stopping,
    NotNamed,
    LoggedOut,
}

impl Stream {
    /// Serves the websocket until either side ends it.
    async fn run(mut self) {
        let draining = self.parts.draining.clone();
        let mut stopped = pin!(draining.stopped());
        let closing = loop {
            let woken = tokio::select! {
                incoming = self.session.next() => Woken::Incoming(incoming),
                heard = next_of(&mut self.listener) => Woken::Heard(heard),
                () = &mut stopped => Woken::Stopping,
                () = tokio::time::sleep_until(self.named), if self.login.is_none() => Woken::NotNamed,
                () = &mut self.logout, if self.listener.is_some() => Woken::LoggedOut,
            };
            let step = match woken {
                Woken::Incoming(Incoming::Message(bytes)) => self.receive(&bytes).await,
                Woken::Incoming(Incoming::End(code, text)) => Err(Closing(code, text.into())),
                Woken::Incoming(Incoming::Gone) => break None,
                Woken::Heard(heard) => self.send(heard).await,
                Woken::Stopping => Err(Closing(CloseCode::Away, "the service stops".into())),
                Woken::NotNamed => Err(Closing(CloseCode::Policy, "no bearer token in time".into())),
                Woken::LoggedOut => Err(Closing(CloseCode::Policy, "login ended or changed".into())),
            };
            if let Err(closing) = step {
                break Some(closing);
            }
        };
        // The run must not wait for a socket that takes its time to close.
        drop(self.listener);
        if let Some(Closing(code, text)) = closing {
            if code == CloseCode::Policy {
                self.parts.metrics.cut_off.inc();
            }
            self.session.close(code, &text).await;
        }
    }

    /// A message of the client's, and what he sends while a run is being started for it.
    async fn receive(&mut self, bytes: &[u8]) -> Result<(), Closing> {
        let mut later = self.obey(bytes).await?;
        while let Some(bytes) = later {
            later = self.obey(&bytes).await?;
        }
        Ok(())
    }

    /// The client's token, or what to start. Answers with the last message that came meanwhile.
    async fn obey(&mut self, bytes: &[u8]) -> Result<Option<Bytes>, Closing> {
        let message = match self.read(bytes) {
            Ok(message) => message,
            Err(text) => return self.answer(&json!({ "error": text })).await.map(|()| None),
        };
        let Some(who) = self.caller().await else { return self.login(&message).await.map(|()| None) };
        // A new start leaves the run that was listened to.
        self.listener = None;
        match self.start(&message, &who).await {
            Ok(mut listener) => {
                if self.wants_record {
                    listener.record();
                }
                let (started, later) = self.wait_for_start(&mut listener).await?;
                if let Err(ending) = started {
                    return self.end(&ending).await.map(|()| later);
                }
                let answer = listener.answer().clone();
                self.listener = Some(listener);
                if let Some(login) = &self.login {
                    self.logout = login.end(who, &self.parts.identify);
                }
                self.answer(&answer).await.map(|()| later)
            }
            Err(refused) => self.refuse(refused).await.map(|()| None),
        }
    }

    /// Tells why nothing was started.
    async fn refuse(&mut self, refused: Error) -> Result<(), Closing> {
        match &refused {
            Error::Forbidden(permission) => self.deny(Some(permission)).await,
            Error::Unavailable(cause) => {
                log::error!("a stream cannot be started: {cause}");
                Err(Closing(CloseCode::Again, "storage unavailable".into()))
            }
            Error::NotFound(text) => {
                self.answer(&json!({ "error": format!("{text} not found") })).await?;
                Err(Closing(CloseCode::Policy, "the script is gone".into()))
            }
            Error::Busy(text) => {
                self.answer(&json!({ "error": text })).await?;
                Err(Closing(CloseCode::Again, text.clone()))
            }
            Error::Invalid(_)
            | Error::MethodNotAllowed(_)
            | Error::NotAcceptable
            | Error::Changed
            | Error::TooLarge(_)
            | Error::UnsupportedType
            | Error::Script { .. }
            | Error::NoTracer(_)
            | Error::Storage(_) => self.answer(&json!({ "error": refused.to_string() })).await,
        }
    }

    /// The caller, if his login is still good; otherwise he hears no more, and has to log in again.
    async fn caller(&mut self) -> Option<Principal> {
        let who = self.login.as_ref()?.who(&self.parts.identify).await;
        if who.is_none() {
            (self.login, self.listener) = (None, None);
            self.named = login_end(&self.parts.config);
        }
        who
    }

    /// The object of a message; an empty one is an empty object. The original's clients send either kind of frame.
    fn read(&self, bytes: &[u8]) -> Result<Map<String, Value>, String> {
        if bytes.trim_ascii().is_empty() {
            return Ok(Map::new());
        }
        let value = match self.session.format() {
            Format::Json => {
                serde_json::from_slice(bytes).map_err(|cause| format!("not valid JSON: {cause}"))?
            }
            Format::Msgpack => from_msgpack(bytes)?,
        };
        if value == Value::Null || value == json!([]) {
            return Ok(Map::new());
        }
        if let Value::Object(members) = value { Ok(members) } else { Err("expected an object".into()) }
    }

    /// `{"bearer": "…"}`. Of success nothing is said, as in the original.
    async fn login(&mut self, message: &Map<String, Value>) -> Result<(), Closing> {
        let Some(token) = message.get("bearer").and_then(Value::as_str) else {
            return self.deny(None).await;
        };
        let login = Login::Token(token.to_owned());
        let who = login.who(&self.parts.identify).await;
        if !who.is_some_and(|who| is_script_allowed(&who, &self.uuid, "stream")) {
            return self.deny(None).await;
        }
        self.login = Some(login);
        Ok(())
    }

    /// Tells a refusal, and which permission is missing when that may be told.
    ///
    /// Quirk: it leaves the websocket open, as the original does; but not for ever.
    async fn deny(&mut self, permission: Option<&str>) -> Result<(), Closing> {
        self.denials += 1;
        let answer = match permission {
            Some(permission) => json!({ "error": "denied", "permission": permission }),
            None => json!({ "error": "denied" }),
        };
        self.answer(&answer).await?;
        if self.denials >= MAX_DENIALS {
            return Err(Closing(CloseCode::Policy, "denied too often".into()));
        }
        Ok(())
    }

    async fn start(&self, message: &Map<String, Value>, who: &Principal) -> Result<Listener, Error> {
        start(&self.parts, &self.uuid, message, who).await
    }

    /// Waits for the tracers; a client who goes meanwhile is not waited for. Of what he sends meanwhile the last counts:
    /// a new start takes the place of one before.
    async fn wait_for_start(
        &mut self,
        listener: &mut Listener,
    ) -> Result<(Result<(), Ending>, Option<Bytes>), Closing> {
        let mut later = None;
        loop {
            tokio::select! {
                started = listener.started() => return Ok((started, later)),
                () = self.parts.draining.stopped() => {
                    return Err(Closing(CloseCode::Away, "the service stops".into()));
                }
                incoming = self.session.next() => match incoming {
                    Incoming::Message(bytes) => later = Some(bytes),
                    Incoming::End(code, text) => return Err(Closing(code, text.into())),
                    Incoming::Gone => return Err(Closing(CloseCode::Normal, String::new())),
                },
            }
        }
    }

    async fn send(&mut self, heard: Heard) -> Result<(), Closing> {
        let message = match heard {
            Heard::Message(message) => message,
            Heard::Dropped(count) if self.wants_output => {
                return self.answer(&json!({ "lines": [], "lost": 0, "dropped": count })).await;
            }
            Heard::Dropped(_) => return Ok(()),
        };
        match &*message {
            Message::Figures(figures) => self.session.send(figures).await.map_err(cut_off),
            Message::Output(output) if self.wants_output => self.session.send(output).await.map_err(cut_off),
            Message::Output(_) => Ok(()),
            Message::End(ending) => self.end(ending).await,
        }
    }

    /// The run is over: the text for a failure, then the close that says how it ended.
    async fn end(&mut self, ending: &Ending) -> Result<(), Closing> {
        let text = match ending {
            Ending::Finished => return Err(Closing(CloseCode::Normal, "the script has ended".into())),
            Ending::Stopped => return Err(Closing(CloseCode::Away, "the run was stopped".into())),
            Ending::Unavailable(_) => "storage unavailable",
            Ending::Refused(text) | Ending::NoTracer(text) | Ending::Failed(text) => text.as_str(),
        };
        self.answer(&json!({ "error": text })).await?;
        Err(Closing(CloseCode::Error, "the run failed".into()))
    }

    async fn answer(&mut self, value: &Value) -> Result<(), Closing> {
        self.session.send(&crate::engine::Encoded::new(value)).await.map_err(cut_off)
    }
}

/// How long a websocket may stay from now on without a caller who is known.
fn login_end(config: &Config) -> Instant {
    Instant::now() + Duration::from_secs(config.login_timeout_secs)
}

fn cut_off(text: &'static str) -> Closing {
    Closing(CloseCode::Policy, text.into())
}

/// The next message of a run, if one is listened to.
async fn next_of(listener: &mut Option<Listener>) -> Heard {
    match listener {
        Some(listener) => listener.next().await,
        None => std::future::pending().await,
    }
}

/// Starts or joins the run that a message asks for, for whom the caller is now. Permission and script are looked at
/// anew for each start.
pub(crate) async fn start(
    parts: &Parts,
    uuid: &str,
    message: &Map<String, Value>,
    who: &Principal,
) -> Result<Listener, Error> {
    if !is_script_allowed(who, uuid, "stream") {
        return Err(Error::Forbidden(format!("dtrace->{uuid}->stream")));
    }
    let script = find(&parts.db, uuid).await?;
    let dialect = parts.runs.fleet().local().dialect(&script.script).await;
    let plan =
        Plan::make(&script, message, who, parts.runs.fleet(), dialect).map_err(|refusal| match refusal {
            Refusal::Denied(permission) => Error::Forbidden(permission),
            Refusal::Invalid(text) => Error::Invalid(text),
        })?;
    parts.runs.join(plan, who).map_err(|busy| Error::Busy(busy.to_string()))
}
