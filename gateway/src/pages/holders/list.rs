//! Lists of users, clients and roles, and each of them alone; never with a secret.

use super::array;
use crate::body::Body;
use crate::fault::Fault;
use crate::model::{Holder, Kind, text};
use crate::pages::{Call, input, object};
use crate::store::{self, HolderFilter};
use chrono::SecondsFormat;
use hyper::Response;
use hyper::header::HeaderMap;
use serde_json::{Map, Value, json};
use shared::db::{DbConn, DbError};
use std::collections::HashMap;

/// Rows in one answer, when nothing else is asked for.
const PAGE: i64 = 1000;

/// `GET /users?name=NAME&after=ID&limit=N`: ids, or with `full-list` objects; only of whom the caller may get.
pub(super) async fn list(kind: Kind, call: &Call<'_>) -> Result<Response<Body>, Fault> {
    let query = call.query();
    let limit = if input::argument(query, "limit").is_some() { input::limit(query)? } else { PAGE };
    let after = input::argument(query, "after").unwrap_or_default();
    let filter = HolderFilter { kind, name: input::argument(query, "name"), after, limit };
    let (caller, fields) = (call.caller.clone(), fields(query, call.request.headers()));
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let page = call.accounts().read(move |conn| {
        let mut shown = Vec::new();
        let mut filter = filter;
        while shown.len() < most {
            let holders = store::list_holders(conn, &filter)?;
            let Some(last) = holders.last() else { break };
            filter.after.clone_from(&last.id);
            let visible: Vec<Holder> = holders
                .into_iter()
                .filter(|holder| caller.may(&[kind.plural(), holder.id.as_str(), "get"]))
                .take(most - shown.len())
                .collect();
            match &fields {
                Some(fields) => {
                    shown.extend(described(conn, &visible)?.into_iter().map(|one| only(one, fields)));
                }
                None => shown.extend(visible.into_iter().map(|holder| Value::from(holder.id))),
            }
        }
        Ok(shown)
    });
    Ok(array(page.await?))
}

/// `GET /users/U`
pub(super) async fn show(call: &Call<'_>, holder: &Holder) -> Result<Response<Body>, Fault> {
    let holder = holder.clone();
    let shown = call.accounts().read(move |conn| described(conn, std::slice::from_ref(&holder))).await?;
    let shown = shown.into_iter().next().ok_or(Fault::NotFound)?;
    Ok(object(&Value::Object(shown)))
}

/// The members that are asked for; `None` for a list of ids. The query wins over the headers, as in lists of scripts
/// (contract `dtrace`, section 3).
fn fields(query: &str, headers: &HeaderMap) -> Option<Vec<String>> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let is_full = input::argument(query, "full-list").or_else(|| header("x-full-list"));
    if !is_full.is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        return None;
    }
    let names = input::argument(query, "full-list-fields").or_else(|| header("x-full-list-fields"));
    let names = names.unwrap_or_default();
    Some(names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// An object with these members alone; none named: all.
fn only(object: Map<String, Value>, fields: &[String]) -> Value {
    let is_wanted = |name: &String| fields.is_empty() || fields.contains(name);
    object.into_iter().filter(|(name, _)| is_wanted(name)).collect()
}

/// Everything about these holders, which are in the order of their ids, but their secrets.
fn described(conn: &mut DbConn, holders: &[Holder]) -> Result<Vec<Map<String, Value>>, DbError> {
    let (Some(first), Some(last)) = (holders.first(), holders.last()) else { return Ok(Vec::new()) };
    let grants = by_holder(store::grants_between(conn, &first.id, &last.id)?);
    let members = by_holder(store::members_between(conn, &first.id, &last.id)?);
    let mut all = Vec::with_capacity(holders.len());
    for holder in holders {
        let own = |rows: &HashMap<String, Vec<String>>| rows.get(&holder.id).cloned().unwrap_or_default();
        let permissions: Vec<Value> = own(&grants).iter().map(|one| text::words(one).into()).collect();
        let mut object = Map::new();
        object.insert("uuid".into(), holder.id.clone().into());
        object.insert("name".into(), holder.name.clone().into());
        object.insert("permissions".into(), permissions.into());
        if holder.kind != Kind::Role {
            object.insert("roles".into(), own(&members).into());
            object.insert("user_id".into(), holder.user_id.clone().into());
            object.insert("project_id".into(), holder.project_id.clone().into());
        }
        if holder.kind == Kind::Client {
            let uris = store::uris_of(conn, &holder.id)?;
            let uris: Vec<Value> =
                uris.into_iter().map(|(id, uri)| json!({ "uuid": id, "uri": uri })).collect();
            object.insert("uris".into(), uris.into());
            object.insert("confidential".into(), holder.secret_hash.is_some().into());
        }
        let at = holder.created_at.to_rfc3339_opts(SecondsFormat::Micros, true);
        object.insert("created_at".into(), at.into());
        all.push(object);
    }
    Ok(all)
}

/// What belongs to each holder, in its order.
fn by_holder(rows: Vec<(String, String)>) -> HashMap<String, Vec<String>> {
    let mut all: HashMap<String, Vec<String>> = HashMap::new();
    for (holder, value) in rows {
        all.entry(holder).or_default().push(value);
    }
    all
}
