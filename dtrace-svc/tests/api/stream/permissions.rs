//! Who may listen to which servers and machines (contract `dtrace`, section 6).

use super::{lquantize, script};
use crate::harness::{Server, fast};
use dtrace_svc::config::{Config, Setting};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_not_shared_with_who_may_not_see_all_of_it() {
    let server = Server::with(Config {
        remotes: [(
            "far".to_owned(),
            dtrace_svc::config::RemoteServer { url: "http://127.0.0.1:1".into(), vms: vec![] },
        )]
        .into(),
        ..Config { executor: Setting::Simulated, ..fast() }
    });
    let uuid = lquantize(&server).await;
    let mut all = server.socket(&uuid).await;
    all.send("").await;
    assert_eq!(all.json().await["servers"], json!(["local", "far"]));
    let path = format!("/dtrace/{uuid}/stream");
    let mut some =
        server.socket_as(&["dtrace->_->stream", "hypervisors->local->get"], &path).await.ok().unwrap();
    some.send("").await;
    assert_eq!(some.json().await["servers"], json!(["local"]));
    some.send_json(&json!({"servers": ["far"]})).await;
    let mut answer = some.json().await;
    while answer.get("error").is_none() {
        answer = some.json().await;
    }
    assert_eq!(answer, json!({"error": "denied", "permission": "hypervisors->far->get"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_and_machines_need_their_permissions() {
    let config = Config { executor: Setting::Simulated, vms: vec!["vm1".into(), "vm2".into()], ..fast() };
    let server = Server::with(config);
    let uuid = lquantize(&server).await;
    let path = format!("/dtrace/{uuid}/stream");
    let stream = "dtrace->_->stream";
    for (permissions, start, error) in [
        (vec![stream], json!({}), Some("denied")),
        (vec![stream, "hypervisors->local->get"], json!({}), None),
        (vec![stream, "hypervisors->local->get"], json!({"servers": ["local"]}), None),
        (vec![stream, "hypervisors->other->get"], json!({"servers": ["local"]}), Some("denied")),
        (
            vec![stream, "hypervisors->_->get"],
            json!({"servers": ["nowhere"]}),
            Some("there is no server nowhere"),
        ),
        (
            vec![stream, "hypervisors->_->get"],
            json!({"servers": "local"}),
            Some("servers is no list of at most 256 names"),
        ),
        (vec![stream, "vms->vm1->get"], json!({"vms": ["vm1"]}), None),
        (vec![stream, "vms->vm1->get"], json!({"vms": ["vm1", "vm2"]}), Some("denied")),
        (vec![stream, "hypervisors->_->get"], json!({"vms": ["vm1"]}), Some("denied")),
    ] {
        let mut socket = server.socket_as(&permissions, &path).await.ok().unwrap();
        socket.send_json(&start).await;
        let answer = socket.json().await;
        assert_eq!(answer.get("error").and_then(Value::as_str), error, "{permissions:?} {start} {answer}");
        if error.is_none() {
            assert_eq!(answer["servers"], json!(["local"]));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_start_names_the_permission_that_is_missing() {
    let server = Server::with(Config { executor: Setting::Simulated, vms: vec!["vm1".into()], ..fast() });
    let uuid = script(&server, "BEGIN $filter$ { @n = count(); }").await;
    // All that there is for the script itself.
    let owner = format!("dtrace->{uuid}->...");
    let runner = "dtrace->_->stream";
    for (permissions, start, missing) in [
        (vec![owner.as_str()], json!({}), "hypervisors->local->get".to_owned()),
        (vec![owner.as_str()], json!({"servers": ["local"]}), "hypervisors->local->get".to_owned()),
        (vec![owner.as_str()], json!({"vms": ["vm1"]}), "vms->vm1->get".to_owned()),
        (
            vec![runner, "hypervisors->_->get"],
            json!({"filter": [["custom", "1==1"]]}),
            format!("dtrace->{uuid}->edit"),
        ),
    ] {
        let mut socket =
            server.socket_as(&permissions, &format!("/dtrace/{uuid}/stream")).await.ok().unwrap();
        socket.send_json(&start).await;
        assert_eq!(socket.json().await, json!({"error": "denied", "permission": missing}));
        let path = format!("/dtrace/{uuid}/runs");
        let answer = server.call_as(&permissions, "POST", &path).json(&start).send().await;
        assert_eq!(answer.status, 403);
        assert_eq!(answer.json(), json!({"error": format!("not permitted: {missing}")}));
    }
    let owner = [owner.as_str(), "hypervisors->local->get"];
    let mut socket = server.socket_as(&owner, &format!("/dtrace/{uuid}/stream")).await.ok().unwrap();
    socket.send("").await;
    assert_eq!(socket.json().await["servers"], json!(["local"]));
}
