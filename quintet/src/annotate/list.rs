//! `quintet annotate list` and `search`.

use super::flags::{ListFlags, SearchFlags};
use super::{ask, client, time};
use crate::cli::OutputFormat;
use crate::output::{Rows, plain, print_json};
use annotate_svc::client::Find;
use reqwest::Method;
use serde_json::Value;

/// Columns of the table, and the members they show.
const COLUMNS: [(&str, &str); 7] = [
    ("start", "StartDate"),
    ("end", "EndDate"),
    ("owner", "Owner"),
    ("host", "Host"),
    ("category", "Category"),
    ("message", "Message"),
    ("id", "Id"),
];

/// Lists the annotations of a window.
pub(super) async fn list(flags: ListFlags) -> anyhow::Result<()> {
    find(flags, String::new()).await
}

/// Lists the annotations with some words, whenever they were.
pub(super) async fn search(flags: SearchFlags) -> anyhow::Result<()> {
    let mut list = flags.list;
    list.start.get_or_insert_with(|| "0".to_owned());
    find(list, flags.words.join(" ")).await
}

async fn find(flags: ListFlags, message: String) -> anyhow::Result<()> {
    let find = Find {
        start: time(flags.start.as_deref())?,
        end: time(flags.end.as_deref())?,
        source: flags.source.unwrap_or_default(),
        host: flags.host.unwrap_or_default(),
        user: flags.user.unwrap_or_default(),
        owner: flags.owner.unwrap_or_default(),
        category: flags.category.unwrap_or_default(),
        url: flags.url.unwrap_or_default(),
        message,
        filter: flags.filter.unwrap_or_default(),
        limit: Some(flags.limit),
        is_newest_first: true,
    };
    let client = client(flags.api)?;
    let found = ask(&client, client.request(Method::GET, &find.path())).await?;
    match flags.format.output {
        OutputFormat::Json => print_json(&found),
        OutputFormat::Table => {
            let mut rows = Rows::new(&COLUMNS.map(|(title, _)| title));
            for annotation in found.as_array().into_iter().flatten() {
                rows.push(COLUMNS.map(|(_, member)| cell(annotation, member)).to_vec());
            }
            rows.print();
        }
    }
    Ok(())
}

fn cell(annotation: &Value, member: &str) -> String {
    annotation.get(member).map(plain).unwrap_or_default()
}
