//! `bitfield`: flags set by fields that exist or have a value.

use serde_json::Value;
use shared::yaml::{Error, Node};

use super::super::python;
use super::{Match, Parameters, TraitPlugin};

#[derive(Debug)]
struct Bitfield {
    initial: i64,
    flags: Vec<Flag>,
}

#[derive(Debug)]
struct Flag {
    path: String,
    mask: i64,
    /// Without a value it is enough that the field exists.
    value: Option<Value>,
}

pub(super) fn new(parameters: &Parameters<'_>) -> Result<Box<dyn TraitPlugin>, Error> {
    let flags = match parameters.get("flags") {
        None => Vec::new(),
        Some(node) => {
            let list = node.as_list().ok_or_else(|| node.error("flags must be a list"))?;
            list.iter().map(flag).collect::<Result<_, _>>()?
        }
    };
    Ok(Box::new(Bitfield { initial: parameters.integer("initial_bitfield")?.unwrap_or(0), flags }))
}

fn flag(node: &Node) -> Result<Flag, Error> {
    let path = node.get("path").and_then(Node::as_str);
    let bit = node.get("bit").and_then(|bit| bit.as_i64().or_else(|| bit.as_str()?.trim().parse().ok()));
    let mask = bit.and_then(|bit| u32::try_from(bit).ok()).filter(|bit| *bit <= 62).map(|bit| 1 << bit);
    Ok(Flag {
        path: path.ok_or_else(|| node.error("a flag needs a path"))?.to_owned(),
        mask: mask.ok_or_else(|| node.error("a flag needs a bit from 0 to 62"))?,
        value: node.get("value").map(Node::to_json),
    })
}

impl TraitPlugin for Bitfield {
    /// Of several matches with one path the last counts.
    fn trait_values(&self, matches: &[Match]) -> Vec<Value> {
        let is_set = |flag: &&Flag| {
            let found = matches.iter().rev().find(|found| found.path == flag.path);
            found.is_some_and(|found| {
                flag.value.as_ref().is_none_or(|value| python::equal(value, &found.value))
            })
        };
        let set = self.flags.iter().filter(is_set);
        vec![set.fold(self.initial, |field, flag| field | flag.mask).into()]
    }
}
