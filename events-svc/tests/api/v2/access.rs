//! Who sees what (events-v2.md, section 5).

use super::{caller, faultstring, ids, posted};
use crate::common::{Answer, Fixture};
use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use serde_json::{Value, json};
use shared::identity::Principal;

fn principal(user: Option<&str>, project: Option<&str>, roles: &[&str]) -> Principal {
    let id = |id: Option<&str>| id.map(str::to_owned);
    Principal { user_id: id(user), project_id: id(project), ..caller(roles) }
}

/// Events of every kind of owner; each id says whose it is.
async fn owned() -> Fixture {
    let fixture = Fixture::new();
    let at = |second: usize, id: &str, traits: Value| {
        posted(id, "t", &format!("2024-01-01T00:00:0{second}"), traits)
    };
    let events = json!([
        at(0, "p1u1", json!([["project_id", 1, "p1"], ["user_id", 1, "u1"]])),
        at(1, "p1u2", json!([["project_id", 1, "p1"], ["user_id", 1, "u2"]])),
        at(2, "p2u1", json!([["project_id", 1, "p2"], ["user_id", 1, "u1"]])),
        at(3, "no-project", json!([["s", 1, "text"]])),
        at(4, "number-project", json!([["project_id", 2, 1], ["s", 1, "text"]])),
        at(5, "no-text", json!([["n", 2, 1]])),
        at(6, "no-traits", json!([])),
    ]);
    assert_eq!(fixture.post(&events).await.json()["saved"], 7);
    fixture
}

async fn list(fixture: &Fixture, caller: Principal, query: &str) -> Answer {
    fixture.send_as(caller, TestRequest::get().uri(&format!("/v2/events{query}"))).await
}

#[actix_web::test]
async fn callers_see_their_own_part() {
    let fixture = owned().await;
    let (u1, p1) = (Some("u1"), Some("p1"));
    let everything = ["p1u1", "p1u2", "p2u1", "no-project", "number-project", "no-text", "no-traits"];
    let admins = ["p1u1", "p1u2", "no-project", "number-project"];
    for (who, query, expected) in [
        (principal(u1, p1, &["member"]), "", &["p1u1"][..]),
        (principal(u1, p1, &[]), "", &["p1u1"]),
        (principal(Some("u2"), p1, &["member"]), "", &["p1u2"]),
        (principal(u1, Some("p9"), &["member"]), "", &[]),
        (principal(u1, p1, &["admin"]), "", &admins),
        (principal(u1, p1, &["reader", "AdMiN"]), "", &admins),
        // Roles are not trimmed: this is no admin.
        (principal(u1, p1, &["member", " admin"]), "", &["p1u1"]),
        (principal(u1, Some("p2"), &["admin"]), "", &["p2u1", "no-project", "number-project"]),
        (principal(u1, p1, &["admin"]), "?q.field=all_tenants&q.value=true", &everything),
        (principal(u1, p1, &["admin"]), "?q.field=all_tenants&q.value=%20YES%20&q.op=ne", &everything),
        (principal(u1, p1, &["admin"]), "?q.field=all_tenants&q.value=no", &admins),
        (principal(u1, p1, &["admin"]), "?q.field=all_tenants", &admins),
        // The second one is an ordinary trait name.
        (principal(u1, p1, &["admin"]), "?q.field=all_tenants&q.value=1&q.field=all_tenants&q.value=1", &[]),
        (principal(u1, p1, &["member"]), "?q.field=all_tenants&q.value=true", &[]),
        (principal(u1, p1, &["member"]), "?q.field=project_id&q.value=p2", &[]),
    ] {
        assert_eq!(ids(&list(&fixture, who.clone(), query).await), expected, "{who:?} {query}");
    }
}

#[actix_web::test]
async fn an_event_outside_the_callers_part_is_not_there() {
    let fixture = owned().await;
    let member = principal(Some("u1"), Some("p1"), &["member"]);
    let stranger = principal(Some("u1"), Some("p2"), &["admin"]);
    for (who, id, status) in [
        (&member, "p1u1", 200),
        (&member, "p1u2", 404),
        (&member, "no-project", 404),
        (&stranger, "p1u1", 404),
        (&stranger, "no-project", 200),
        (&stranger, "no-text", 404),
    ] {
        let answer = list(&fixture, who.clone(), &format!("/{id}")).await;
        assert_eq!(answer.status.as_u16(), status, "{id}");
        if status == 404 {
            assert_eq!(faultstring(&answer), format!("Event {id} Not Found"));
        }
    }
}

#[actix_web::test]
async fn a_blank_project_is_a_project_and_nobodys() {
    let fixture = Fixture::new();
    let traits = json!([["project_id", 1, ""], ["user_id", 1, "u1"]]);
    fixture.post(&posted("blank", "t", "2024-01-01T00:00:00", traits)).await;
    for (query, expected) in [
        ("", &[][..]),
        ("?q.field=event_type&q.value=t", &[]),
        ("?q.field=all_tenants&q.value=1", &["blank"]),
    ] {
        let answer = list(&fixture, principal(Some("u1"), Some("p1"), &["admin"]), query).await;
        assert_eq!(ids(&answer), expected, "{query}");
    }
}

#[actix_web::test]
async fn user_and_project_are_needed_for_events_by_admins_too() {
    let fixture = owned().await;
    for (user, project) in
        [(None, None), (Some("u1"), None), (None, Some("p1")), (Some(""), Some("p1")), (Some("u1"), Some(""))]
    {
        for path in ["", "/", "/p1u1", "?bad=1"] {
            let answer = list(&fixture, principal(user, project, &["admin"]), path).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{user:?} {project:?} {path}");
        }
    }
}

#[actix_web::test]
async fn event_types_are_for_admins() {
    let fixture = owned().await;
    for path in ["", "/", "/t", "/t/traits", "/t/traits/s", "?bad=1"] {
        for who in [principal(Some("u1"), Some("p1"), &["member"]), principal(None, None, &[])] {
            let request = TestRequest::get()
                .uri(&format!("/v2/event_types{path}"))
                .insert_header(("Accept", "application/json"));
            let project = who.project_id.clone().unwrap_or_default();
            let answer = fixture.send_as(who, request).await;
            let description = format!("Not Authorized to access project {project}");
            let expected =
                json!({"error_message": {"code": 401, "title": "Unauthorized", "description": description}});
            assert_eq!((answer.status, answer.json()), (StatusCode::UNAUTHORIZED, expected), "{path}");
        }
    }
    // No ids are needed, and no project limits what is seen.
    let request = TestRequest::get().uri("/v2/event_types/t/traits/n");
    let answer = fixture.send_as(principal(None, None, &["admin"]), request).await;
    assert_eq!(answer.json(), json!([{"name": "n", "value": "1", "type": "integer"}]));
}
