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
