//! Scripts that would use files of the machine.

use crate::harness::{Server, faked};
use dtrace_svc::config::Config;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_uses_files_is_refused_wherever_it_is_run_or_checked() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("ran");
    let text = format!(
        "BEGIN {{ $f$(\"/etc/passwd\"); }}\n//sh touch {}; started; out printf '\"x\"'; exit 0",
        mark.display()
    );
    let script = json!({ "name": "n", "script": text, "config": {"f": "cat"} });
    let told = "line 1, column 9: cat could use files of this machine, which scripts may do only where \
                dtrace.allow_files says so";
    let server = Server::faked();
    let uuid = server.create(script.clone()).await;
    let run = server.call("POST", &format!("/dtrace/{uuid}/runs")).send().await;
    assert_eq!((run.status.as_u16(), run.json()), (422, json!({ "error": told })));
    let checked = server.call("POST", "/dtrace?check=1").json(&script).send().await;
    let place = json!({"error": told, "line": 1, "column": 9});
    assert_eq!((checked.status.as_u16(), checked.json()), (422, place));
    let mut socket = server.socket(&uuid).await;
    socket.send("").await;
    assert_eq!(socket.json().await, json!({ "error": told }));
    assert_eq!(socket.closed().await, 1011);
    // Nor by a name in a value, nor by one who asks as another service does.
    let runner = ["dtrace->_->stream", "hypervisors->_->get"];
    let path = format!("/dtrace/{uuid}/runs");
    let run = server.call_as(&runner, "POST", &path).json(&json!({"f": "skboutput"})).send().await;
    assert_eq!(run.status, 422, "{}", run.text());
    let job = json!({"script": "#include \"/etc/passwd\"", "dialect": "bpftrace", "interval_millis": 100, "subject": "x"});
    let service = server.identity_of("service:dtrace", &[]);
    assert_eq!(server.call_with(&service, "POST", "/internal/runs").json(&job).send().await.status, 422);
    assert!(!mark.exists());
    // Where the settings allow it, it runs.
    let server = Server::with(Config { allow_files: true, ..faked() });
    let uuid = server.create(script).await;
    let run = server.call("POST", &format!("/dtrace/{uuid}/runs")).send().await;
    assert_eq!(run.status, 200, "{}", run.text());
    assert!(mark.exists());
}
