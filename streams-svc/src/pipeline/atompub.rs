//! `atompub`: posts events as Atom entries (RFC 4287) to a feed (`AtomHopper` and its like).
//!
//! Parameters: `url` (required), `event_types` (one glob or a list, default all), `title` (default: the event type),
//! `categories`, `auth_user`, `auth_key`, `auth_server` (a token is fetched when `auth_server` is given),
//! `wait_interval` (30), `max_wait` (600) and `http_timeout` (120) in seconds. The content is JSON; the original's
//! `content_format: cuf_xml`, and `extra_info` that belongs to it, the contract leaves open, and it is refused.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value as Json, json};
use shared::glob::GlobSet;

use super::params::{self, seconds};
use super::{Env, Events, Handler, HandlerError, Params, Post, World};
use crate::model::{Event, Value};

/// Shortest pause and shortest wait for an answer.
const SHORTEST: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
#[serde(default)]
struct AtomPubParams {
    url: String,
    #[serde(deserialize_with = "params::texts")]
    event_types: Vec<String>,
    content_format: String,
    title: Option<String>,
    #[serde(deserialize_with = "params::texts")]
    categories: Vec<String>,
    auth_user: String,
    auth_key: String,
    auth_server: String,
    wait_interval: f64,
    max_wait: f64,
    http_timeout: f64,
}

impl Default for AtomPubParams {
    fn default() -> Self {
        Self {
            url: String::new(),
            event_types: Vec::new(),
            content_format: "json".to_owned(),
            title: None,
            categories: Vec::new(),
            auth_user: String::new(),
            auth_key: String::new(),
            auth_server: String::new(),
            wait_interval: 30.0,
            max_wait: 600.0,
            http_timeout: 120.0,
        }
    }
}

/// Builds the handler; `url` is required.
pub(super) fn build(params: &Params, world: &World) -> Result<Box<dyn Handler>, HandlerError> {
    let params: AtomPubParams = params::read(params)?;
    if params.url.is_empty() {
        return Err(HandlerError::new("no 'url' given"));
    }
    if params.content_format == "cuf_xml" {
        return Err(HandlerError::new("content_format 'cuf_xml' is not known"));
    }
    if params.content_format != "json" {
        log::warn!("content_format '{}' is not known: entries are in JSON", params.content_format);
    }
    let event_types = params::event_types(&params.event_types)?;
    Ok(Box::new(AtomPub { params, event_types, world: world.clone(), pending: Vec::new(), token: None }))
}

struct AtomPub {
    params: AtomPubParams,
    event_types: GlobSet,
    world: World,
    pending: Events,
    token: Option<String>,
}

impl Handler for AtomPub {
    fn handle_events(&mut self, events: Events, _: &mut Env) -> Result<Events, HandlerError> {
        self.pending =
            events.iter().filter(|event| self.event_types.matches(&event.event_type)).cloned().collect();
        Ok(events)
    }

    fn commit(&mut self) -> Result<(), HandlerError> {
        for event in std::mem::take(&mut self.pending) {
            self.deliver(&event)?;
        }
        Ok(())
    }
}

impl AtomPub {
    /// Tries until the feed has taken or refused the entry; the pipeline's time limit is the only end.
    fn deliver(&mut self, event: &Event) -> Result<(), HandlerError> {
        let entry = entry(event, &self.params)?;
        for attempt in 1_u32.. {
            let why = match self.post_entry(&entry) {
                Ok(answer) if answer.is_success() => return Ok(()),
                Ok(answer) if [400, 409].contains(&answer.status) => {
                    log::error!("entry {} refused with status {}", event.message_id, answer.status);
                    return Ok(());
                }
                Ok(answer) => {
                    if answer.status == 401 {
                        self.token = None;
                        if attempt == 1 {
                            continue;
                        }
                    }
                    format!("status {}", answer.status)
                }
                Err(error) => error.to_string(),
            };
            log::warn!("entry {} not posted, attempt {attempt}: {why}", event.message_id);
            let wait = seconds(self.params.wait_interval).saturating_mul(attempt);
            let waited = self.world.outlet.wait(wait.min(seconds(self.params.max_wait)).max(SHORTEST));
            waited.map_err(|_over| {
                let id = &event.message_id;
                HandlerError::new(format_args!("entry {id} not posted, attempts: {attempt}, the last: {why}"))
            })?;
        }
        Ok(())
    }

    fn post_entry(&mut self, entry: &str) -> Result<super::Answer, HandlerError> {
        let mut headers = vec![("Content-Type".to_owned(), "application/atom+xml".to_owned())];
        if !self.params.auth_server.is_empty() {
            headers.push(("X-Auth-Token".to_owned(), self.token()?));
        }
        self.world.outlet.post(&self.request(&self.params.url, headers, entry.to_owned()))
    }

    /// The token there is, or a new one.
    fn token(&mut self) -> Result<String, HandlerError> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let credentials = json!({ "username": self.params.auth_user, "apiKey": self.params.auth_key });
        let body = json!({ "auth": { "RAX-KSKEY:apiKeyCredentials": credentials } }).to_string();
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        let answer = self.world.outlet.post(&self.request(&self.params.auth_server, headers, body))?;
        let json: Json = serde_json::from_str(&answer.body).unwrap_or_default();
        match json.pointer("/access/token/id").and_then(Json::as_str) {
            Some(token) if answer.is_success() => Ok(self.token.insert(token.to_owned()).clone()),
            _ => Err(HandlerError::new(format_args!("no token, status {}", answer.status))),
        }
    }

    fn request(&self, url: &str, headers: Vec<(String, String)>, body: String) -> Post {
        let timeout = seconds(self.params.http_timeout).max(SHORTEST);
        Post { url: url.to_owned(), headers, body, timeout }
    }
}

/// The event as an Atom entry.
fn entry(event: &Event, params: &AtomPubParams) -> Result<String, HandlerError> {
    let mut categories = params.categories.clone();
    categories.push(event.event_type.clone());
    let original = event.traits.get("original_message_id").and_then(Value::as_text);
    categories.extend(original.map(|id| format!("original_message_id:{id}")));
    let categories: String =
        categories.iter().map(|term| format!(r#"<category term="{}"/>"#, escaped(term))).collect();
    let content = serde_json::to_string(&event.to_json()).map_err(HandlerError::new)?;
    Ok(format!(
        r#"<?xml version="1.0" encoding="utf-8"?><entry xmlns="http://www.w3.org/2005/Atom"><id>urn:uuid:{}</id>{categories}<title type="text">{}</title><content type="application/json">{}</content></entry>"#,
        escaped(&event.message_id),
        escaped(params.title.as_deref().unwrap_or(&event.event_type)),
        escaped(&content),
    ))
}

/// Text for XML; characters that XML 1.0 has no way to write are left out.
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\t' | '\n' | '\r' => xml.push(c),
            c if c < ' ' || c == '\u{fffe}' || c == '\u{ffff}' => {}
            c => xml.push(c),
        }
    }
    xml
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tests::{Script, event, events, params};

    fn one() -> Events {
        let traits = json!({ "original_message_id": "o&1", "error": "<none>" });
        events([event("exists.verified", "m1", "2015-02-27T00:00:00", traits)])
    }

    fn run(script: &Script, more: Json) -> Result<(), HandlerError> {
        let mut given = params(json!({ "url": "http://feed/x", "wait_interval": 30, "max_wait": 50 }));
        given.extend(params(more));
        let mut handler = build(&given, &script.world()).unwrap();
        handler.handle_events(one(), &mut Env::new(7, "usage")).unwrap();
        handler.commit()
    }

    #[test]
    fn event_becomes_an_atom_entry() {
        let script = Script::default().answering([201]);
        run(&script, json!({ "categories": ["a\"b"], "title": "T" })).unwrap();
        let post = script.posts().remove(0);
        assert_eq!(post.url, "http://feed/x");
        assert_eq!(post.headers, [("Content-Type".to_owned(), "application/atom+xml".to_owned())]);
        let expected = concat!(
            r#"<?xml version="1.0" encoding="utf-8"?><entry xmlns="http://www.w3.org/2005/Atom"><id>urn:uuid:m1</id>"#,
            r#"<category term="a&quot;b"/><category term="exists.verified"/><category term="original_message_id:o&amp;1"/>"#,
            r#"<title type="text">T</title><content type="application/json">{&quot;original_message_id&quot;:&quot;o&amp;1&quot;,"#,
            r#"&quot;error&quot;:&quot;&lt;none&gt;&quot;,&quot;message_id&quot;:&quot;m1&quot;,&quot;event_type&quot;:&quot;exists.verified&quot;,"#,
            r#"&quot;timestamp&quot;:{&quot;__type__&quot;:&quot;datetime&quot;,&quot;datetime&quot;:&quot;2015-02-27T00:00:00&quot;}}</content></entry>"#,
        );
        assert_eq!(post.body, expected);
    }

    #[test]
    fn parameters_are_as_lax_as_the_original() {
        for (more, is_posted) in [
            (json!({ "event_types": "exists.*" }), true),
            (json!({ "event_types": ["a.*", "*.verified"] }), true),
            (json!({ "event_types": "update.*" }), false),
            (json!({ "event_types": [] }), true),
            (json!({ "event_types": " ", "categories": "", "title": "" }), true),
            (json!({ "event_types": null, "categories": null, "title": null }), true),
            (json!({ "wait_interval": 0.5, "categories": "one", "content_format": "text" }), true),
        ] {
            let script = Script::default().answering([201]);
            run(&script, more.clone()).unwrap();
            assert_eq!(script.posts().len(), usize::from(is_posted), "{more}");
        }
        for more in [json!({ "event_types": 5 }), json!({ "content_format": "cuf_xml" })] {
            let given = params(json!({ "url": "http://feed/x" }));
            let given = given.into_iter().chain(params(more.clone())).collect();
            assert!(build(&given, &Script::default().world()).is_err(), "{more}");
        }
    }

    #[test]
    fn waits_grow_with_the_attempts_up_to_the_longest() {
        let script = Script::default().answering([500, 502, 503, 200]);
        run(&script, json!({})).unwrap();
        assert_eq!(script.waits(), [30, 50, 50]);
    }

    #[test]
    fn refused_entries_are_given_up() {
        for status in [400, 409] {
            let script = Script::default().answering([status]);
            run(&script, json!({})).unwrap();
            assert_eq!((script.posts().len(), script.waits().len()), (1, 0));
        }
    }

    #[test]
    fn stale_token_is_replaced() {
        let script = Script::default().answering([200, 401, 200, 201]);
        script.bodies([r#"{"access":{"token":{"id":"t1"}}}"#, "", r#"{"access":{"token":{"id":"t2"}}}"#, ""]);
        run(&script, json!({ "auth_server": "http://auth", "auth_user": "u", "auth_key": "k" })).unwrap();
        let posts = script.posts();
        assert_eq!(
            posts[0].body,
            r#"{"auth":{"RAX-KSKEY:apiKeyCredentials":{"username":"u","apiKey":"k"}}}"#
        );
        let tokens: Vec<_> = [1, 3].map(|index: usize| posts[index].headers[1].1.clone()).into();
        assert_eq!(tokens, ["t1", "t2"]);
    }

    #[test]
    fn end_of_time_ends_the_tries() {
        let script = Script::default().answering([500; 100]).with_waits(3);
        let error = run(&script, json!({})).unwrap_err().to_string();
        assert_eq!(error, "entry m1 not posted, attempts: 4, the last: status 500");
        assert_eq!(script.posts().len(), 4);
    }

    #[test]
    fn address_and_format_are_checked() {
        let refusal =
            |given| build(&params(given), &Script::default().world()).err().map(|error| error.to_string());
        assert_eq!(refusal(json!({})), Some("no 'url' given".to_owned()));
        let cuf = json!({ "url": "http://x", "content_format": "cuf_xml" });
        assert_eq!(refusal(cuf), Some("content_format 'cuf_xml' is not known".to_owned()));
    }
}
