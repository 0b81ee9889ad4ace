//! Streams through the front door: the example that comes with the product, the wait for streams, processes that are
//! killed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod example;
mod kill;
mod refused;

use serde_json::Value;

/// Answers of a gateway.
async fn get(url: &str) -> Value {
    let request = reqwest::Client::new().get(url);
    let headers = [("X-User-Id", "u"), ("X-Project-Id", "p"), ("X-Roles", "admin")];
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{url}: {}", answer.status());
    answer.json().await.unwrap()
}

/// The text of a member.
fn text<'v>(object: &'v Value, name: &str) -> &'v str {
    object[name].as_str().unwrap_or_else(|| panic!("no {name} in {object}"))
}

/// Every event or stream of a list, in the order of storage.
async fn all(url: &str, path_and_query: &str) -> Vec<Value> {
    let (mut found, mut mark) = (Vec::new(), "%2B".to_owned());
    loop {
        let page = get(&format!("{url}{path_and_query}&limit=2000&mark={mark}")).await;
        let page = page.as_array().unwrap();
        let Some(last) = page.last() else { return found };
        mark = text(last, "_mark").replace('+', "%2B");
        found.extend(page.iter().cloned());
    }
}
