//! `quintet demo`: the example of usage streams with its sample of three days, in one command.

mod samples;

use crate::cli::{DemoFlags, Format, ImportFlags, OutputFormat, Server, Settings};
use crate::client::Client;
use crate::output::{Rows, print_line};
use crate::product::Product;
use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::{Value, json};
use shared::config::Source;
use shared::secrets;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Folder of the demo, unless another is named: nobody's own data gets mixed with samples.
const FOLDER: &str = "demo-data";

/// Looks at the streams, and the pause between two: pipelines are still at work when all events are sorted.
const LOOKS: u32 = 60;
const PAUSE: Duration = Duration::from_millis(500);

/// Starts a product of its own, or takes one that runs; loads the samples; says what to look at.
pub(crate) async fn demo(settings: &Settings, flags: &DemoFlags) -> anyhow::Result<()> {
    if std::env::var_os("RUST_LOG").is_none() {
        // What triggers count and pipelines find would bury what there is to see.
        log::set_max_level(log::LevelFilter::Error);
    }
    let folder = settings.data_dir.clone().unwrap_or_else(|| PathBuf::from(FOLDER));
    let example = samples::write(&folder.join("example"))?;
    if let Some(url) = &flags.url {
        return load(&example, Server { url: url.clone(), token: flags.token.clone() }).await;
    }
    let source = source(settings, flags, &folder, &example)?;
    let product = Product::start(&source, &["all".to_owned()]).await?;
    let shown = async {
        let url = product.url().context("the gateway does not answer")?;
        print_line(&format!("ready {url}"));
        // In the secure mode with the token that the start has made.
        let made = secrets::path(&source.common()?, "admin_token");
        let token = flags.token.clone().or_else(|| std::fs::read_to_string(made).ok());
        load(&example, Server { url, token }).await?;
        std::future::pending::<anyhow::Result<()>>().await
    };
    let outcome = tokio::select! {
        outcome = shown => outcome,
        signalled = shared::stop::signalled() => signalled.map_err(anyhow::Error::from),
    };
    product.stop().await;
    outcome
}

/// Settings by which the samples would get among somebody's own data, or his data among the samples.
const FOREIGN: [&str; 5] =
    ["database_url", "database_url_file", "gateway.upstreams", "streams.events_url", "events.amqp"];

/// The settings, with the example's definitions unless they name others.
fn source(
    settings: &Settings,
    flags: &DemoFlags,
    folder: &Path,
    example: &samples::Files,
) -> anyhow::Result<Source> {
    let mut source = settings.source()?.with("data_dir", folder);
    for key in FOREIGN {
        let Some(place) = source.whence(key) else { continue };
        bail!(
            "{place}: {key} is set, and a demo keeps to itself. Start it in a folder without this setting, or load the \
            samples on purpose: quintet demo --url ADDRESS"
        );
    }
    if source.common()?.winchester_config.is_none() {
        source = source.with("winchester_config", &example.winchester);
    }
    if let Some(address) = &flags.listen {
        source = source.with("gateway.listen", address);
    }
    Ok(source)
}

/// Loads everything and shows what became of it. What is there already stays as it is.
async fn load(example: &samples::Files, server: Server) -> anyhow::Result<()> {
    let client = Client::new(server.clone())?;
    let import = ImportFlags {
        file: example.notifications.clone(),
        batch: 500,
        restart: true,
        server,
        format: Format { output: OutputFormat::Table },
    };
    crate::events::import::import(import).await?;
    add_annotations(&client).await?;
    add_scripts(&client).await?;
    let states = settled_states(&client).await?;
    print_line("");
    let mut rows = Rows::new(&["streams", "number"]);
    states.iter().for_each(|(state, count)| rows.push(vec![state.clone(), count.to_string()]));
    rows.print();
    if states.is_empty() {
        print_line(
            "No streams: this gateway has no triggers that take the samples (setting winchester_config).",
        );
    }
    print_line(&what_to_see(client.url(), example));
    Ok(())
}

/// Adds the annotations unless they are there.
async fn add_annotations(client: &Client) -> anyhow::Result<()> {
    let query = [
        ("StartDate", "2015-02-27T00:00:00Z".to_owned()),
        ("EndDate", "2015-03-02T00:00:00Z".to_owned()),
        ("Source", samples::SOURCE.to_owned()),
    ];
    let known = client.get("/annotation/query", &query).await.context("annotations")?;
    if known.get(0).is_some() {
        return Ok(());
    }
    for annotation in samples::annotations() {
        let request = client.request(Method::POST, "/annotation").json(&annotation);
        client.send(request).await.context("annotations")?;
    }
    Ok(())
}

/// Adds the scripts whose names are not there.
async fn add_scripts(client: &Client) -> anyhow::Result<()> {
    let query = [("full-list", "true".to_owned()), ("full-list-fields", "name".to_owned())];
    let known = client.get("/dtrace", &query).await.context("scripts")?;
    let is_known = |script: &Value| {
        let known = known.as_array().into_iter().flatten();
        known.filter_map(|own| own.get("name")).any(|name| Some(name) == script.get("name"))
    };
    for script in samples::scripts().into_iter().filter(|script| !is_known(script)) {
        client.send(client.request(Method::POST, "/dtrace").json(&script)).await.context("scripts")?;
    }
    Ok(())
}

/// How many streams there are in each state, once the events are sorted and no pipeline changes anything any more.
async fn settled_states(client: &Client) -> anyhow::Result<Vec<(String, u64)>> {
    let sorted =
        client.request(Method::POST, "/v1/notifications").header("prefer", "wait=30").json(&json!([]));
    client.send(sorted).await?;
    let mut before = Vec::new();
    for _ in 0..LOOKS {
        tokio::time::sleep(PAUSE).await;
        let mut states = Vec::new();
        for state in ["active", "firing", "expiring", "completed", "error", "expire_error"] {
            let count = client.get("/v1/streams/count", &[("state", state.to_owned())]).await?;
            let count = count.pointer("/0/count").and_then(Value::as_u64).unwrap_or(0);
            states.extend((count > 0).then(|| (state.to_owned(), count)));
        }
        if states == before {
            break;
        }
        before = states;
    }
    Ok(before)
}

fn what_to_see(url: &str, example: &samples::Files) -> String {
    let folder = example.folder.display();
    format!(
        "\
Look around, in another terminal (export QUINTET_URL={url} if it is not the default):
  quintet streams list --state completed --limit 5     streams whose pipeline has run
  quintet streams show 1                               one with its events, and what became of it
  quintet events list --type compute.instance.exists.verified
  quintet events list --type compute.instance.exists.failed
  quintet annotate list --start 2015-02-27T00:00:00Z --end 2015-03-02T00:00:00Z
  quintet dtrace list
Annotations in a browser: {url}/annotate/list?StartDate=2015-02-27T00:00:00Z&EndDate=2015-03-02T00:00:00Z
Documentation: {url}/docs   Definitions, triggers, pipelines: {folder}"
    )
}
