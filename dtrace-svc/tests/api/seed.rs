//! The seed document's examples, word for word: requests as it writes them, answers as it shows them.

use crate::harness::Server;
use serde_json::{Value, json};

/// The body of the example of `POST /dtrace`.
const CREATE: &str = r#"
      {
      "config": {"start":127, "end":0, "step":4},
      "name": "erlang function calls",
      "script": "erlang*:::global-function-entry\n$filter$\n{\n  self->t[copyinstr(arg1)] = vtimestamp;\n}\nerlang*:::function-return\n/self->t[copyinstr(arg1)]/\n{\n  @time[copyinstr(arg1)] = lquantize((vtimestamp - self->t[copyinstr(arg1)] ) / 1000, $start$, $end$, $step$);\n  self->t[copyinstr(arg1)] = 0;\n}"
      }
"#;

/// The answer of the example of `GET /dtrace/(uuid:dtrace)`, without its id.
const GET: &str = r#"
       {
        "uuid": "b7c658e0-2ddb-46dd-8973-4a59ffc9957e",
        "name": "zfs reads",
        "script": "/*some dtrace here/*",
        "config": {"start": 0, "end": 64, "step":2},
        "metadata": {}
       }
"#;

/// The body of the example of `PUT …/metadata[/...]`.
const METADATA: &str = r#"{"notes":  [{"text":"yap","created_at":"2014-09-13T01:34:03.379Z"}]}"#;

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Sends one of the examples: with `accept` and a body's type as they have them.
async fn example(server: &Server, method: &str, path: &str, body: &'static str) -> crate::harness::Answer {
    let call = server.call(method, path).header("accept", "application/json");
    let call =
        if body.is_empty() { call } else { call.header("content-type", "application/json").body(body) };
    call.send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_example_of_post_is_answered_303_with_a_location_below_the_version() {
    let server = Server::start();
    let answer = example(&server, "POST", "/api/0.1.0/dtrace", CREATE).await;
    assert_eq!((answer.status.as_u16(), answer.header("vary"), answer.text()), (303, "accept", ""));
    let location = answer.header("location").to_owned();
    let id = location.strip_prefix("/api/0.1.0/dtrace/").unwrap();
    assert_eq!(uuid::Uuid::parse_str(id).unwrap().get_version_num(), 4);
    let stored = example(&server, "GET", &location, "").await.json();
    for member in ["config", "name", "script"] {
        assert_eq!(stored[member], parsed(CREATE)[member], "{member}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_example_of_get_is_the_object_and_of_the_list_its_id() {
    let server = Server::start();
    let mut expected = parsed(GET);
    let id = server.create(expected.clone()).await;
    expected["uuid"] = id.clone().into();
    let answer = example(&server, "GET", &format!("/dtrace/{id}"), "").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.json(), expected);
    let answer = example(&server, "GET", "/dtrace", "").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.text(), format!("[\"{id}\"]"));
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_examples_of_metadata_and_delete_are_answered_204_and_then_404() {
    let server = Server::start();
    let id = server.create(parsed(GET)).await;
    let path = format!("/api/0.1.0/dtrace/{id}/metadata/jingles");
    let answer = example(&server, "PUT", &path, METADATA).await;
    assert_eq!((answer.status.as_u16(), answer.header("vary"), answer.text()), (204, "accept", ""));
    let stored = example(&server, "GET", &format!("/dtrace/{id}"), "").await.json();
    assert_eq!(stored["metadata"], json!({ "jingles": parsed(METADATA) }));

    let key = format!("/dtrace/{id}/metadata/jingles/notes");
    assert_eq!(example(&server, "DELETE", &key, "").await.status, 204);
    assert_eq!(example(&server, "DELETE", &key, "").await.status, 404);
    let script = format!("/dtrace/{id}");
    let answer = example(&server, "DELETE", &script, "").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (204, ""));
    assert_eq!(example(&server, "DELETE", &script, "").await.status, 404);
    assert_eq!(example(&server, "GET", &script, "").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_statuses_403_are_those_of_a_user_without_the_related_permission() {
    let server = Server::start();
    let id = server.create(parsed(GET)).await;
    // The seed's related permissions, in its own spelling.
    for (method, path, body, permission, status) in [
        ("GET", "/dtrace".to_owned(), "", "cloud->dtrace->list".to_owned(), 200),
        ("POST", "/dtrace".to_owned(), CREATE, "cloud->dtrace->create".to_owned(), 303),
        ("GET", format!("/dtrace/{id}"), "", format!("dtrace->{id}->get"), 200),
        ("PUT", format!("/dtrace/{id}/metadata/jingles"), METADATA, format!("dtrace->{id}->edit"), 204),
        ("DELETE", format!("/dtrace/{id}/metadata/jingles"), "", format!("dtrace->{id}->edit"), 204),
        ("DELETE", format!("/dtrace/{id}"), "", format!("dtrace->{id}->delete"), 204),
    ] {
        for (held, expected) in [("users->_->get", 403), (permission.as_str(), status)] {
            let call = server.call_as(&[held], method, &path).header("content-type", "application/json");
            assert_eq!(call.body(body).send().await.status, expected, "{method} {path} as {held}");
        }
    }
}
