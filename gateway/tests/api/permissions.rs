//! Every row of `docs/permissions.md`, asked for as every kind of caller; and two users who may different things.

use crate::house::{House, PASSWORD, basic, bearer};
use crate::support::{Message, request};

const DOCUMENT: &str = include_str!("../../../docs/permissions.md");

/// Id of the thing that the owner owns, and of one that he does not.
const OWN: &str = "mine";
const OTHER: &str = "other";

/// A row: method, path, permission, and what each caller gets.
struct Row {
    method: &'static str,
    path: &'static str,
    permission: &'static str,
    callers: Vec<&'static str>,
}

fn rows() -> Vec<Row> {
    let lines = DOCUMENT.lines().filter(|line| line.starts_with("| ") && line.contains("| `/"));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            Row { method: cells[1], path: cells[2], permission: cells[3], callers: cells[4..9].to_vec() }
        })
        .collect()
}

impl Row {
    /// The path with the part that the permission names filled in by `id`, and others by a word.
    fn with(&self, id: &str) -> String {
        let named = self.permission.split("->").find(|word| word.starts_with('{'));
        let part = |part: &str| match part {
            part if Some(part) == named => id.to_owned(),
            "{version}" => "0.1.0".into(),
            part if part.starts_with('{') => "x".into(),
            part => part.to_owned(),
        };
        self.path.split('/').map(part).collect::<Vec<_>>().join("/")
    }

    fn has_id(&self) -> bool {
        self.permission.contains('{')
    }
}

/// `yes`, or the status of a refusal.
fn verdict(answer: &Message) -> String {
    // The login page refuses unknown clients in its own words; it has let the caller in.
    let is_own = |word: &str| answer.text().contains(word);
    match answer.status() {
        403 if is_own("unauthorized_client") => "yes".into(),
        401 if is_own("invalid_client") => "yes".into(),
        status @ (401 | 403) => status.to_string(),
        _ => "yes".into(),
    }
}

#[tokio::test]
async fn every_route_lets_in_whom_the_document_names() {
    let house = House::open().await;
    for role in ["reader", "operator", "admin"] {
        let id = house.user(&format!("the {role}"), &[]).await;
        house.join(&id, role).await;
    }
    let things = [
        "streams",
        "events",
        "event_types",
        "plugins",
        "tasks",
        "agreements",
        "members",
        "dtrace",
        "annotations",
        "users",
        "clients",
        "roles",
    ];
    let owned: Vec<String> = things.iter().map(|thing| format!("{thing}->{OWN}->...")).collect();
    house.user("the owner", &owned.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut callers = vec![String::new()];
    for name in ["reader", "operator", "admin", "owner"] {
        callers.push(bearer(&house.log_in(&format!("the {name}")).await));
    }
    let rows = rows();
    assert!(rows.len() > 100, "{}", rows.len());
    for row in &rows {
        for (caller, expected) in callers.iter().zip(&row.callers) {
            let answer = house.ask(caller, row.method, &row.with(OWN), "").await;
            assert_eq!(&verdict(&answer), expected, "{} {} as {caller}: {answer:?}", row.method, row.path);
        }
        if row.has_id() {
            let answer = house.ask(&callers[4], row.method, &row.with(OTHER), "").await;
            assert_eq!(answer.status(), 403, "{} {}: another's", row.method, row.path);
        }
    }
}

#[tokio::test]
async fn every_prefix_of_a_route_asks_for_the_same() {
    let house = House::open().await;
    house.user("owner", &["dtrace->mine->get", "annotations->mine->get", "users->mine->get"]).await;
    let login = bearer(&house.log_in("owner").await);
    for below in [
        ["/dtrace", "/api/3/dtrace", "/v1/dtrace"],
        ["/annotation", "/api/annotation", "/v1/annotation"],
        ["/api/0.1.0/users", "/api/3/users", "/v1/users"],
    ]
    .concat()
    {
        let answers = async |headers: &str, id: &str| {
            house.ask(headers, "GET", &format!("{below}/{id}"), "").await.status()
        };
        assert_ne!(answers(&login, OWN).await, 403, "{below}");
        assert_eq!(answers(&login, OTHER).await, 403, "{below}");
        assert_eq!(answers("", OWN).await, 401, "{below}");
    }
}

#[tokio::test]
async fn a_reader_sees_runs_of_every_server_and_machine() {
    use shared::permission::Patterns;
    let house = House::open().await;
    let id = house.user("ada", &[]).await;
    house.join(&id, "reader").await;
    let answer = house.ask(&basic("ada", PASSWORD), "GET", "/dtrace/u/runs", "").await;
    let held: Patterns = house.seen(&answer).permissions.iter().collect();
    assert!(held.allows(&["hypervisors", "box1", "get"]) && held.allows(&["vms", "m1", "get"]));
    assert!(!held.allows(&["hypervisors", "box1", "edit"]) && !held.allows(&["vms", "m1", "edit"]));
}

/// Id routes of events, streams, annotations and scripts.
const ID_ROUTES: &[(&str, &str, &str)] = &[
    ("GET", "/v1/events/{}", "events->{}->get"),
    ("HEAD", "/v1/events/{}", "events->{}->get"),
    ("GET", "/v2/events/{}", "events->{}->get"),
    ("GET", "/v1/streams/{}", "streams->{}->get"),
    ("PUT", "/v1/streams/{}", "streams->{}->edit"),
    ("DELETE", "/v1/streams/{}", "streams->{}->delete"),
    ("GET", "/v1/streams/{}/history", "streams->{}->get"),
    ("GET", "/annotation/{}", "annotations->{}->get"),
    ("PUT", "/annotation/{}", "annotations->{}->edit"),
    ("PATCH", "/v1/annotation/{}", "annotations->{}->edit"),
    ("DELETE", "/api/annotation/{}", "annotations->{}->delete"),
    ("GET", "/annotation/{}/history", "annotations->{}->get"),
    ("POST", "/annotation/{}/restore", "annotations->{}->edit"),
    ("GET", "/dtrace/{}", "dtrace->{}->get"),
    ("PUT", "/api/3/dtrace/{}", "dtraces->{}->edit"),
    ("DELETE", "/dtrace/{}", "dtraces->{}->delete"),
    ("GET", "/dtrace/{}/metadata", "dtrace->{}->get"),
    ("PUT", "/dtrace/{}/metadata/a/b", "dtraces->{}->edit"),
    ("DELETE", "/dtrace/{}/metadata/a", "dtrace->{}->edit"),
    ("GET", "/dtrace/{}/stream", "dtrace->{}->stream"),
    ("GET", "/dtrace/{}/runs", "dtraces->{}->get"),
    ("POST", "/dtrace/{}/runs", "dtrace->{}->stream"),
    ("GET", "/dtrace/{}/runs/7", "dtrace->{}->get"),
    ("GET", "/dtrace/{}/runs/7/events", "dtrace->{}->get"),
];

#[tokio::test]
async fn two_users_reach_their_own_things_and_not_each_others() {
    let house = House::open().await;
    let mut logins = Vec::new();
    for (name, thing) in [("ada", "a1"), ("bob", "b1")] {
        let own: Vec<String> =
            ID_ROUTES.iter().map(|(_, _, permission)| permission.replace("{}", thing)).collect();
        house.user(name, &own.iter().map(String::as_str).collect::<Vec<_>>()).await;
        logins.push((basic(name, PASSWORD), thing));
    }
    for (method, path, _) in ID_ROUTES {
        for (login, own) in &logins {
            for (_, thing) in &logins {
                let text = request(method, &path.replace("{}", thing), login, "");
                let status = house.gateway.ask(&text).await.status();
                assert_eq!(
                    status,
                    if own == thing { 200 } else { 403 },
                    "{method} {path} of {thing} as {own}"
                );
            }
        }
    }
}
