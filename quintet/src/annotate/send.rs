//! `quintet annotate MESSAGE`: sends one annotation, as the original's tool does.

use super::flags::{Api, New};
use super::{ask, client, time};
use crate::output::print_line;
use annotate_svc::client::{NewAnnotation, tabbed};
use anyhow::Context;
use reqwest::Method;
use serde_json::Value;
use std::io::Read;

/// Who made it, for the field `Source`.
const SOURCE: &str = "annotate-cli";

/// Longest JSON that is read from standard input, in bytes.
const MAX_INPUT: u64 = 64 << 20;

/// Sends the annotation and prints it as it was stored, indented with tabs as the original does.
pub(super) async fn send(new: New, api: Api) -> anyhow::Result<()> {
    let body = if new.is_from_input { input()? } else { document(new)? };
    let client = client(api)?;
    let stored = ask(&client, client.request(Method::POST, "/annotation").json(&body)).await?;
    print_line(&tabbed(&stored)?);
    Ok(())
}

fn input() -> anyhow::Result<Value> {
    let mut text = String::new();
    std::io::stdin().take(MAX_INPUT).read_to_string(&mut text).context("standard input cannot be read")?;
    serde_json::from_str(&text).context("standard input is not JSON")
}

fn document(new: New) -> anyhow::Result<Value> {
    let variable = |name| std::env::var(name).ok().filter(|user| !user.is_empty());
    let user = new.user.or_else(|| variable("SUDO_USER")).or_else(|| variable("USER"));
    let annotation = NewAnnotation {
        id: new.id.unwrap_or_default(),
        message: new.message.join(" "),
        start: time(new.start.as_deref())?,
        end: time(new.end.as_deref())?,
        user: user.unwrap_or_default(),
        url: new.url.unwrap_or_default(),
        source: SOURCE.to_owned(),
        host: new.host.unwrap_or_else(short_host),
        owner: new.owner.unwrap_or_default(),
        category: new.category.unwrap_or_default(),
    };
    Ok(annotation.body())
}

/// The first part of this host's name, in lower case.
fn short_host() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy().to_lowercase();
    name.split('.').next().unwrap_or_default().to_owned()
}
