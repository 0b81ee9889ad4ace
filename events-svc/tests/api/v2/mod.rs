//! The v2 API (events-v2.md). Expected values come from the contract and, in `panko`, from the original program.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod access;
mod errors;
mod event_types;
mod events;
mod panko;
mod publish;
mod version;

use crate::common::{Answer, Fixture};
use actix_web::test::TestRequest;
use serde_json::{Value, json};
use shared::identity::Principal;

/// A caller of project `p1` and user `u1`.
fn caller(roles: &[&str]) -> Principal {
    let id = |id: &str| Some(id.to_owned());
    let roles = roles.iter().copied().map(str::to_owned).collect();
    Principal { user_id: id("u1"), project_id: id("p1"), roles, ..Principal::default() }
}

fn admin() -> Principal {
    caller(&["admin"])
}

impl Fixture {
    /// A GET as an admin of project `p1`.
    async fn admin_gets(&self, uri: &str) -> Answer {
        self.send_as(admin(), TestRequest::get().uri(uri)).await
    }

    /// A GET as an admin of project `p1` that accepts only this.
    async fn admin_gets_as(&self, accept: &str, uri: &str) -> Answer {
        self.send_as(admin(), TestRequest::get().uri(uri).insert_header(("Accept", accept))).await
    }

    /// Posts events as ceilometer does: nobody in particular.
    async fn post(&self, events: &Value) -> Answer {
        self.send(TestRequest::post().uri("/v2/events").set_json(events)).await
    }
}

/// An event in ceilometer's form.
fn posted(id: &str, event_type: &str, generated: &str, traits: Value) -> Value {
    json!({ "message_id": id, "event_type": event_type, "generated": generated, "traits": traits, "raw": {} })
}

/// The ids of a list.
fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.body);
    let list = answer.json();
    list.as_array().unwrap().iter().map(|event| event["message_id"].as_str().unwrap().to_owned()).collect()
}

/// The text that tells an API fault.
fn faultstring(answer: &Answer) -> String {
    let message = &answer.json()["error_message"];
    assert_eq!(
        (&message["faultcode"], &message["debuginfo"]),
        (&json!("Client"), &Value::Null),
        "{}",
        answer.body
    );
    message["faultstring"].as_str().unwrap().to_owned()
}
