//! What was acknowledged is still there after a restart.

use crate::house::{basic, bearer};
use crate::support::{Wire, request};
use quintet_gateway::{Config, Running, Upstreams, start};
use serde_json::{Value, json};
use shared::clock::SystemClock;
use shared::config::{AuthMode, Common};
use shared::identity::IdentityKey;
use std::sync::Arc;

async fn open(common: &Common) -> Running {
    let config = Config { listen: "127.0.0.1:0".into(), workers: 1, ..Config::default() };
    start(config, common, IdentityKey::new(b"k"), Upstreams::new(), Arc::new(SystemClock)).await.unwrap()
}

async fn ask(
    running: &Running,
    headers: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> crate::support::Message {
    let address = running.urls()[0].strip_prefix("http://").unwrap().to_owned();
    let mut wire = Wire::new(tokio::net::TcpStream::connect(&address).await.unwrap());
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let text = request(method, path, headers, &body);
    wire.send(&text).await;
    wire.answer_to(&text).await
}

#[tokio::test]
async fn users_passwords_and_the_log_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut common = Common::default();
    common.data_dir = folder.path().to_owned();
    common.auth.mode = Some(AuthMode::Secure);
    let first = open(&common).await;
    let token = std::fs::read_to_string(folder.path().join("secrets/admin_token")).unwrap();
    let admin = bearer(token.trim());
    let made =
        ask(&first, &admin, "POST", "/v1/users", &json!({ "user": "ada", "password": "correct horse" }))
            .await;
    let place = made.header("location").unwrap().to_owned();
    let grant = format!("{place}/permissions/cloud/users/list");
    assert_eq!(ask(&first, &admin, "PUT", &grant, &Value::Null).await.status(), 204);
    let list = ask(&first, &admin, "GET", "/v1/users?name=admin", &Value::Null).await.json();
    let own = format!("/v1/users/{}", list[0].as_str().unwrap());
    let change = json!({ "password": "changed by hand" });
    assert_eq!(ask(&first, &admin, "PUT", &own, &change).await.status(), 204);
    first.stop().await;

    let second = open(&common).await;
    for (login, status) in [
        (basic("ada", "correct horse"), 200),
        (basic("admin", "changed by hand"), 200),
        (
            basic(
                "admin",
                std::fs::read_to_string(folder.path().join("secrets/admin_password")).unwrap().trim(),
            ),
            401,
        ),
    ] {
        let answer = ask(&second, &login, "GET", "/v1/users", &Value::Null).await;
        assert_eq!(answer.status(), status, "{login}");
    }
    let verdict = ask(&second, &admin, "GET", "/admin/audit/verify", &Value::Null).await.json();
    assert_eq!(verdict["is_intact"], true);
    second.stop().await;
}

/// A gateway whose folder is not kept would leave one more behind with every start.
#[tokio::test]
async fn the_admin_token_is_made_once_for_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let mut common = Common::default();
    common.data_dir = folder.path().to_owned();
    common.auth.mode = Some(AuthMode::Secure);
    open(&common).await.stop().await;
    let file = folder.path().join("secrets/admin_token");
    std::fs::remove_file(&file).unwrap();
    let second = open(&common).await;
    assert!(!file.exists());
    let password = std::fs::read_to_string(folder.path().join("secrets/admin_password")).unwrap();
    let login = basic("admin", password.trim());
    let list = ask(&second, &login, "GET", "/admin/tokens", &Value::Null).await.json();
    assert_eq!(list["tokens"].as_array().unwrap().len(), 1, "{list}");
    second.stop().await;
}
