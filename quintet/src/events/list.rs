//! `quintet events list` and `get`.

use crate::cli::{Format, ListFlags, OutputFormat, Server};
use crate::client::{Client, path};
use crate::output::{Rows, plain, print_json, print_object};
use anyhow::bail;
use serde_json::Value;

/// Where the gateway has the events.
pub(super) const PATH: &str = "/v1/events";

/// Lists events in the order of storage, the last first.
pub(crate) async fn list(flags: ListFlags) -> anyhow::Result<()> {
    let mut query = Vec::new();
    let options =
        [("event_name", flags.event_type), ("from_datetime", flags.from), ("to_datetime", flags.to)];
    query.extend(options.into_iter().filter_map(|(name, value)| Some((name, value?))));
    if !flags.traits.is_empty() {
        query.push(("traits", flags.traits.join(";")));
    }
    let events = Client::new(flags.server)?.pages(PATH, &query, None, flags.limit).await?;
    match flags.format.output {
        OutputFormat::Json => print_json(&events.into()),
        OutputFormat::Table => {
            let mut rows = Rows::new(&["time", "event type", "message id", "tenant"]);
            events.iter().for_each(|event| rows.push(columns(event).to_vec()));
            rows.print();
        }
    }
    Ok(())
}

/// Shows one event.
pub(crate) async fn get(message_id: &str, server: Server, format: Format) -> anyhow::Result<()> {
    let event = find(&Client::new(server)?, message_id).await?;
    print_object(&event, ["trait", "value"], format.output);
    Ok(())
}

/// The event with this id.
pub(crate) async fn find(client: &Client, message_id: &str) -> anyhow::Result<Value> {
    let mut events = client.get(&path(PATH, &[message_id])?, &[]).await?;
    // `count` is a place of its own, and no event.
    match events.get_mut(0).map(Value::take) {
        Some(event) if event.get("message_id").map(plain).as_deref() == Some(message_id) => Ok(event),
        _ => bail!("event {message_id} not found"),
    }
}

/// Time, type, id and tenant of an event.
pub(crate) fn columns(event: &Value) -> [String; 4] {
    let column = |name: &str| event.get(name).map(plain).unwrap_or_default();
    let tenant = [column("tenant_id"), column("project_id")].into_iter().find(|text| !text.is_empty());
    [column("timestamp"), column("event_type"), column("message_id"), tenant.unwrap_or_default()]
}
