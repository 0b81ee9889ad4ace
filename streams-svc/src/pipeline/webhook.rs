//! `webhook`: sends the events of the stream to an HTTP address, signed, and tries again on failure.
//!
//! Parameters: `url` and `secret` (required), `event_types` (one glob or a list, default all), `timeout` in seconds (10),
//! `attempts` (5), `wait_interval` in seconds (1), doubled after each attempt up to `max_wait` (60).
//!
//! The body is `{"stream_id": …, "stream_name": …, "events": […]}` with events as in `/v1/events`. Header
//! `X-Quintet-Timestamp` has the time of sending in seconds since 1970, `X-Quintet-Signature` has
//! `sha256=` and, in hexadecimal, HMAC-SHA-256 with the secret over timestamp, a point and the body: a
//! receiver can tell a forged and an old request. `X-Quintet-Delivery` is the same in all attempts.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;
use shared::glob::GlobSet;

use super::params::{self, seconds};
use super::{Env, Events, Handler, HandlerError, Params, Post, World};
use crate::model::hex;

/// Bound of the parameter.
const MAX_ATTEMPTS: u32 = 100;

/// Shortest wait for an answer.
const SHORTEST: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
#[serde(default)]
struct WebhookParams {
    url: String,
    secret: String,
    #[serde(deserialize_with = "params::texts")]
    event_types: Vec<String>,
    timeout: f64,
    attempts: u32,
    wait_interval: f64,
    max_wait: f64,
}

impl Default for WebhookParams {
    fn default() -> Self {
        Self {
            url: String::new(),
            secret: String::new(),
            event_types: Vec::new(),
            timeout: 10.0,
            attempts: 5,
            wait_interval: 1.0,
            max_wait: 60.0,
        }
    }
}

/// Builds the handler; `url` and `secret` are required.
pub(super) fn build(params: &Params, world: &World) -> Result<Box<dyn Handler>, HandlerError> {
    let params: WebhookParams = params::read(params)?;
    if !params.url.starts_with("http://") && !params.url.starts_with("https://") {
        return Err(HandlerError::new("'url' must be an address with http:// or https://"));
    }
    if params.secret.is_empty() {
        return Err(HandlerError::new("no 'secret' given"));
    }
    let event_types = params::event_types(&params.event_types)?;
    Ok(Box::new(Webhook { params, event_types, world: world.clone(), pending: None }))
}

struct Webhook {
    params: WebhookParams,
    event_types: GlobSet,
    world: World,
    /// Id of the stream, and the body.
    pending: Option<(i64, String)>,
}

impl Handler for Webhook {
    fn handle_events(&mut self, events: Events, env: &mut Env) -> Result<Events, HandlerError> {
        let chosen: Vec<_> = events
            .iter()
            .filter(|event| self.event_types.matches(&event.event_type))
            .map(|event| event.to_json())
            .collect();
        self.pending = (!chosen.is_empty()).then(|| {
            let id = env.stream_id();
            let body = json!({ "stream_id": id, "stream_name": env.get("stream_name"), "events": chosen });
            (id, body.to_string())
        });
        Ok(events)
    }

    fn commit(&mut self) -> Result<(), HandlerError> {
        let Some((stream_id, body)) = self.pending.take() else { return Ok(()) };
        let delivery = (self.world.new_id)().to_string();
        let attempts = self.params.attempts.clamp(1, MAX_ATTEMPTS);
        let mut wait = seconds(self.params.wait_interval);
        for attempt in 1..=attempts {
            let why = match self.world.outlet.post(&self.request(&delivery, body.clone())?) {
                Ok(answer) if answer.is_success() => return Ok(()),
                Ok(answer) => format!("status {}", answer.status),
                Err(error) => error.to_string(),
            };
            log::warn!(stream_id = stream_id;
                "webhook of stream {stream_id} to {}: attempt {attempt} of {attempts} failed: {why}",
                host(&self.params.url));
            let is_last = attempt == attempts;
            if is_last || self.world.outlet.wait(wait.min(seconds(self.params.max_wait))).is_err() {
                // The address may be a secret, and users read this.
                let text = format_args!("not delivered, attempts: {attempt}, the last: {why}");
                return Err(HandlerError::new(text));
            }
            wait = wait.saturating_mul(2);
        }
        Ok(())
    }
}

impl Webhook {
    fn request(&self, delivery: &str, body: String) -> Result<Post, HandlerError> {
        let timestamp = (self.world.now)().and_utc().timestamp().to_string();
        let signature = sign(&self.params.secret, &timestamp, &body)?;
        let headers = [
            ("Content-Type", "application/json; charset=utf-8".to_owned()),
            ("X-Quintet-Delivery", delivery.to_owned()),
            ("X-Quintet-Timestamp", timestamp),
            ("X-Quintet-Signature", format!("sha256={signature}")),
        ];
        Ok(Post {
            url: self.params.url.clone(),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            body,
            timeout: seconds(self.params.timeout).max(SHORTEST),
        })
    }
}

/// The host of an address, for the log. Path, query and user may be a secret.
fn host(url: &str) -> String {
    let url = reqwest::Url::parse(url).ok();
    url.as_ref().and_then(reqwest::Url::host_str).unwrap_or("its address").to_owned()
}

/// HMAC-SHA-256 over `timestamp.body`, in hexadecimal.
fn sign(secret: &str, timestamp: &str, body: &str) -> Result<String, HandlerError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(HandlerError::new)?;
    mac.update(format!("{timestamp}.{body}").as_bytes());
    Ok(hex(&mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pipeline::tests::{Script, event, events, params};

    fn webhook(script: &Script, more: serde_json::Value) -> Box<dyn Handler> {
        let mut given = json!({ "url": "https://billing.example/usage", "secret": "s3cret" });
        given.as_object_mut().unwrap().extend(params(more));
        build(&params(given), &script.world()).unwrap()
    }

    fn two() -> Events {
        events([
            event("a.b", "m1", "2015-02-27T00:00:00", json!({ "n": 1 })),
            event("c", "m2", "2015-02-28T00:00:00", json!({})),
        ])
    }

    #[test]
    fn request_is_signed_over_time_and_body() {
        let script = Script::default().answering([200]);
        let mut handler = webhook(&script, json!({ "event_types": ["a.*"] }));
        handler.handle_events(two(), &mut Env::new(7, "usage")).unwrap();
        handler.commit().unwrap();
        let post = script.posts().remove(0);
        assert_eq!(post.url, "https://billing.example/usage");
        assert_eq!(
            post.body,
            r#"{"stream_id":7,"stream_name":"usage","events":[{"n":1,"message_id":"m1","event_type":"a.b","timestamp":{"__type__":"datetime","datetime":"2015-02-27T00:00:00"}}]}"#
        );
        let header = |name: &str| post.headers.iter().find(|(own, _)| own == name).unwrap().1.clone();
        // The script's clock stands at 2015-03-01 00:00:00.
        assert_eq!(header("X-Quintet-Timestamp"), "1425168000");
        // printf '1425168000.BODY' | openssl dgst -sha256 -hmac s3cret
        assert_eq!(
            header("X-Quintet-Signature"),
            "sha256=7c190c2d99993429d8b8d990a287430593d68fb2b780e2ebe7622f2586eaa395"
        );
    }

    #[test]
    fn failures_are_tried_again_with_doubled_waits() {
        let script = Script::default().answering([500, 503, 302, 204]);
        let mut handler = webhook(&script, json!({ "wait_interval": 2, "max_wait": 5 }));
        handler.handle_events(two(), &mut Env::new(7, "usage")).unwrap();
        handler.commit().unwrap();
        assert_eq!(script.waits(), [2, 4, 5]);
        let ids: Vec<_> = script.posts().into_iter().map(|post| post.headers[1].clone()).collect();
        assert!(ids.len() == 4 && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }

    #[test]
    fn attempts_end() {
        let script = Script::default().answering([500, 503, 500]);
        let mut handler = webhook(&script, json!({ "attempts": 2 }));
        handler.handle_events(two(), &mut Env::new(7, "usage")).unwrap();
        let error = handler.commit().unwrap_err().to_string();
        assert_eq!(error, "not delivered, attempts: 2, the last: status 503");
        assert_eq!(script.posts().len(), 2);
    }

    #[test]
    fn end_of_time_ends_the_attempts() {
        let script = Script::default().answering([500, 502, 504]).with_waits(1);
        let mut handler = webhook(&script, json!({}));
        handler.handle_events(two(), &mut Env::new(7, "usage")).unwrap();
        let error = handler.commit().unwrap_err().to_string();
        assert_eq!(error, "not delivered, attempts: 2, the last: status 502");
    }

    #[test]
    fn of_an_address_the_log_has_the_host_alone() {
        let secret = "https://user:pass@hooks.example:8443/services/T0/B0/s3cret?token=t#f";
        assert_eq!(host(secret), "hooks.example");
        assert_eq!(host("http://[::1]:80/s3cret"), "[::1]");
        assert_eq!(host("http://s3cret:x"), "its address");
    }

    #[test]
    fn nothing_is_sent_when_no_event_is_wanted() {
        let script = Script::default();
        let mut handler = webhook(&script, json!({ "event_types": ["x"] }));
        assert_eq!(handler.handle_events(two(), &mut Env::new(7, "usage")).unwrap(), two());
        handler.commit().unwrap();
        assert!(script.posts().is_empty());
    }

    #[test]
    fn address_and_secret_are_required() {
        let refusal =
            |given| build(&params(given), &Script::default().world()).err().map(|error| error.to_string());
        let address = "'url' must be an address with http:// or https://".to_owned();
        assert_eq!(refusal(json!({})), Some(address.clone()));
        assert_eq!(refusal(json!({ "url": "file:///etc/passwd" })), Some(address));
        assert_eq!(refusal(json!({ "url": "http://x" })), Some("no 'secret' given".to_owned()));
    }
}
