//! Users, clients and roles through the routes of the contract (`dtrace`, section 4).

use crate::house::{House, PASSWORD, basic, bearer};
use serde_json::{Value, json};

#[tokio::test]
async fn a_user_is_made_found_changed_and_removed() {
    let house = House::open().await;
    let wish = json!({ "user": "Ада", "password": PASSWORD, "user_id": "u", "project_id": "p" });
    let made = house.admin("POST", "/api/0.2.0/users", wish.clone()).await;
    assert_eq!(made.status(), 303);
    let place = made.header("location").unwrap().to_owned();
    let id = place.strip_prefix("/api/0.2.0/users/").unwrap().to_owned();
    let found = house.admin("GET", &place, Value::Null).await.json();
    assert_eq!(
        found,
        json!({
            "uuid": id,
            "name": "Ада",
            "permissions": [["users", id, "get"], ["users", id, "passwd"]],
            "roles": [],
            "user_id": "u",
            "project_id": "p",
            "created_at": "2026-01-01T12:00:00.000000Z",
        })
    );
    assert_eq!(house.admin("POST", "/v1/users", wish).await.status(), 409);
    assert_eq!(house.ask(&basic("Ада", PASSWORD), "GET", &place, "").await.status(), 200, "his own account");
    let caller = house.user("x", &["..."]).await;
    assert_ne!(caller, id);
    assert_eq!(house.admin("DELETE", &place, Value::Null).await.status(), 204);
    assert_eq!(house.admin("DELETE", &place, Value::Null).await.status(), 404);
    house.later();
    assert_eq!(house.ask(&basic("Ада", PASSWORD), "GET", &place, "").await.status(), 401);
}

#[tokio::test]
async fn permissions_are_granted_shown_and_revoked_as_paths() {
    let house = House::open().await;
    let id = house.user("ada", &[]).await;
    let login = basic("ada", PASSWORD);
    assert_eq!(house.ask(&login, "GET", "/v1/events/m1", "").await.status(), 403);
    house.grant("users", &id, "events->_->get").await;
    house.grant("users", &id, "events->_->get").await;
    house.later();
    assert_eq!(house.ask(&login, "GET", "/v1/events/m1", "").await.status(), 200);
    let list = house.admin("GET", &format!("/v1/users/{id}/permissions"), Value::Null).await.json();
    assert_eq!(list, json!([["events", "_", "get"], ["users", id, "get"], ["users", id, "passwd"]]));
    let path = format!("/v1/users/{id}/permissions/events/_/get");
    assert_eq!(house.admin("DELETE", &path, Value::Null).await.status(), 204);
    assert_eq!(house.admin("DELETE", &path, Value::Null).await.status(), 404, "not held");
    house.later();
    assert_eq!(house.ask(&login, "GET", "/v1/events/m1", "").await.status(), 403);
}

#[tokio::test]
async fn a_role_gives_what_it_holds_until_it_is_left_or_removed() {
    let house = House::open().await;
    let (user, login) = (house.user("ada", &[]).await, basic("ada", PASSWORD));
    let role = house.make("roles", json!({ "name": "watchers" })).await;
    house.grant("roles", &role, "streams->...").await;
    house.join(&user, "watchers").await;
    let answer = house.ask(&login, "GET", "/v1/streams/7", "").await;
    let seen = house.seen(&answer);
    assert_eq!((seen.label(), &seen.roles), ("user:ada", &vec!["watchers".to_owned()]));
    assert!(seen.permissions.contains(&"streams->...".to_owned()), "services filter by them");
    let roles = house.admin("GET", &format!("/v1/users/{user}/roles"), Value::Null).await.json();
    assert_eq!(roles, json!([role]));
    let membership = format!("/v1/users/{user}/roles/{role}");
    assert_eq!(house.admin("DELETE", &membership, Value::Null).await.status(), 204);
    assert_eq!(house.admin("DELETE", &membership, Value::Null).await.status(), 404);
    house.later();
    assert_eq!(house.ask(&login, "GET", "/v1/streams/7", "").await.status(), 403);
    house.join(&user, "watchers").await;
    assert_eq!(house.admin("DELETE", &format!("/v1/roles/{role}"), Value::Null).await.status(), 204);
    house.later();
    assert_eq!(house.ask(&login, "GET", "/v1/streams/7", "").await.status(), 403);
}

#[tokio::test]
async fn nobody_passes_on_what_he_does_not_hold() {
    let house = House::open().await;
    let clerk =
        house.user("clerk", &["users->...", "roles->...", "cloud->users->...", "events->_->get"]).await;
    let (login, ada) = (basic("clerk", PASSWORD), house.user("ada", &[]).await);
    let grant = async |id: &str, permission: &str| {
        let path = format!("/v1/users/{id}/permissions/{permission}");
        house.ask(&login, "PUT", &path, "").await.status()
    };
    assert_eq!(grant(&ada, "events/_/get").await, 204);
    assert_eq!(grant(&ada, "events/m1/get").await, 204, "less than he holds");
    for more in ["...", "_/...", "events/...", "events/_/delete", "streams/_/get", ".../get"] {
        assert_eq!(grant(&ada, more).await, 403, "{more}");
        assert_eq!(grant(&clerk, more).await, 403, "{more}, to himself");
    }
    for role in ["admin", "operator", "reader"] {
        let path = format!("/v1/users/{clerk}/roles/{}", house.role(role).await);
        assert_eq!(house.ask(&login, "PUT", &path, "").await.status(), 403, "{role}");
        let path = format!("/v1/roles/{}/permissions/...", house.role(role).await);
        let expected = if role == "admin" { 409 } else { 403 };
        assert_eq!(house.ask(&login, "PUT", &path, "").await.status(), expected, "{role}");
    }
}

#[tokio::test]
async fn no_role_passes_for_a_built_in_one() {
    let house = House::open().await;
    let clerk = house.user("clerk", &["roles->...", "cloud->roles->create", "users->..."]).await;
    let login = basic("clerk", PASSWORD);
    for name in ["Admin", "ADMIN", "aDMIN", "Operator", "READER"] {
        let wish = json!({ "name": name }).to_string();
        let refused = house.ask(&login, "POST", "/v1/roles", &wish).await;
        assert_eq!(refused.status(), 400, "{name}");
        assert_eq!(refused.json()["error"], "The name is that of a built-in role in other letters.");
        let wish = json!({ "name": "x", "roles": [name] });
        assert_eq!(house.admin("POST", "/admin/tokens", wish).await.status(), 400, "{name} of a token");
    }
    assert_eq!(
        house.admin("POST", "/v1/roles", json!({ "name": "admin" })).await.status(),
        409,
        "it is there"
    );
    let role = house.make("roles", json!({ "name": "administrators" })).await;
    let path = format!("/v1/users/{clerk}/roles/{role}");
    assert_eq!(house.ask(&login, "PUT", &path, "").await.status(), 204, "others may be made and joined");
    house.later();
    assert_eq!(house.ask(&login, "GET", "/admin/tokens", "").await.status(), 403);
}

#[tokio::test]
async fn no_account_that_reaches_further_can_be_taken_over() {
    let house = House::open().await;
    house.user("helpdesk", &["users->_->passwd", "users->_->get"]).await;
    let login = basic("helpdesk", PASSWORD);
    let change = json!({ "password": "another one" }).to_string();
    let passwd =
        async |id: &str| house.ask(&login, "PUT", &format!("/v1/users/{id}"), &change).await.status();
    let list = house.admin("GET", "/v1/users?name=admin", Value::Null).await.json();
    assert_eq!(passwd(list[0].as_str().unwrap()).await, 403, "an administrator");
    assert_eq!(passwd(&house.user("ada", &["events->_->get"]).await).await, 403, "another reach");
    assert_eq!(passwd(&house.user("bob", &[]).await).await, 204, "nothing beside his own account");
    house.later();
    assert_eq!(house.ask(&basic("bob", PASSWORD), "GET", "/v1/users", "").await.status(), 401);
    assert_eq!(house.ask(&basic("bob", "another one"), "GET", "/v1/users", "").await.status(), 403);
}

#[tokio::test]
async fn nothing_is_taken_from_whom_reaches_further() {
    let house = House::open().await;
    let desk = ["users->...", "clients->...", "roles->...", "cloud->users->list", "streams->_->get"];
    let own = house.user("helpdesk", &desk).await;
    let login = basic("helpdesk", PASSWORD);
    let boss = house.user("boss", &["events->_->get"]).await;
    house.join(&boss, "admin").await;
    let app = house.make("clients", json!({ "client": "app" })).await;
    house.grant("clients", &app, "events->_->get").await;
    house.admin("POST", &format!("/v1/clients/{app}/uris"), json!({ "uri": "https://app.example/cb" })).await;
    let uris = house.admin("GET", &format!("/v1/clients/{app}/uris"), Value::Null).await.json();
    let uri = uris[0]["uuid"].as_str().unwrap();
    let (admin, reader) = (house.role("admin").await, house.role("reader").await);
    let wish = json!({ "uri": "https://evil.example/cb" }).to_string();
    for (method, path, body) in [
        ("DELETE", format!("/v1/users/{boss}"), ""),
        ("DELETE", format!("/v1/users/{boss}/roles/{admin}"), ""),
        ("DELETE", format!("/v1/users/{boss}/permissions/events/_/get"), ""),
        ("DELETE", format!("/v1/users/{boss}/logins"), ""),
        ("DELETE", format!("/v1/clients/{app}"), ""),
        ("DELETE", format!("/v1/clients/{app}/permissions/events/_/get"), ""),
        ("DELETE", format!("/v1/clients/{app}/uris/{uri}"), ""),
        ("POST", format!("/v1/clients/{app}/uris"), wish.as_str()),
        ("DELETE", format!("/v1/roles/{reader}"), ""),
        ("DELETE", format!("/v1/roles/{reader}/permissions/events/_/get"), ""),
    ] {
        let answer = house.ask(&login, method, &path, body).await;
        assert_eq!(answer.status(), 403, "{method} {path}: {answer:?}");
        assert_eq!(answer.json()["error"], "It reaches further than you do.");
    }
    let login_of_boss = basic("boss", PASSWORD);
    assert_eq!(house.ask(&login_of_boss, "GET", "/admin/audit", "").await.status(), 200, "still there");
    let low = house.user("low", &["streams->_->get"]).await;
    for path in ["permissions/streams/_/get", "logins", ""] {
        let path = format!("/v1/users/{low}/{path}");
        assert_eq!(house.ask(&login, "DELETE", path.trim_end_matches('/'), "").await.status(), 204, "{path}");
    }
    assert_eq!(house.ask(&login, "DELETE", &format!("/v1/users/{own}/logins"), "").await.status(), 204);
}

#[tokio::test]
async fn who_is_no_administrator_makes_users_of_his_own_project_alone() {
    let house = House::open().await;
    let wish = json!({ "user": "clerk", "password": PASSWORD, "user_id": "u", "project_id": "p1" });
    let clerk = house.make("users", wish).await;
    for permission in ["cloud->users->create", "cloud->clients->create"] {
        house.grant("users", &clerk, permission).await;
    }
    let login = basic("clerk", PASSWORD);
    for (number, (project, status)) in
        [(json!("p1"), 303), (Value::Null, 303), (json!("p2"), 403), (json!("admin"), 403)].iter().enumerate()
    {
        for (many, one, secret) in [("users", "user", "password"), ("clients", "client", "secret")] {
            let wish = json!({ one: format!("n{number}"), secret: PASSWORD, "project_id": project });
            let made = house.ask(&login, "POST", &format!("/v1/{many}"), &wish.to_string()).await;
            assert_eq!(made.status(), *status, "{many} {project}");
        }
    }
    house.make("users", json!({ "user": "other", "password": PASSWORD, "project_id": "p2" })).await;
}

#[tokio::test]
async fn a_user_made_anew_is_another_caller() {
    let house = House::open().await;
    let mut subjects = Vec::new();
    for _ in 0..2 {
        let id = house.user("ada", &["events->_->get"]).await;
        house.later();
        let seen = house.seen(&house.ask(&basic("ada", PASSWORD), "GET", "/v1/events/m", "").await);
        assert_eq!(seen.subject, format!("user:ada#{id}"));
        subjects.push(seen.subject);
        assert_eq!(house.admin("DELETE", &format!("/v1/users/{id}"), Value::Null).await.status(), 204);
    }
    assert_ne!(subjects[0], subjects[1]);
}

#[tokio::test]
async fn everybody_changes_his_own_password_and_nobody_elses() {
    let house = House::open().await;
    let (ada, bob) = (house.user("ada", &[]).await, house.user("bob", &[]).await);
    let token = bearer(&house.log_in("ada").await);
    let change = json!({ "password": "another one" }).to_string();
    assert_eq!(house.ask(&token, "PUT", &format!("/v1/users/{bob}"), &change).await.status(), 403);
    assert_eq!(house.ask(&token, "GET", &format!("/v1/users/{bob}"), "").await.status(), 403);
    assert_eq!(house.ask(&token, "PUT", &format!("/v1/users/{ada}"), &change).await.status(), 204);
    house.later();
    let own = format!("/v1/users/{ada}");
    assert_eq!(house.ask(&token, "GET", &own, "").await.status(), 401, "logins with the old one have ended");
    assert_eq!(house.ask(&basic("ada", PASSWORD), "GET", &own, "").await.status(), 401);
    assert_eq!(house.ask(&basic("ada", "another one"), "GET", &own, "").await.status(), 200);
}

#[tokio::test]
async fn lists_show_whom_the_caller_may_get_alone() {
    let house = House::open().await;
    let (ada, bob) = (house.user("ada", &["cloud->users->list"]).await, house.user("bob", &[]).await);
    house.grant("users", &ada, &format!("users->{bob}->get")).await;
    let login = basic("ada", PASSWORD);
    let list = house.ask(&login, "GET", "/v1/users", "").await.json();
    let mut own = vec![ada.clone(), bob.clone()];
    own.sort_unstable();
    assert_eq!(list, json!(own));
    let full =
        house.ask(&login, "GET", "/v1/users?full-list=true&full-list-fields=name,roles", "").await.json();
    let mut names: Vec<&str> =
        full.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!((names, full[0].as_object().unwrap().len()), (vec!["ada", "bob"], 2));
    let headers = format!("{login}x-full-list: true\r\n");
    assert!(house.ask(&headers, "GET", "/v1/users", "").await.json()[0]["permissions"].is_array());
    assert!(house.ask(&headers, "GET", "/v1/users?full-list=false", "").await.json()[0].is_string());
    assert_eq!(house.ask(&login, "GET", "/v1/users?name=bob", "").await.json(), json!([bob]));
    assert_eq!(
        house.ask(&login, "GET", "/v1/users?name=admin", "").await.json(),
        json!([]),
        "not even by name"
    );
    let (mut after, mut paged) = (String::new(), Vec::new());
    loop {
        let page = house.ask(&login, "GET", &format!("/v1/users?limit=1&after={after}"), "").await.json();
        let Some(id) = page.get(0).and_then(Value::as_str) else { break };
        after = id.to_owned();
        paged.push(after.clone());
    }
    assert_eq!(paged, own);
}

#[tokio::test]
async fn somebody_always_stays_an_administrator() {
    let house = House::open().await;
    let admin =
        house.admin("GET", "/v1/users?name=admin", Value::Null).await.json()[0].as_str().unwrap().to_owned();
    let role = house.role("admin").await;
    for (method, path) in [
        ("DELETE", format!("/v1/users/{admin}")),
        ("DELETE", format!("/v1/users/{admin}/roles/{role}")),
        ("DELETE", format!("/v1/roles/{role}")),
        ("DELETE", format!("/v1/roles/{role}/permissions/...")),
        ("PUT", format!("/v1/roles/{role}/permissions/x")),
    ] {
        assert_eq!(house.admin(method, &path, Value::Null).await.status(), 409, "{method} {path}");
    }
    let second = house.user("second", &[]).await;
    house.join(&second, "admin").await;
    assert_eq!(house.ask(&basic("second", PASSWORD), "GET", "/admin/audit", "").await.status(), 200);
    assert_eq!(house.admin("DELETE", &format!("/v1/users/{second}"), Value::Null).await.status(), 204);
}

#[tokio::test]
async fn snaps_password_is_a_client_like_others() {
    let house = House::open().await;
    let login = basic("snap", &house.gateway.secret("snap_password"));
    assert_eq!(house.ask(&login, "GET", "/v1/tasks", "").await.status(), 200);
    let snap =
        house.admin("GET", "/v1/clients?name=snap", Value::Null).await.json()[0].as_str().unwrap().to_owned();
    let path = format!("/v1/clients/{snap}/permissions/cloud/tasks/...");
    assert_eq!(house.admin("DELETE", &path, Value::Null).await.status(), 204);
    house.later();
    assert_eq!(house.ask(&login, "GET", "/v1/tasks", "").await.status(), 403);
    assert_eq!(house.ask(&login, "GET", "/v1/tasks/7", "").await.status(), 200);
    assert_eq!(house.admin("DELETE", &format!("/v1/clients/{snap}"), Value::Null).await.status(), 204);
    house.later();
    assert_eq!(house.ask(&login, "GET", "/v1/tasks/7", "").await.status(), 401);
}

#[tokio::test]
async fn an_api_token_may_what_its_roles_may() {
    let house = House::open().await;
    let wish = json!({ "name": "grafana", "roles": ["reader", "member"] });
    let made = house.admin("POST", "/admin/tokens", wish).await.json();
    let token = bearer(made["token"].as_str().unwrap());
    assert_eq!(house.ask(&token, "GET", "/v1/events", "").await.status(), 200);
    assert_eq!(house.ask(&token, "POST", "/v1/notifications", "{}").await.status(), 403);
    let answer = house.ask(&token, "GET", "/v2/events", "").await;
    assert_eq!(house.seen(&answer).roles, ["reader", "member"]);
}

#[tokio::test]
async fn bad_bodies_and_names_are_refused_with_reasons() {
    let house = House::open().await;
    let deep = format!("{}1{}", "[".repeat(2000), "]".repeat(2000));
    let long_name = json!({ "user": "x".repeat(256), "password": PASSWORD }).to_string();
    let long_password = json!({ "user": "x", "password": "p".repeat(1025) }).to_string();
    for body in [
        "",
        "[]",
        "null",
        "{}",
        "{",
        "\u{feff}{}",
        r#"{"user":"x"}"#,
        r#"{"user":7,"password":"correct horse"}"#,
        r#"{"user":"x","password":["correct horse"]}"#,
        r#"{"user":"","password":"correct horse"}"#,
        r#"{"user":"a:b","password":"correct horse"}"#,
        r#"{"user":" a","password":"correct horse"}"#,
        r#"{"user":"a\u0000","password":"correct horse"}"#,
        r#"{"user":"a\ud800","password":"correct horse"}"#,
        r#"{"user":"x","password":"short"}"#,
        r#"{"user":"x","password":"zero\u0000zero"}"#,
        r#"{"user":"x","password":"correct horse","user_id":""}"#,
        deep.as_str(),
        long_name.as_str(),
        long_password.as_str(),
    ] {
        let answer = house.ask(&house.admin, "POST", "/v1/users", body).await;
        assert_eq!(answer.status(), 400, "{body}");
        assert!(!answer.json()["error"].as_str().unwrap().is_empty());
    }
    let huge = json!({ "user": "x", "password": "p".repeat(70_000) }).to_string();
    assert_eq!(house.ask(&house.admin, "POST", "/v1/users", &huge).await.status(), 413);
    let id = house.user("ok", &[]).await;
    let words = "a/".repeat(40);
    for (method, path, status) in [
        ("GET", "/v1/users/none".to_owned(), 404),
        ("GET", "/v1/users/a%00b".to_owned(), 404),
        ("GET", "/v1/users/ok".to_owned(), 404),
        ("GET", format!("/v1/roles/{id}"), 404),
        ("GET", "/v1/users?limit=0".to_owned(), 400),
        ("GET", "/v1/users?name=%00&after=%ff".to_owned(), 200),
        ("PUT", format!("/v1/users/{id}/permissions/{words}x"), 400),
        ("PUT", format!("/v1/users/{id}/permissions/a//b"), 400),
        ("PUT", format!("/v1/users/{id}/permissions/a%2D%3Eb"), 400),
        ("PUT", format!("/v1/users/{id}/permissions/a%00"), 404),
        ("PUT", format!("/v1/users/{id}/permissions/%E6%84%9B"), 204),
        ("PUT", format!("/v1/users/{id}/roles/none"), 404),
        ("PATCH", format!("/v1/users/{id}"), 405),
    ] {
        assert_eq!(house.admin(method, &path, Value::Null).await.status(), status, "{method} {path}");
    }
}

#[tokio::test]
async fn a_holder_is_granted_only_so_much() {
    let house = House::open().await;
    let id = house.user("ada", &[]).await;
    let word = "w".repeat(250);
    let mut status = 204;
    let mut count = 0;
    while status == 204 {
        let path = format!("/v1/users/{id}/permissions/{count:0>4}{word}");
        status = house.admin("PUT", &path, Value::Null).await.status();
        count += 1;
    }
    // 32 KiB, 254 bytes each, beside the permissions for his own account.
    assert_eq!((status, count), (409, (32 * 1024 - 2 * (7 + 36) - 2 * 2 - (5 + 8)) / 254 + 1));
}

#[tokio::test]
async fn in_the_open_mode_everybody_manages_users() {
    use crate::support::{Setup, request};
    let gateway = Setup::default().start().await;
    let wish = json!({ "user": "ada", "password": PASSWORD }).to_string();
    let made = gateway.ask(&request("POST", "/v1/users", "", &wish)).await;
    assert_eq!(made.status(), 303);
    assert_eq!(gateway.ask(&request("GET", made.header("location").unwrap(), "", "")).await.status(), 200);
}

#[tokio::test]
async fn a_role_that_is_removed_is_gone_from_tokens_for_good() {
    let house = House::open().await;
    let wish =
        json!({ "name": "t", "roles": ["watchers", "member"], "permissions": ["cloud->streams->list"] });
    let made = house.admin("POST", "/admin/tokens", wish).await.json();
    let token = bearer(made["token"].as_str().unwrap());
    let mut status = Vec::new();
    for _ in 0..2 {
        let role = house.make("roles", json!({ "name": "watchers" })).await;
        house.grant("roles", &role, "cloud->events->list").await;
        house.later();
        status.push(house.ask(&token, "GET", "/v1/events", "").await.status());
        assert_eq!(house.admin("DELETE", &format!("/v1/roles/{role}"), Value::Null).await.status(), 204);
        house.later();
        status.push(house.ask(&token, "GET", "/v1/events", "").await.status());
    }
    assert_eq!(status, [200, 403, 403, 403]);
    let rest = house.ask(&token, "GET", "/v1/streams", "").await;
    assert_eq!((rest.status(), house.seen(&rest).roles), (200, vec!["member".to_owned()]));
}
