//! Pipelines of scripted handlers, and what the tests of the handlers share.

use std::collections::VecDeque;
use std::sync::Mutex;

use proptest::prelude::*;
use serde_json::json;
use shared::datetime;

use super::*;
use crate::counters::TriggerCounters;

pub(super) fn event(event_type: &str, message_id: &str, timestamp: &str, traits: Json) -> Event {
    let mut json = traits;
    json["message_id"] = message_id.into();
    json["event_type"] = event_type.into();
    json["timestamp"] = timestamp.into();
    Event::from_json(json).unwrap()
}

pub(super) fn events<const N: usize>(events: [Event; N]) -> Events {
    events.into_iter().map(Arc::new).collect()
}

pub(super) fn params(json: Json) -> Params {
    if let Json::Object(params) = json { params } else { Params::new() }
}

/// A world without network: its clock stands at 2015-03-01, answers are given in advance.
#[derive(Clone, Default)]
pub(super) struct Script(Arc<Mutex<Scripted>>);

#[derive(Default)]
struct Scripted {
    answers: VecDeque<u16>,
    bodies: VecDeque<String>,
    posts: Vec<Post>,
    messages: Vec<Message>,
    waits: Vec<u64>,
    waits_left: Option<usize>,
    ids: u128,
}

impl Script {
    pub(super) fn answering<const N: usize>(self, answers: [u16; N]) -> Self {
        self.0.lock().unwrap().answers = answers.into();
        self
    }

    pub(super) fn with_waits(self, waits: usize) -> Self {
        self.0.lock().unwrap().waits_left = Some(waits);
        self
    }

    pub(super) fn bodies<const N: usize>(&self, bodies: [&str; N]) {
        self.0.lock().unwrap().bodies = bodies.map(str::to_owned).into();
    }

    pub(super) fn posts(&self) -> Vec<Post> {
        self.0.lock().unwrap().posts.clone()
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        self.0.lock().unwrap().messages.clone()
    }

    pub(super) fn waits(&self) -> Vec<u64> {
        self.0.lock().unwrap().waits.clone()
    }

    pub(super) fn world(&self) -> World {
        let ids = Arc::clone(&self.0);
        World {
            new_id: Arc::new(move || {
                let mut script = ids.lock().unwrap();
                script.ids += 1;
                Uuid::from_u128(script.ids)
            }),
            now: Arc::new(|| datetime::parse("2015-03-01").unwrap()),
            outlet: Arc::new(self.clone()),
        }
    }
}

impl Outlet for Script {
    fn publish(&self, message: &Message) -> Result<(), HandlerError> {
        self.0.lock().unwrap().messages.push(message.clone());
        Ok(())
    }

    fn post(&self, request: &Post) -> Result<Answer, HandlerError> {
        let mut script = self.0.lock().unwrap();
        script.posts.push(request.clone());
        let status = script.answers.pop_front().ok_or_else(|| HandlerError::new("no answer"))?;
        Ok(Answer { status, body: script.bodies.pop_front().unwrap_or_default() })
    }

    fn wait(&self, time: Duration) -> Result<(), HandlerError> {
        let mut script = self.0.lock().unwrap();
        if script.waits_left == Some(script.waits.len()) {
            return Err(HandlerError::new("no time left"));
        }
        script.waits.push(time.as_secs());
        Ok(())
    }
}

/// What scripted handlers did, in order.
static DONE: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// Tests that look at [`DONE`] run one after another.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Does as its parameters tell: `name`, `fail` (`build`, `handle`, `commit`, `rollback` or `panic`), `add` an
/// event with this id, `drop` all events.
struct Puppet {
    params: Params,
}

impl Puppet {
    fn build(params: &Params, _: &World) -> Result<Box<dyn Handler>, HandlerError> {
        let puppet = Self { params: params.clone() };
        puppet.act("build")?;
        Ok(Box::new(puppet))
    }

    fn text(&self, key: &str) -> &str {
        self.params.get(key).and_then(Json::as_str).unwrap_or_default()
    }

    fn act(&self, what: &str) -> Result<(), HandlerError> {
        DONE.lock().unwrap().push(format!("{} {what}", self.text("name")));
        assert!(self.text("fail") != "panic" || what != "handle", "as told");
        if self.text("fail") == what { Err(HandlerError::new("as told")) } else { Ok(()) }
    }
}

impl Handler for Puppet {
    fn handle_events(&mut self, mut events: Events, env: &mut Env) -> Result<Events, HandlerError> {
        let seen: Vec<_> = events.iter().map(|event| event.message_id.as_str()).collect();
        self.act("handle")?;
        env.set(self.text("name"), json!(seen));
        if self.params.contains_key("drop") {
            events.clear();
        }
        if !self.text("add").is_empty() {
            events.push(Arc::new(event("new", self.text("add"), "2015-02-27", json!({}))));
        }
        Ok(events)
    }

    fn commit(&mut self) -> Result<(), HandlerError> {
        self.act("commit")
    }

    fn rollback(&mut self) -> Result<(), HandlerError> {
        self.act("rollback")
    }
}

/// Runs puppets over the events m1 and m2. Returns the new events or the failure, what was done, the counts,
/// and the notes left.
fn play(puppets: Json) -> (Result<Vec<String>, String>, Vec<String>, Vec<String>, Env) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    DONE.lock().unwrap().clear();
    let handlers = puppets.as_array().unwrap().iter().map(|given| definition::HandlerUse {
        name: given["name"].as_str().unwrap().to_owned(),
        build: Puppet::build,
        params: params(given.clone()),
    });
    let definition = Definition { name: "p".to_owned(), handlers: handlers.collect() };
    let mut counters = TriggerCounters::new(1);
    let mut env = Env::new(7, "t");
    let two = events([event("a", "m1", "2015-02-27", json!({})), event("a", "m2", "2015-02-28", json!({}))]);
    let outcome = Run::build(&definition, &Script::default().world()).and_then(|mut run| {
        let new = run.handle(two, &mut env, &mut counters)?;
        let failures = run.commit(&mut counters);
        env.set("failures", failures.iter().map(ToString::to_string).collect());
        Ok(new.iter().map(|event| event.message_id.clone()).collect())
    });
    let counts = counters.counts().iter().map(|(name, count)| format!("{name} {count}")).collect();
    let done = DONE.lock().unwrap().clone();
    (outcome.map_err(|failure| failure.to_string()), done, counts, env)
}

#[test]
fn all_handle_in_turn_and_then_all_commit() {
    let (outcome, done, counts, env) =
        play(json!([{ "name": "x", "add": "m3" }, { "name": "y", "add": "m4" }]));
    assert_eq!(outcome, Ok(vec!["m3".to_owned(), "m4".to_owned()]));
    assert_eq!(done, ["x build", "y build", "x handle", "y handle", "x commit", "y commit"]);
    assert_eq!(counts, ["Commit successful 2", "Pre-commit successful 1"]);
    assert_eq!(env.get("y"), Some(&json!(["m1", "m2", "m3"])));
    assert_eq!((env.get("stream_id"), env.get("stream_name")), (Some(&json!(7)), Some(&json!("t"))));
}

#[test]
fn only_events_that_the_last_handler_returns_and_the_stream_lacks_are_new() {
    let (outcome, ..) = play(json!([{ "name": "x", "add": "m3" }, { "name": "y", "drop": 1, "add": "m2" }]));
    assert_eq!(outcome, Ok(vec![]));
    let (outcome, ..) = play(json!([{ "name": "x", "drop": 1 }, { "name": "y", "add": "m5" }]));
    assert_eq!(outcome, Ok(vec!["m5".to_owned()]));
}

#[test]
fn failure_rolls_back_all_handlers_and_none_commits() {
    let (outcome, done, counts, _) = play(
        json!([{ "name": "x" }, { "name": "y", "fail": "handle" }, { "name": "z", "fail": "rollback" }]),
    );
    assert_eq!(outcome, Err("pipeline 'p', handler 'y': as told".to_owned()));
    assert_eq!(done[3..], ["x handle", "y handle", "x rollback", "y rollback", "z rollback"]);
    assert_eq!(counts, ["Pipeline error 1", "Rollback error 1", "Rollback successful 2"]);
}

#[test]
fn failure_to_build_rolls_nothing_back() {
    let (outcome, done, counts, _) = play(json!([{ "name": "x" }, { "name": "y", "fail": "build" }]));
    assert_eq!(outcome, Err("pipeline 'p', handler 'y': as told".to_owned()));
    assert_eq!(done, ["x build", "y build"]);
    assert!(counts.is_empty());
}

#[test]
fn failure_to_commit_leaves_the_others_committing() {
    let (outcome, done, counts, env) = play(json!([{ "name": "x", "fail": "commit" }, { "name": "y" }]));
    assert_eq!(outcome, Ok(vec![]));
    assert_eq!(env.get("failures"), Some(&json!(["pipeline 'p', handler 'x': as told"])));
    assert_eq!(done[4..], ["x commit", "y commit"]);
    assert_eq!(counts, ["Commit error 1", "Commit successful 1", "Pre-commit successful 1"]);
}

#[test]
fn panic_is_a_failure() {
    let (outcome, done, ..) = play(json!([{ "name": "x", "fail": "panic" }]));
    assert_eq!(outcome, Err("pipeline 'p', handler 'x': the handler panicked".to_owned()));
    assert_eq!(done, ["x build", "x handle", "x rollback"]);
}

#[test]
fn pipeline_without_handlers_succeeds() {
    assert_eq!(play(json!([])).0, Ok(vec![]));
}

fn refusal(text: &str) -> String {
    parse("pipelines.yaml", text, &Handlers::default()).unwrap_err().to_string()
}

#[test]
fn wrong_pipelines_are_refused_with_line_pipeline_and_handler() {
    for (text, message) in [
        (
            "p:\n- logger\n- nobody",
            "pipelines.yaml:3: pipeline 'p': handler 'nobody' is not in pipeline_handlers",
        ),
        ("p:\n- {params: {}}", "pipelines.yaml:2: pipeline 'p': a handler has no name"),
        ("p:\n- 5", "pipelines.yaml:2: pipeline 'p': a handler is needed, not an integer"),
        ("p: logger", "pipelines.yaml:1: pipeline 'p': a list of handlers is needed, not a text"),
        (
            "p:\n- {name: logger, params: 5}",
            "pipelines.yaml:2: pipeline 'p': handler 'logger': params: a mapping is needed",
        ),
        ("- logger", "pipelines.yaml:1: a mapping of pipelines is needed, not a list"),
        ("~: [logger]", "pipelines.yaml:1: the name of a pipeline is needed"),
    ] {
        assert_eq!(refusal(text), message);
    }
}

#[test]
fn handlers_are_known_by_the_original_class_names() {
    let text = "log: 'winchester.pipeline_handler:LoggingHandler'\nown: 'shop.handlers:Own'";
    let handlers = Handlers::from_yaml(&shared::yaml::parse("w", text).unwrap()).unwrap();
    let pipelines = parse("p", "a: [log]\nb: []\nc: [{name: log, params: }]", &handlers).unwrap();
    assert_eq!(pipelines.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    let refused = |text| parse("p", text, &handlers).unwrap_err().to_string();
    assert_eq!(
        refused("a: [own]"),
        "p:1: pipeline 'a': handler 'own': its class 'shop.handlers:Own' is not built in"
    );
    assert_eq!(refused("a: [logger]"), "p:1: pipeline 'a': handler 'logger' is not in pipeline_handlers");
}

#[test]
fn pipeline_that_can_never_be_built_is_no_reason_not_to_start() {
    let pipelines = parse("p", "a: [notabene]", &Handlers::default()).unwrap();
    let built = Run::build(pipelines.get("a").unwrap(), &Script::default().world());
    let failure = built.err().map(|failure| failure.to_string());
    assert_eq!(failure.as_deref(), Some("pipeline 'a', handler 'notabene': no 'queue_name' given"));
}

proptest! {
    #[test]
    fn any_text_is_pipelines_or_refused(text in "[-a-z{}\\[\\]:&*! \n]{0,80}") {
        let _ = parse("p", &text, &Handlers::default());
    }
}
