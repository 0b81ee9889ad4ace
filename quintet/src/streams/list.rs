//! `quintet streams list` and `show`.

use super::PATH;
use super::flags::ListFlags;
use crate::cli::{Format, OutputFormat, Server};
use crate::client::Client;
use crate::events;
use crate::output::{Rows, plain, print_json, print_line};
use anyhow::bail;
use serde_json::{Value, json};

/// Lists streams, newest first.
pub(super) async fn list(flags: ListFlags) -> anyhow::Result<()> {
    let mut query = Vec::new();
    let options = [
        ("state", flags.state),
        ("trigger_name", flags.trigger),
        ("older_than", flags.older_than),
        ("younger_than", flags.younger_than),
    ];
    query.extend(options.into_iter().filter_map(|(name, value)| Some((name, value?))));
    if !flags.traits.is_empty() {
        query.push(("distinguishing_traits", flags.traits.join(";")));
    }
    let streams = Client::new(flags.server)?.pages(PATH, &query, None, flags.limit).await?.into();
    match flags.format.output {
        OutputFormat::Json => print_json(&streams),
        OutputFormat::Table => {
            let header = ["id", "trigger", "state", "first event", "last event", "distinguished by"];
            let names = ["id", "name", "state", "first_event", "last_event", "distinguishing_traits"];
            print_rows(&header, &names, &streams);
        }
    }
    Ok(())
}

/// Shows a stream, its events, and the changes of its state; of a stream that is gone the changes alone.
pub(super) async fn show(id: u64, server: Server, format: Format) -> anyhow::Result<()> {
    let client = Client::new(server)?;
    let streams = client.get(&format!("/v1/streams/{id}"), &[("details", "true".to_owned())]).await?;
    let history = client.get(&format!("/v1/streams/{id}/history"), &[]).await;
    let Some(stream) = streams.get(0) else {
        let Ok(history) = history else { bail!("stream {id} not found") };
        match format.output {
            OutputFormat::Json => print_json(&json!({ "stream": null, "history": history })),
            OutputFormat::Table => print_history(&history),
        }
        return Ok(());
    };
    // What is older than streams.history_days is forgotten.
    let history = history.unwrap_or_else(|_forgotten| json!([]));
    match format.output {
        OutputFormat::Json => print_json(&json!({ "stream": stream, "history": history })),
        OutputFormat::Table => {
            let mut rows = Rows::new(&["member", "value"]);
            for (name, value) in stream.as_object().into_iter().flatten() {
                match (name.as_str(), value) {
                    ("events" | "_mark", _) => {}
                    ("distinguishing_traits", traits) => rows.push(vec![name.clone(), traits_text(traits)]),
                    (_, value) => rows.push(vec![name.clone(), plain(value)]),
                }
            }
            rows.print();
            print_line("");
            let mut rows = Rows::new(&["time", "event type", "message id", "tenant"]);
            for event in stream.get("events").and_then(Value::as_array).into_iter().flatten() {
                rows.push(events::columns(event).to_vec());
            }
            rows.print();
            print_line("");
            print_history(&history);
        }
    }
    Ok(())
}

fn print_history(history: &Value) {
    print_rows(&["at", "state", "reason"], &["at", "state", "reason"], history);
}

/// A row for each object of a list, with the members `names`.
fn print_rows(header: &[&str], names: &[&str], list: &Value) {
    let mut rows = Rows::new(header);
    for object in list.as_array().into_iter().flatten() {
        let cell = |name: &&str| match object.get(*name) {
            Some(traits) if *name == "distinguishing_traits" => traits_text(traits),
            Some(value) => plain(value),
            None => String::new(),
        };
        rows.push(names.iter().map(cell).collect());
    }
    rows.print();
}

/// Distinguishing traits as `name:value`, in the form that filters take.
pub(super) fn traits_text(traits: &Value) -> String {
    let text = |value: &Value| match (value.get("begin"), value.get("end")) {
        (Some(begin), Some(end)) => format!("{}/{}", plain(begin), plain(end)),
        _ => plain(value),
    };
    let pairs = traits.as_object().into_iter().flatten();
    let mut pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}:{}", text(value))).collect();
    pairs.sort_unstable();
    pairs.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traits_read_as_filters_do() {
        let traits = json!({
            "instance_id": "i1",
            "launched_at": {"__type__": "datetime", "datetime": "2015-02-27T15:31:24"},
            "size": 7,
            "timestamp": {"__type__": "timex.TimeRange", "begin": "2015-02-27T00:00:00", "end": "2015-02-28T00:00:00"},
        });
        assert_eq!(
            traits_text(&traits),
            "instance_id:i1 launched_at:2015-02-27T15:31:24 size:7 \
             timestamp:2015-02-27T00:00:00/2015-02-28T00:00:00"
        );
        assert_eq!(traits_text(&json!({})), "");
    }
}
