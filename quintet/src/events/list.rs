//! `quintet events list` and `get`.

use crate::cli::{Format, ListFlags, OutputFormat, Server};
use crate::client::Client;
use crate::output::{Rows, plain, print_json};
use anyhow::bail;
use serde_json::Value;

/// Lists events, newest first.
pub(crate) async fn list(flags: ListFlags) -> anyhow::Result<()> {
    let mut query = vec![("limit", flags.limit.to_string())];
    let options =
        [("event_name", flags.event_type), ("from_datetime", flags.from), ("to_datetime", flags.to)];
    query.extend(options.into_iter().filter_map(|(name, value)| Some((name, value?))));
    if !flags.traits.is_empty() {
        query.push(("traits", flags.traits.join(";")));
    }
    let events = Client::new(flags.server)?.get("/v1/events", &query).await?;
    match flags.format.output {
        OutputFormat::Json => print_json(&events),
        OutputFormat::Table => {
            let mut rows = Rows::new(&["time", "event type", "message id", "tenant"]);
            for event in events.as_array().into_iter().flatten() {
                rows.push(columns(event).to_vec());
            }
            rows.print();
        }
    }
    Ok(())
}

/// Shows one event.
pub(crate) async fn get(message_id: &str, server: Server, format: Format) -> anyhow::Result<()> {
    let event = find(&Client::new(server)?, message_id).await?;
    match format.output {
        OutputFormat::Json => print_json(&event),
        OutputFormat::Table => {
            let mut rows = Rows::new(&["trait", "value"]);
            for (name, value) in event.as_object().into_iter().flatten() {
                rows.push(vec![name.clone(), plain(value)]);
            }
            rows.print();
        }
    }
    Ok(())
}

/// The event with this id.
pub(crate) async fn find(client: &Client, message_id: &str) -> anyhow::Result<Value> {
    let mut url = reqwest::Url::parse("http://gateway/v1/events")?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.push(message_id);
    }
    let mut events = client.get(url.path(), &[]).await?;
    match events.get_mut(0).map(Value::take) {
        Some(event) => Ok(event),
        None => bail!("event {message_id} not found"),
    }
}

/// Time, type, id and tenant of an event.
pub(crate) fn columns(event: &Value) -> [String; 4] {
    let column = |name: &str| event.get(name).map(plain).unwrap_or_default();
    let tenant = [column("tenant_id"), column("project_id")].into_iter().find(|text| !text.is_empty());
    [column("timestamp"), column("event_type"), column("message_id"), tenant.unwrap_or_default()]
}
