//! A password that is changed while somebody logs in by the old one.

use super::{CALLBACK, client};
use crate::house::{House, PASSWORD, basic, form};
use crate::support::{Message, request, soon};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection, RunQueryDsl, sql_query};
use serde_json::json;

/// Where the client `web` sends its users.
fn form_path() -> String {
    let query = [("response_type", "code"), ("client_id", "web"), ("redirect_uri", CALLBACK)];
    format!("/oauth/auth?{}", form(&query))
}

#[tokio::test]
async fn a_remembered_password_makes_no_login_once_it_is_changed() {
    let house = House::open().await;
    let id = house.user("ada", &["events->..."]).await;
    client(&house, json!({ "client": "web", "secret": PASSWORD })).await;
    let old = basic("ada", PASSWORD);
    let once = async || house.ask(&old, "GET", "/v1/sessions/one_time_token", "").await.status();
    let code = async || house.ask(&old, "POST", &form_path(), "").await.status();
    assert_eq!((once().await, code().await), (200, 302));
    let change = json!({ "password": "another horse" });
    assert_eq!(house.admin("PUT", &format!("/v1/users/{id}"), change).await.status(), 204);
    // The clock stands still: what was found out about the old password is still remembered.
    assert_eq!(house.ask(&old, "GET", "/v1/events/m", "").await.status(), 200);
    assert_eq!((once().await, code().await), (401, 403));
}

/// Asks, and changes the secret of the only holder with this name when the answer waits for nothing else.
async fn overtaken(house: &House, name: &str, path: &str, body: &str) -> Option<Message> {
    let url = house.gateway.common.database_url.as_ref()?.reveal().to_owned();
    let mut conn = PgConnection::establish(&url).unwrap();
    let change = format!("BEGIN; UPDATE gateway.holders SET secret_hash = 'new' WHERE name = '{name}'");
    conn.batch_execute(&change).unwrap();
    let (address, text) = (house.gateway.address("main"), request("POST", path, "", body));
    let asked = tokio::spawn(async move {
        let mut wire = crate::support::Wire::new(tokio::net::TcpStream::connect(address).await.unwrap());
        wire.send(&text).await;
        wire.answer_to(&text).await
    });
    let waiting =
        "SELECT pid FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))";
    while !asked.is_finished() && sql_query(waiting).execute(&mut conn).unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    conn.batch_execute("COMMIT").unwrap();
    Some(soon(asked).await.unwrap())
}

/// SQLite has one writer, and a login by password needs it before: there is nothing to overtake.
#[tokio::test]
async fn a_password_that_is_changed_while_it_is_checked_is_wrong() {
    let house = House::open().await;
    for name in ["ada", "bob", "eve"] {
        house.user(name, &[]).await;
    }
    for name in ["web", "job"] {
        client(&house, json!({ "client": name, "secret": PASSWORD })).await;
    }
    let by_password = form(&[("grant_type", "password"), ("username", "ada"), ("password", PASSWORD)]);
    let by_secret =
        form(&[("grant_type", "client_credentials"), ("client_id", "job"), ("client_secret", PASSWORD)]);
    let by_form = form(&[("username", "bob"), ("password", PASSWORD)]);
    let by_session = json!({ "user": "eve", "password": PASSWORD }).to_string();
    for (name, path, body, status, said) in [
        ("ada", "/oauth/token", by_password, 400, "access_denied"),
        ("job", "/oauth/token", by_secret, 401, "invalid_client"),
        ("bob", &form_path(), by_form, 403, "User or password is wrong."),
        ("eve", "/api/0.1.0/sessions", by_session, 401, "User or password is wrong."),
    ] {
        let Some(answer) = overtaken(&house, name, path, &body).await else { return };
        assert_eq!(answer.status(), status, "{name}: {answer:?}");
        assert!(answer.text().contains(said), "{answer:?}");
    }
}
