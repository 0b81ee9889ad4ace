//! Ready scripts: what people ask for first. Each file of `catalogue/` is a script whose comment begins with its name
//! and says what it shows; its variables have values here.

use crate::script::Dialect;
use serde_json::{Value, json};

/// A ready script.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// What it shows, one line.
    pub description: &'static str,
    /// Its language.
    pub dialect: Dialect,
    /// Its text.
    pub script: &'static str,
    /// Values for its variables.
    pub config: Value,
}

impl Entry {
    /// As JSON; it can be sent to `POST /dtrace` as it is.
    #[must_use]
    pub fn value(&self) -> Value {
        json!({
            "name": self.name, "description": self.description, "dialect": self.dialect,
            "script": self.script, "config": self.config,
        })
    }
}

/// Every ready script.
#[must_use]
pub fn entries() -> Vec<Entry> {
    let entry =
        |name, description, dialect, script, config| Entry { name, description, dialect, script, config };
    let (d, bpftrace) = (Dialect::D, Dialect::Bpftrace);
    vec![
        entry(
            "biolatency",
            "time that block devices take to answer, in microseconds, by device",
            bpftrace,
            include_str!("../catalogue/biolatency.bt"),
            json!({}),
        ),
        entry(
            "cpu samples",
            "which programs run, sampled at $rate$ per second and processor",
            bpftrace,
            include_str!("../catalogue/cpusamples.bt"),
            json!({ "rate": 49 }),
        ),
        entry(
            "malloc sizes",
            "bytes that programs ask the C library for, by program",
            bpftrace,
            include_str!("../catalogue/mallocsizes.bt"),
            json!({ "libc": "/lib/x86_64-linux-gnu/libc.so.6" }),
        ),
        entry(
            "opensnoop",
            "files as they are opened, with the program that opens them",
            bpftrace,
            include_str!("../catalogue/opensnoop.bt"),
            json!({}),
        ),
        entry(
            "runqlat",
            "time that threads wait for a processor, in microseconds",
            bpftrace,
            include_str!("../catalogue/runqlat.bt"),
            json!({}),
        ),
        entry(
            "syscall counts",
            "system calls by program",
            bpftrace,
            include_str!("../catalogue/syscalls.bt"),
            json!({}),
        ),
        entry(
            "syscall counts (D)",
            "system calls by program and name",
            d,
            include_str!("../catalogue/syscalls.d"),
            json!({}),
        ),
        entry(
            "erlang function calls",
            "time that Erlang functions take, in microseconds, by function",
            d,
            include_str!("../catalogue/erlang.d"),
            json!({ "start": 0, "end": 127, "step": 4 }),
        ),
        entry(
            "zfs reads",
            "time that reads from ZFS take, in microseconds",
            d,
            include_str!("../catalogue/zfsreads.d"),
            json!({ "start": 0, "end": 64, "step": 2 }),
        ),
    ]
}
