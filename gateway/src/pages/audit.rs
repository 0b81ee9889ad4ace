//! `/admin/audit`: what was done, and whether the log of it is whole. Only administrators get here.

use super::{Call, input, object};
use crate::body::Body;
use crate::fault::Fault;
use crate::identity::Accounts;
use crate::model::Record;
use crate::store;
use chrono::{DateTime, SecondsFormat};
use hyper::Response;
use serde_json::{Value, json};

/// Place of the first record.
const FIRST: i64 = 1;

/// Records that are verified at once.
const PAGE: i64 = 1000;

/// `GET /admin/audit?after=SEQ&limit=N`: records in their order; without `after` the newest.
pub(super) async fn list(call: Call<'_>) -> Result<Response<Body>, Fault> {
    let limit = input::limit(call.query())?;
    let after = input::argument(call.query(), "after").map(|after| after.parse::<i64>());
    let after = after.transpose().map_err(|_cause| Fault::BadRequest("after: expected a number"))?;
    let page = call.accounts().read(move |conn| {
        let last = store::audit_ends(conn)?.map_or(0, |(_, last)| last);
        let after = after.unwrap_or(last.saturating_sub(limit));
        Ok((store::list_records(conn, after, limit)?, store::audit_head(conn)?))
    });
    let (records, head) = page.await?;
    let records: Vec<Value> = records.iter().map(shown).collect();
    let head = head.map(|(seq, hash)| json!({ "seq": seq, "hash": hash }));
    Ok(object(&json!({ "records": records, "head": head })))
}

/// `GET /admin/audit/verify?head=SEQ:HASH`: reads the whole log and computes every hash anew. `head` is an end that was
/// noted earlier, outside of this installation: it must still be there.
pub(super) async fn verify(call: Call<'_>) -> Result<Response<Body>, Fault> {
    let noted = input::argument(call.query(), "head").map(|text| {
        let (seq, hash) = text.split_once(':')?;
        let seq = seq.parse().ok().filter(|seq| *seq >= FIRST)?;
        Some((seq, hash.to_owned())).filter(|_| !hash.is_empty())
    });
    let noted = match noted {
        Some(None) => {
            return Err(Fault::BadRequest("head: expected a number from 1 on, a colon and a hash"));
        }
        Some(Some(noted)) => Some(noted),
        None => None,
    };
    let (chain, is_intact, fault) = match walk(call.accounts(), noted).await? {
        Ok(chain) => (chain, true, None),
        Err((chain, fault)) => (chain, false, Some(fault)),
    };
    Ok(object(&json!({
        "is_intact": is_intact,
        "fault": fault,
        "records": chain.seq,
        "head": { "seq": chain.seq, "hash": chain.hash },
    })))
}

/// How far the log has been found whole.
struct Chain {
    seq: i64,
    hash: String,
}

impl Chain {
    /// Takes the next record if it belongs there.
    fn extend(&mut self, record: &Record, noted: Option<&(i64, String)>) -> Result<(), String> {
        let expected = self.seq + 1;
        if record.seq != expected {
            return Err(format!("record {expected} is missing"));
        }
        if record.chained(&self.hash) != record.hash {
            return Err(format!("record {expected} has been changed, or the one before it"));
        }
        if noted.is_some_and(|(seq, hash)| *seq == expected && *hash != record.hash) {
            return Err(format!("record {expected} is not the one that was noted"));
        }
        self.seq = expected;
        self.hash.clone_from(&record.hash);
        Ok(())
    }
}

async fn walk(
    accounts: &Accounts,
    noted: Option<(i64, String)>,
) -> Result<Result<Chain, (Chain, String)>, Fault> {
    // Records that come meanwhile are left for the next time.
    let head = accounts.read(|conn| Ok((store::audit_head(conn)?, store::audit_ends(conn)?)));
    let (head, ends) = head.await?;
    let mut chain = Chain { seq: FIRST - 1, hash: String::new() };
    if let Some((first, _)) = ends.filter(|(first, _)| *first < FIRST) {
        return Ok(Err((chain, format!("record {first} is before the first"))));
    }
    let Some(head) = head else {
        return Ok(Err((chain, "the note of where the log ends is missing".to_owned())));
    };
    while chain.seq < head.0 {
        let (after, limit) = (chain.seq, PAGE.min(head.0 - chain.seq));
        let records = accounts.read(move |conn| store::list_records(conn, after, limit)).await?;
        if records.is_empty() {
            let fault = format!("the log ends after record {after}, but {} were written", head.0);
            return Ok(Err((chain, fault)));
        }
        for record in &records {
            if let Err(fault) = chain.extend(record, noted.as_ref()) {
                return Ok(Err((chain, fault)));
            }
        }
    }
    if chain.hash != head.1 {
        let fault = format!("the last record is not the one that was written as number {}", head.0);
        return Ok(Err((chain, fault)));
    }
    if let Some((seq, _)) = noted.filter(|(seq, _)| *seq > chain.seq) {
        let fault = format!("the log ends after record {}, but record {seq} was noted", chain.seq);
        return Ok(Err((chain, fault)));
    }
    let (last, end) = (chain.seq, accounts.read(move |conn| store::list_records(conn, head.0, 1)).await?);
    if end.iter().any(|record| record.seq != last + 1) {
        return Ok(Err((chain, format!("record {} is missing", last + 1))));
    }
    Ok(Ok(chain))
}

fn shown(record: &Record) -> Value {
    let at = DateTime::from_timestamp_micros(record.at).unwrap_or_default();
    json!({
        "seq": record.seq,
        "at": at.to_rfc3339_opts(SecondsFormat::Micros, true),
        "actor": record.actor,
        "address": record.address,
        "action": record.action,
        "target": record.target,
        "detail": record.detail,
        "hash": record.hash,
    })
}
