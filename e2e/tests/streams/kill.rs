//! SIGKILL at random, fifty times, while notifications arrive: every stream has exactly the right members, every
//! pipeline's events are stored exactly once, and its webhook was called at least once.

use crate::{all, get, text};
use e2e::{Home, Product};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

const KILLS: usize = 50;
const CLIENTS: usize = 3;

/// An instance's stream fires with its exists; a request's stream expires a second after its last event.
const TRIGGERS: &str = "\
- name: instance
  distinguished_by: [instance_id]
  expiration: $last + 1d
  fire_pipeline: fired
  match_criteria: [{event_type: [compute.instance.*, '!compute.instance.exists.*']}]
  fire_criteria: [{event_type: compute.instance.exists}]
- name: request
  distinguished_by: [request_id]
  expiration: $last + 1s
  expire_pipeline: expired
  match_criteria: [{event_type: scheduler.*}]
  fire_criteria: [{event_type: nothing}]
";

fn configure(home: &Home, receiver: &str) -> String {
    let definitions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/usage/event_definitions.yaml");
    let pipelines = format!(
        "fired: [usage, {{name: webhook, params: {{url: '{receiver}', secret: s}}}}]\nexpired: [usage]\n"
    );
    let winchester = format!(
        "distiller_config: {}\ntrigger_definitions: triggers.yaml\npipeline_config: pipelines.yaml\n\
         pipeline_handlers: {{usage: 'winchester.pipeline_handler:UsageHandler', webhook: 'quintet:WebhookHandler'}}\n\
         purge_completed_streams: false\npipeline_worker_delay: 0.2\n",
        definitions.display()
    );
    for (name, text) in
        [("triggers.yaml", TRIGGERS), ("pipelines.yaml", &pipelines), ("winchester.yaml", &winchester)]
    {
        std::fs::write(home.path().join(name), text).unwrap();
    }
    home.path().join("winchester.yaml").to_str().unwrap().to_owned()
}

/// A process of the installation.
struct Process {
    name: &'static str,
    target: &'static str,
    settings: Vec<(&'static str, String)>,
    product: Option<Product>,
}

impl Process {
    fn start(&mut self, home: &Home) {
        let settings: Vec<(&str, &str)> =
            self.settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.product =
            Some(home.start_as(self.name, &["serve", "--target", self.target], &settings).unwrap());
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A number below `sides`, by chance.
fn roll(sides: usize) -> usize {
    usize::from(u16::from_le_bytes([Uuid::new_v4().as_bytes()[0], Uuid::new_v4().as_bytes()[1]])) % sides
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_survive_sigkill_of_the_whole_on_sqlite() {
    let home = Home::sqlite().unwrap();
    let (receiver, delivered) = receive().await;
    let gateway = free_address();
    let settings = vec![
        ("QUINTET_WINCHESTER_CONFIG", configure(&home, &receiver)),
        ("QUINTET_GATEWAY__LISTEN", gateway.clone()),
        ("QUINTET_STREAMS__LEASE_SECS", "5".to_owned()),
    ];
    let whole = Process { name: "all", target: "all", settings, product: None };
    kill_and_check(&home, vec![whole], 1, &format!("http://{gateway}"), &delivered).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_survive_sigkill_of_events_and_two_streams_replicas_on_postgres() {
    let Some(home) = Home::postgres().unwrap() else { return };
    let (receiver, delivered) = receive().await;
    let [gateway, events, one, other] = std::array::from_fn(|_| free_address());
    let winchester = || ("QUINTET_WINCHESTER_CONFIG", configure(&home, &receiver));
    let streams = |name, address: &str| Process {
        name,
        target: "streams",
        settings: vec![
            winchester(),
            ("QUINTET_STREAMS__LISTEN__ADDRESS", address.to_owned()),
            ("QUINTET_STREAMS__EVENTS_URL", format!("http://{events}")),
            ("QUINTET_STREAMS__LEASE_SECS", "5".to_owned()),
        ],
        product: None,
    };
    let processes = vec![
        Process {
            name: "events",
            target: "events",
            settings: vec![winchester(), ("QUINTET_EVENTS__LISTEN__ADDRESS", events.clone())],
            product: None,
        },
        streams("streams-1", &one),
        streams("streams-2", &other),
        Process {
            name: "gateway",
            target: "gateway",
            settings: vec![
                ("QUINTET_GATEWAY__LISTEN", gateway.clone()),
                ("QUINTET_GATEWAY__UPSTREAMS__EVENTS", format!("http://{events}")),
                ("QUINTET_GATEWAY__UPSTREAMS__STREAMS", format!("[\"http://{one}\",\"http://{other}\"]")),
            ],
            product: None,
        },
    ];
    kill_and_check(&home, processes, 3, &format!("http://{gateway}"), &delivered).await;
}

/// Kills one of the first `mortal` processes at a time.
async fn kill_and_check(
    home: &Home,
    mut processes: Vec<Process>,
    mortal: usize,
    url: &str,
    delivered: &Arc<Mutex<BTreeSet<i64>>>,
) {
    for process in &mut processes {
        process.start(home);
    }
    let (stop, instances) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(post_instances(url.to_owned(), Arc::clone(&instances), Arc::clone(&stop))))
        .collect();
    for _ in 0..KILLS {
        tokio::time::sleep(
            Duration::from_millis(100) + Duration::from_millis(10) * u32::try_from(roll(60)).unwrap(),
        )
        .await;
        let victim = &mut processes[roll(mortal)];
        victim.product.take().unwrap().kill().unwrap();
        victim.start(home);
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let count = instances.load(Ordering::Relaxed);
    assert!(count > KILLS, "only {count} instances");
    settle(url, count).await;
    check_instances(url, count, delivered).await;
    check_requests(url, count).await;
    for mut process in processes {
        process.product.take().unwrap().terminate().await.unwrap();
    }
}

fn update_id(instance: usize, number: usize) -> String {
    format!("{instance:08x}-0000-4000-8000-{number:012x}")
}

fn exists_id(instance: usize) -> String {
    format!("{instance:08x}-ffff-4000-8000-000000000000")
}

fn request_event_id(instance: usize, number: usize) -> String {
    format!("{instance:08x}-eeee-4000-8000-{number:012x}")
}

/// One instance after another: four updates and its request's two events, and when they are stored its exists. What
/// was not acknowledged is sent again, with the same ids.
async fn post_instances(url: String, instances: Arc<AtomicUsize>, stop: Arc<AtomicBool>) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    while !stop.load(Ordering::Relaxed) {
        let instance = instances.fetch_add(1, Ordering::Relaxed);
        let notification = |id: String, kind: &str, more: Value| {
            let mut payload = json!({ "instance_id": format!("i{instance}"), "state": "active" });
            payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({ "message_id": id, "event_type": kind, "publisher_id": "compute.host-1", "payload": payload,
                "_context_request_id": format!("req-{instance}") })
        };
        let mut first: Vec<Value> = (0..4)
            .map(|n| notification(update_id(instance, n), "compute.instance.update", json!({})))
            .collect();
        first.extend(
            (0..2).map(|n| {
                notification(request_event_id(instance, n), "scheduler.run_instance.start", json!({}))
            }),
        );
        let audit = json!({ "launched_at": "2015-01-01 00:00:00", "audit_period_beginning": "2015-02-27 00:00:00",
            "audit_period_ending": "2015-02-28 00:00:00" });
        let last = vec![notification(exists_id(instance), "compute.instance.exists", audit)];
        for batch in [first, last] {
            loop {
                let answer = client.post(format!("{url}/v1/notifications")).json(&batch).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// Waits until every event is in its stream, every stream is completed, and every verdict is stored.
async fn settle(url: &str, instances: usize) {
    let deadline = Instant::now() + Duration::from_secs(120);
    let wanted = u64::try_from(instances).unwrap();
    let count = async |path: &str| get(&format!("{url}{path}")).await[0]["count"].as_u64().unwrap();
    loop {
        let completed = count("/v1/streams/count?trigger_name=instance&state=completed").await;
        let all_streams = count("/v1/streams/count").await;
        let all_completed = count("/v1/streams/count?state=completed").await;
        let verified = count("/v1/events/count?event_name=compute.instance.exists.verified").await;
        let requests = count("/v1/streams/count?trigger_name=request&state=completed").await;
        let unproven = count("/v1/events/count?event_name=compute.instance.exists.failed").await;
        let is_done = completed >= wanted && all_streams == all_completed;
        if is_done && verified >= wanted && unproven >= requests {
            return;
        }
        let state = format!(
            "{instances} instances: {completed} completed, {verified} verified; {requests} requests, {unproven} \
             reports; {all_completed} of {all_streams} streams completed"
        );
        assert!(Instant::now() < deadline, "{state}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn check_instances(url: &str, instances: usize, delivered: &Mutex<BTreeSet<i64>>) {
    let streams = all(url, "/v1/streams?trigger_name=instance&details=true").await;
    assert_eq!(streams.len(), instances, "one stream for each instance");
    let delivered = delivered.lock().unwrap().clone();
    let mut seen = BTreeSet::new();
    for stream in &streams {
        let instance = text(&stream["distinguishing_traits"], "instance_id");
        let number: usize = instance.trim_start_matches('i').parse().unwrap();
        assert!(seen.insert(number), "{instance} has two streams");
        let mut members: Vec<&str> =
            stream["events"].as_array().unwrap().iter().map(|event| text(event, "message_id")).collect();
        members.sort_unstable();
        let mut expected: Vec<String> = (0..4).map(|n| update_id(number, n)).collect();
        expected.push(exists_id(number));
        assert_eq!(members, expected, "{instance}");
        let id = stream["id"].as_i64().unwrap();
        assert!(delivered.contains(&id), "nobody was told of stream {id}");
    }
    let verified = all(url, "/v1/events?event_name=compute.instance.exists.verified").await;
    let mut ids: Vec<&str> = verified.iter().map(|event| text(event, "message_id")).collect();
    ids.sort_unstable();
    let expected_id = |number| {
        let namespace = Uuid::parse_str(&exists_id(number)).unwrap();
        Uuid::new_v5(&namespace, b"compute.instance.exists.verified").to_string()
    };
    let mut expected: Vec<String> = (0..instances).map(expected_id).collect();
    expected.sort_unstable();
    assert_eq!(ids, expected, "each exists is verified once");
}

/// The events of a request may be in more than one stream, for a stream ends after a second; but each in one.
async fn check_requests(url: &str, instances: usize) {
    let streams = all(url, "/v1/streams?trigger_name=request&details=true").await;
    let mut members: Vec<String> = Vec::new();
    for stream in &streams {
        let request = text(&stream["distinguishing_traits"], "request_id");
        for event in stream["events"].as_array().unwrap() {
            assert_eq!(text(event, "request_id"), request);
            members.push(text(event, "message_id").to_owned());
        }
    }
    members.sort_unstable();
    let mut expected: Vec<String> =
        (0..instances).flat_map(|number| (0..2).map(move |n| request_event_id(number, n))).collect();
    expected.sort_unstable();
    assert_eq!(members, expected);
    // A stream without an exists makes one report, with a random id: were it made twice, it would be there twice.
    let reports = all(url, "/v1/events?event_name=compute.instance.exists.failed").await;
    let mut by_stream: BTreeMap<i64, usize> = BTreeMap::new();
    for report in &reports {
        assert_eq!(report["error_code"], "U0", "{report}");
        *by_stream.entry(report["stream_id"].as_i64().unwrap()).or_default() += 1;
    }
    let expected: BTreeMap<i64, usize> =
        streams.iter().map(|stream| (stream["id"].as_i64().unwrap(), 1)).collect();
    assert_eq!(by_stream, expected, "one report for each stream");
}

/// A receiver of webhooks; the streams that it was told of.
async fn receive() -> (String, Arc<Mutex<BTreeSet<i64>>>) {
    let delivered: Arc<Mutex<BTreeSet<i64>>> = Arc::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let known = Arc::clone(&delivered);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(take_posts(stream, Arc::clone(&known)));
        }
    });
    (url, delivered)
}

/// Takes the requests of one connection.
async fn take_posts(mut stream: tokio::net::TcpStream, delivered: Arc<Mutex<BTreeSet<i64>>>) {
    let mut read = Vec::new();
    loop {
        let whole = loop {
            let head = read.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
            if let Some(head) = head {
                let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
                let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
                let length: usize = length.unwrap().trim().parse().unwrap();
                if read.len() >= head + length {
                    break head..head + length;
                }
            }
            // A sender that was killed in the middle.
            if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let body: Value = serde_json::from_slice(&read[whole.clone()]).unwrap();
        delivered.lock().unwrap().insert(body["stream_id"].as_i64().unwrap());
        read.drain(..whole.end);
        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.is_err() {
            return;
        }
    }
}
