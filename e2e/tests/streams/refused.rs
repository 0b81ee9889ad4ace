//! Configurations that cannot be right are refused at the start and by a reload, and the file, the trigger and the key
//! are named.

use crate::get;
use e2e::Home;
use serde_json::json;
use std::path::Path;

const TRIGGERS: &str = "\
- name: daily
  distinguished_by: [instance_id]
  expiration: $last + 1d
  fire_pipeline: report
  fire_criteria: [{event_type: '*.exists'}]
  match_criteria: [{event_type: compute.*}]
";

/// Triggers and pipelines that are wrong, and what the refusal has to name.
const WRONG: [(&str, &str, &[&str]); 8] = [
    ("- name: [", "report: [logger]", &["triggers.yaml"]),
    (
        "- name: daily\n  fire_pipeline: report\n  fire_criteria: []\n  match_criteria: []\n",
        "report: [logger]",
        &["triggers.yaml", "daily", "expiration"],
    ),
    ("$last + 1d", "", &["triggers.yaml"]),
    ("EXPIRATION $last + 1 parsec", "report: [logger]", &["triggers.yaml", "daily", "expiration"]),
    ("EXPIRATION $last + 1d to", "report: [logger]", &["triggers.yaml", "daily", "expiration"]),
    ("MATCH [{traits: {vcpus: {int: '> many'}}}]", "report: [logger]", &["triggers.yaml", "daily", "vcpus"]),
    (
        "MATCH [{traits: {at: {datetime: 'day(', text: x}}}]",
        "report: [logger]",
        &["triggers.yaml", "daily", "at"],
    ),
    ("", "report: [nobody]", &["pipelines.yaml", "report", "nobody"]),
];

fn write(folder: &Path, triggers: &str, pipelines: &str) {
    let triggers = match triggers.split_once(' ') {
        Some(("EXPIRATION", expression)) => TRIGGERS.replace("$last + 1d", expression),
        Some(("MATCH", criteria)) => TRIGGERS.replace("[{event_type: compute.*}]", criteria),
        _ if triggers.is_empty() => TRIGGERS.to_owned(),
        _ => triggers.to_owned(),
    };
    std::fs::write(folder.join("triggers.yaml"), triggers).unwrap();
    std::fs::write(folder.join("pipelines.yaml"), pipelines).unwrap();
    let winchester = "trigger_definitions: triggers.yaml\npipeline_config: pipelines.yaml\n\
        pipeline_handlers: {logger: 'winchester.pipeline_handler:LoggingHandler', usage: 'winchester.pipeline_handler:UsageHandler'}\n";
    std::fs::write(folder.join("winchester.yaml"), winchester).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_triggers_and_pipelines_are_refused_at_start_and_by_reload() {
    let home = Home::sqlite().unwrap();
    let file = home.path().join("winchester.yaml");
    let setting = [("QUINTET_WINCHESTER_CONFIG", file.to_str().unwrap())];
    write(home.path(), "", "report: [logger]");
    let product = home.start(&setting).unwrap();
    let url = product.url.as_str();
    let in_force = get(&format!("{url}/v1/streams/debug")).await;
    assert_eq!(in_force["triggers"], json!(["daily"]));
    for (triggers, pipelines, named) in WRONG {
        write(home.path(), triggers, pipelines);
        let answer = reqwest::Client::new().post(format!("{url}/v1/streams/reload")).send().await.unwrap();
        let (status, said) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 400, "{said}");
        let command = home.command().unwrap().args(["config", "check"]).envs(setting).output().unwrap();
        let complaint = String::from_utf8_lossy(&command.stderr).into_owned();
        assert!(!command.status.success(), "{triggers:?}");
        for word in named {
            assert!(said.contains(word), "{word} is not named: {said}");
            assert!(complaint.contains(word), "{word} is not named: {complaint}");
        }
        assert_eq!(get(&format!("{url}/v1/streams/debug")).await["triggers"], in_force["triggers"]);
    }
    // And the right ones are taken without a restart.
    write(home.path(), "", "report: [logger, usage]");
    let answer = reqwest::Client::new().post(format!("{url}/v1/streams/reload")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    product.terminate().await.unwrap();
}

/// A month after the last event; a variable that no event has; a trait that no event has.
const ODD_TRIGGERS: &str = "\
- {name: month, distinguished_by: [instance_id], expiration: $last + 1mo, expire_pipeline: report,
   fire_criteria: [{event_type: never}], match_criteria: [{}]}
- {name: undefined, distinguished_by: [instance_id], expiration: $last + 1d, expire_pipeline: report,
   fire_criteria: [], match_criteria: [{timestamp: day($nothing)}]}
- {name: missing, distinguished_by: [nothing], expiration: $last + 1d, expire_pipeline: report,
   fire_criteria: [], match_criteria: [{}]}
- {name: fails, distinguished_by: [instance_id], expiration: $last + 1000y, fire_pipeline: broken,
   fire_criteria: [], match_criteria: [{event_type: compute.instance.exists}]}
";

#[tokio::test(flavor = "multi_thread")]
async fn odd_events_and_broken_pipelines_hold_up_nobody() {
    let home = Home::sqlite().unwrap();
    // notabene without an exchange can never be built.
    write(home.path(), ODD_TRIGGERS, "report: [logger]\nbroken: [{name: notabene}]\n");
    let file = home.path().join("winchester.yaml");
    let winchester = std::fs::read_to_string(&file).unwrap();
    let winchester = winchester
        .replace("{logger:", "{notabene: 'winchester.pipeline_handler:NotabeneHandler', logger:")
        + &format!(
            "purge_completed_streams: false\ndistiller_config: {}\n",
            concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/usage/event_definitions.yaml")
        );
    std::fs::write(&file, winchester).unwrap();
    let product = home.start(&[("QUINTET_WINCHESTER_CONFIG", file.to_str().unwrap())]).unwrap();
    let notification = |instance: &str, kind: &str, time: &str| {
        json!({"message_id": uuid::Uuid::new_v4(), "event_type": kind, "publisher_id": "compute.h",
            "timestamp": time, "payload": {"instance_id": instance}})
    };
    let update = "compute.instance.update";
    let odd = [
        notification("i1", update, "9999-12-31 23:59:59.999999"),
        notification("i2", update, "2015-01-31 12:00:00"),
        notification("i3", update, "soon"),
        notification("i4", "compute.instance.exists", "0001-01-01 00:00:00"),
        json!({"message_id": "x", "event_type": update, "publisher_id": "compute.h", "timestamp": "2015-01-31"}),
        notification("i5", update, "2015-03-30 12:00:00"),
    ];
    let url = product.url.as_str();
    let request = reqwest::Client::new().post(format!("{url}/v1/notifications")).json(&odd);
    let answer = request.header("prefer", "wait=20").send().await.unwrap();
    assert_eq!(answer.headers()["preference-applied"], "wait=20");
    let streams = get(&format!("{url}/v1/streams?trigger_name=month&mark=%2B")).await;
    let ends: Vec<(&str, &str)> = streams
        .as_array()
        .unwrap()
        .iter()
        .map(|stream| {
            let expires = &stream["expire_timestamp"]["datetime"];
            (stream["distinguishing_traits"]["instance_id"].as_str().unwrap(), expires.as_str().unwrap())
        })
        .collect();
    // The last of February where the month has no 31st; nothing after the last year.
    let expected =
        [("i2", "2015-02-28T12:00:00"), ("i4", "0001-02-01T00:00:00"), ("i5", "2015-04-30T12:00:00")];
    assert_eq!(ends, expected);
    for trigger in ["undefined", "missing"] {
        assert_eq!(get(&format!("{url}/v1/streams?trigger_name={trigger}")).await, json!([]), "{trigger}");
    }
    // Its pipeline is in error, with the reason; the others went on.
    let mut failed = json!([]);
    for _ in 0..100 {
        failed = get(&format!("{url}/v1/streams?trigger_name=fails&state=error")).await;
        let completed = get(&format!("{url}/v1/streams/count?trigger_name=month&state=completed")).await;
        if failed != json!([]) && completed == json!([{ "count": 3 }]) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let history = get(&format!("{url}/v1/streams/{}/history", failed[0]["id"])).await;
    let reason = history.as_array().unwrap().last().unwrap()["reason"].as_str().unwrap();
    assert!(reason.contains("notabene"), "{reason}");
    assert_eq!(get(&format!("{url}/v1/streams/count?state=completed")).await, json!([{ "count": 3 }]));
    product.terminate().await.unwrap();
}
