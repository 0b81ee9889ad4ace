//! What the demo shows: the files of `examples/usage`, three days of notifications, and a few documents for the other
//! APIs.

use anyhow::Context;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The example's files, as they are in the repository.
const FILES: [(&str, &[u8]); 5] = [
    ("winchester.yaml", include_bytes!("../../../examples/usage/winchester.yaml")),
    ("event_definitions.yaml", include_bytes!("../../../examples/usage/event_definitions.yaml")),
    ("triggers.yaml", include_bytes!("../../../examples/usage/triggers.yaml")),
    ("pipelines.yaml", include_bytes!("../../../examples/usage/pipelines.yaml")),
    ("notifications.ndjson.gz", include_bytes!("../../../e2e/fixtures/notifications.ndjson.gz")),
];

/// Where the files are.
pub(super) struct Files {
    pub(super) folder: PathBuf,
    pub(super) winchester: PathBuf,
    pub(super) notifications: PathBuf,
}

/// Writes the files that are not there: what somebody has changed stays changed.
pub(super) fn write(folder: &Path) -> anyhow::Result<Files> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (name, bytes) in FILES {
        let file = folder.join(name);
        if !file.exists() {
            std::fs::write(&file, bytes).with_context(|| file.display().to_string())?;
        }
    }
    Ok(Files {
        folder: folder.to_owned(),
        winchester: folder.join("winchester.yaml"),
        notifications: folder.join("notifications.ndjson.gz"),
    })
}

/// Where [`annotations`] say that they come from.
pub(super) const SOURCE: &str = "demo";

/// What happened in the days of the sample.
pub(super) fn annotations() -> [Value; 3] {
    let annotation = |category: &str, owner: &str, message: &str, start: &str, end: &str| {
        json!({
            "Message": message, "Owner": owner,
            "Category": category, "Source": SOURCE, "CreationUser": "demo", "Host": "", "Url": "",
            "StartDate": start, "EndDate": end,
        })
    };
    [
        annotation(
            "deploy",
            "compute",
            "nova 2014.2.2 goes out",
            "2015-02-27T09:00:00Z",
            "2015-02-27T09:40:00Z",
        ),
        annotation(
            "outage",
            "network",
            "rack 12 loses its uplink",
            "2015-02-27T15:20:00Z",
            "2015-02-27T15:55:00Z",
        ),
        annotation(
            "maintenance",
            "storage",
            "moving volumes",
            "2015-02-28T22:00:00Z",
            "2015-03-01T02:00:00Z",
        ),
    ]
}

/// Scripts to run.
pub(super) fn scripts() -> [Value; 2] {
    [
        json!({
            "name": "cpu samples",
            "script": "profile:hz:99 { @ = lhist(cpu, 0, 64, 1); }",
            "config": {},
        }),
        json!({
            "name": "sizes of reads",
            "script": "tracepoint:syscalls:sys_exit_read /args->ret > 0/ { @ = hist(args->ret); }",
            "config": {},
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_were_changed_stay_changed() {
        let folder = tempfile::tempdir().unwrap();
        let first = write(folder.path()).unwrap();
        assert!(first.notifications.exists());
        std::fs::write(&first.winchester, "own: true").unwrap();
        let again = write(folder.path()).unwrap();
        assert_eq!(std::fs::read_to_string(again.winchester).unwrap(), "own: true");
    }
}
