//! `quintet streams match`: triggers tried on an event.

use super::flags::MatchFlags;
use super::list::traits_text;
use crate::cli::OutputFormat;
use crate::client::Client;
use crate::events;
use crate::output::{Rows, plain, print_json};
use anyhow::Context;
use reqwest::Method;
use serde_json::Value;
use std::io::Read;
use std::path::Path;

/// Asks what the triggers would do with an event.
pub(super) async fn match_event(flags: MatchFlags) -> anyhow::Result<()> {
    let client = Client::new(flags.server)?;
    let event = match (&flags.which.event, &flags.which.file) {
        (Some(message_id), _) => events::find(&client, message_id).await?,
        (None, file) => read(file.as_deref().unwrap_or(Path::new("-")))?,
    };
    let request = client.request(Method::POST, "/v1/streams/match").json(&event);
    let answers: Value = client.send(request).await?.json().await?;
    match flags.format.output {
        OutputFormat::Json => print_json(&answers),
        OutputFormat::Table => {
            let mut rows = Rows::new(&["trigger", "takes it", "stream", "because"]);
            answers.as_array().into_iter().flatten().for_each(|answer| rows.push(columns(answer).to_vec()));
            rows.print();
        }
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Value> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)?;
    } else {
        text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    }
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", file.display()))
}

/// Name, verdict, stream, and the values or reasons of a trigger.
fn columns(answer: &Value) -> [String; 4] {
    let name = answer.get("trigger").map(plain).unwrap_or_default();
    if answer.get("matches") == Some(&Value::Bool(true)) {
        let stream = answer.get("stream").filter(|id| !id.is_null()).map_or("a new one".to_owned(), plain);
        let traits = answer.get("distinguishing_traits").map(traits_text).unwrap_or_default();
        return [name, "yes".to_owned(), stream, traits];
    }
    let reasons = answer.get("reasons").and_then(Value::as_array).into_iter().flatten();
    [name, "no".to_owned(), String::new(), reasons.map(plain).collect::<Vec<_>>().join(", ")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_says_what_a_trigger_would_do_and_why() {
        let taken = json!({"trigger": "t", "matches": true, "distinguishing_traits": {"a": 1}, "stream": 7});
        assert_eq!(columns(&taken), ["t", "yes", "7", "a:1"]);
        let first = json!({"trigger": "t", "matches": true, "distinguishing_traits": {}, "stream": null});
        assert_eq!(columns(&first), ["t", "yes", "a new one", ""]);
        let left = json!({"trigger": "t", "matches": false, "reasons": ["not 'a'", "Not in timerange"]});
        assert_eq!(columns(&left), ["t", "no", "", "not 'a', Not in timerange"]);
    }
}
