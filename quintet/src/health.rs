//! `quintet health`: how a running installation is.

use crate::cli::{HealthFlags, OutputFormat, Settings};
use crate::client::Client;
use crate::output::{print_json, print_object};
use crate::product;
use anyhow::Context;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Success when what is asked is ready: everything, as a gateway sees it, or one target on this machine.
pub(crate) async fn health(settings: &Settings, flags: &HealthFlags) -> anyhow::Result<ExitCode> {
    match &flags.target {
        Some(target) => one(settings, target, flags.format.output).await,
        None => all(flags).await,
    }
}

/// Asks `/readyz` of the process that these settings start: its own state, whatever is behind it, and no login.
async fn one(settings: &Settings, target: &str, output: OutputFormat) -> anyhow::Result<ExitCode> {
    let client = Client::on_this_machine(product::local_url(&settings.source()?, target)?)?;
    let answer = client.request(Method::GET, "/readyz").send().await;
    let answer = answer.with_context(|| format!("{target} does not answer at {}", client.url()))?;
    let is_ready = answer.status().is_success();
    let state = if is_ready { "ok" } else { "not ready" };
    print_object(&json!({ target: state }), ["check", "state"], output);
    Ok(verdict(is_ready))
}

/// Asks `/readyz?verbose` of a gateway.
async fn all(flags: &HealthFlags) -> anyhow::Result<ExitCode> {
    let client = Client::new(flags.server.clone())?;
    let answer = client.request(Method::GET, "/readyz?verbose").send().await;
    let answer = answer.with_context(|| format!("no gateway answers at {}", client.url()))?;
    let is_ready = answer.status().is_success();
    // With 503 the report says what is not ready; any other refusal is of the question.
    let is_report = is_ready || answer.status() == StatusCode::SERVICE_UNAVAILABLE;
    let answer = if is_report { answer } else { client.checked(answer).await? };
    let report: Value = answer.json().await.context("the gateway's report cannot be read")?;
    match (flags.format.output, report.get("checks")) {
        (OutputFormat::Table, Some(checks)) => {
            print_object(checks, ["check", "state"], OutputFormat::Table);
        }
        (OutputFormat::Json, _) | (_, None) => print_json(&report),
    }
    Ok(verdict(is_ready))
}

fn verdict(is_ready: bool) -> ExitCode {
    if is_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
