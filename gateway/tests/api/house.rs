//! A secure gateway in front of services that send back the identity they were called with, and an administrator who
//! makes users for the tests.

use crate::support::{Automatic, Gateway, Message, Service, Setup, answer, request};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use shared::identity::Principal;

/// Password of every user of the tests.
pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct House {
    pub(crate) gateway: Gateway,
    pub(crate) admin: String,
    _services: Vec<Automatic>,
}

pub(crate) fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("authorization: Basic {}\r\n", STANDARD.encode(format!("{user}:{password}")))
}

/// A text as a form has it.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}

pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&")
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::with(Setup::secure().with(|config| config.limits.login_failures_per_min = 1000)).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let (mut setup, mut services) = (setup, Vec::new());
        for name in ["events", "streams", "tasks", "tribe", "annotate", "dtrace"] {
            let service = Service::new().await.automatic(|request| {
                let seen = request.header("x-quintet-identity").unwrap_or_default();
                answer("200 OK", &format!("x-seen: {seen}\r\n"), "")
            });
            setup = setup.service(name, &service.url);
            services.push(service);
        }
        let gateway = setup.start().await;
        let admin = bearer(&gateway.secret("admin_token"));
        Self { gateway, admin, _services: services }
    }

    pub(crate) async fn ask(&self, headers: &str, method: &str, path: &str, body: &str) -> Message {
        self.gateway.ask(&request(method, path, headers, body)).await
    }

    /// What the administrator gets.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: Value) -> Message {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.ask(&self.admin, method, path, &body).await
    }

    /// Makes a user, client or role; its id.
    pub(crate) async fn make(&self, many: &str, wish: Value) -> String {
        let made = self.admin("POST", &format!("/v1/{many}"), wish).await;
        assert_eq!(made.status(), 303, "{made:?}");
        made.header("location").unwrap().rsplit('/').next().unwrap().to_owned()
    }

    /// Makes a user who holds these patterns; his id.
    pub(crate) async fn user(&self, name: &str, permissions: &[&str]) -> String {
        let id = self.make("users", json!({ "user": name, "password": PASSWORD })).await;
        for permission in permissions {
            self.grant("users", &id, permission).await;
        }
        id
    }

    pub(crate) async fn grant(&self, many: &str, id: &str, permission: &str) {
        let path = format!("/v1/{many}/{id}/permissions/{}", permission.replace("->", "/"));
        assert_eq!(self.admin("PUT", &path, Value::Null).await.status(), 204, "{permission}");
    }

    /// Id of the role with this name.
    pub(crate) async fn role(&self, name: &str) -> String {
        let found = self.admin("GET", &format!("/v1/roles?name={name}"), Value::Null).await;
        found.json()[0].as_str().unwrap().to_owned()
    }

    pub(crate) async fn join(&self, user: &str, role: &str) {
        let path = format!("/v1/users/{user}/roles/{}", self.role(role).await);
        assert_eq!(self.admin("PUT", &path, Value::Null).await.status(), 204);
    }

    /// What the token endpoint answers to a form.
    pub(crate) async fn token(&self, pairs: &[(&str, &str)]) -> Message {
        self.ask("", "POST", "/oauth/token", &form(pairs)).await
    }

    /// An access token of a user, by his password.
    pub(crate) async fn log_in(&self, name: &str) -> String {
        let pairs = [("grant_type", "password"), ("username", name), ("password", PASSWORD)];
        let granted = self.token(&pairs).await;
        assert_eq!(granted.status(), 200, "{granted:?}");
        granted.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Lets what is remembered about logins grow old.
    pub(crate) fn later(&self) {
        self.gateway.clock.advance(chrono::Duration::milliseconds(600));
    }

    pub(crate) fn seen(&self, answer: &Message) -> Principal {
        use shared::clock::Clock;
        let signed = answer.header("x-seen").unwrap_or_else(|| panic!("{answer:?}"));
        self.gateway.key.verify(signed, self.gateway.clock.now()).unwrap()
    }

    /// Action and target of every record of the log.
    pub(crate) async fn deeds(&self) -> Vec<(String, String)> {
        let page = self.admin("GET", "/admin/audit?after=0&limit=1000", Value::Null).await.json();
        let text = |record: &Value, name: &str| record[name].as_str().unwrap().to_owned();
        page["records"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (text(one, "action"), text(one, "target")))
            .collect()
    }
}
