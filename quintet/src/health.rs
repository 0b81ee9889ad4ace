//! `quintet health`: how a running installation is.

use crate::cli::{HealthFlags, OutputFormat};
use crate::client::Client;
use crate::output::{Rows, plain, print_json};
use anyhow::Context;
use reqwest::Method;
use serde_json::Value;
use std::process::ExitCode;

/// Asks `/readyz?verbose`; success when everything is ready.
pub(crate) async fn health(flags: &HealthFlags) -> anyhow::Result<ExitCode> {
    let client = Client::new(flags.server.clone())?;
    let answer = client.request(Method::GET, "/readyz?verbose").send().await;
    let answer = answer.with_context(|| format!("no gateway answers at {}", client.url()))?;
    let is_ready = answer.status().is_success();
    let report: Value = answer.json().await.context("the gateway's report cannot be read")?;
    match flags.format.output {
        OutputFormat::Json => print_json(&report),
        OutputFormat::Table => {
            let mut rows = Rows::new(&["check", "state"]);
            let checks = report.get("checks").and_then(Value::as_object);
            for (name, state) in checks.into_iter().flatten() {
                rows.push(vec![name.clone(), plain(state)]);
            }
            rows.print();
        }
    }
    Ok(if is_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
