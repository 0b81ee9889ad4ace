//! The documents and the route table say the same.

use super::{DOCUMENTS, parsed};
use crate::routes::table::{AREAS, Area, PAGES, pinned};
use crate::routes::{Action, Api, Owner, Service};
use serde_json::Value;
use std::collections::BTreeSet;

/// Services whose documents may still be missing: an area of theirs is checked once any of it is documented.
const UNWRITTEN: [Service; 2] = [Service::Tasks, Service::Tribe];

/// Members of a path item that are operations.
const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

/// `GET /v1/streams/{}`: a method and a path whose variable parts have lost their names.
type Operation = String;

fn operation(method: &str, path: &str) -> Operation {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
    format!("{} {}", method.to_uppercase(), parts.collect::<Vec<_>>().join("/"))
}

/// Routes that belong together, each by all paths that lead to it.
struct Routes {
    service: Option<Service>,
    /// HEAD and OPTIONS need no words of their own.
    needed: Vec<Vec<Operation>>,
    all: Vec<Operation>,
}

impl Routes {
    fn new<'r>(
        service: Option<Service>,
        prefixes: &[&str],
        rows: impl IntoIterator<Item = (&'r str, &'r [Action])>,
    ) -> Self {
        let mut routes = Self { service, needed: Vec::new(), all: Vec::new() };
        for (row, actions) in rows {
            for action in actions {
                let method = action.method.as_str();
                let paths = prefixes.iter().map(|prefix| operation(method, &format!("{prefix}{row}")));
                let paths: Vec<_> = paths.collect();
                routes.all.extend(paths.iter().cloned());
                if !["HEAD", "OPTIONS"].contains(&method) {
                    routes.needed.push(paths);
                }
            }
        }
        routes
    }

    fn of_area(area: &Area) -> Self {
        let service = match area.owner {
            Owner::Service(service) | Owner::Rewritten(service, ..) => Some(service),
            Owner::Page(_) => None,
        };
        Self::new(service, area.prefixes, area.rows.iter().map(|(row, actions)| (*row, *actions)))
    }

    /// The needed routes that `documented` lacks, by their first path.
    fn missing(&self, documented: &BTreeSet<Operation>) -> Vec<Operation> {
        let is_there = |paths: &&Vec<Operation>| paths.iter().any(|path| documented.contains(path));
        let may_be_unwritten = self.service.is_some_and(|service| UNWRITTEN.contains(&service));
        if may_be_unwritten && !self.needed.iter().any(|paths| is_there(&paths)) {
            return Vec::new();
        }
        self.needed
            .iter()
            .filter(|paths| !is_there(paths))
            .filter_map(|paths| paths.first().cloned())
            .collect()
    }
}

/// Every path item of every document, with the document's name.
fn path_items() -> impl Iterator<Item = (&'static str, &'static str, &'static Value)> {
    parsed().iter().flat_map(|(name, document)| {
        document["paths"].as_object().unwrap().iter().map(move |(path, item)| (*name, path.as_str(), item))
    })
}

/// What the documents tell about the main listener, or about those of single APIs: a path there names its servers.
fn documented(is_pinned: bool) -> BTreeSet<Operation> {
    let items = path_items().filter(|(_, _, item)| item.get("servers").is_some() == is_pinned);
    let methods = |item: &'static Value| METHODS.iter().filter(move |method| item.get(**method).is_some());
    items.flat_map(|(_, path, item)| methods(item).map(move |method| operation(method, path))).collect()
}

fn assert_same(routes: &[Routes], documented: &BTreeSet<Operation>) {
    let missing: Vec<_> = routes.iter().flat_map(|routes| routes.missing(documented)).collect();
    assert!(missing.is_empty(), "no document has {missing:#?}");
    let unknown: Vec<_> =
        documented.iter().filter(|own| !routes.iter().any(|routes| routes.all.contains(own))).collect();
    assert!(unknown.is_empty(), "the route table does not have {unknown:#?}");
}

#[test]
fn the_documents_have_every_route_of_the_main_listener_and_no_other() {
    let pages = PAGES.iter().map(|(path, _, actions)| (*path, *actions));
    let mut routes = vec![Routes::new(None, &[""], pages)];
    routes.extend(AREAS.iter().map(Routes::of_area));
    assert_same(&routes, &documented(false));
}

#[test]
fn the_documents_have_every_route_that_only_compat_listeners_have_and_no_other() {
    let apis = [Api::StackTach, Api::Panko, Api::SnapV1, Api::Fifo, Api::Annotate];
    let routes: Vec<_> = apis.into_iter().flat_map(pinned).map(Routes::of_area).collect();
    assert_same(&routes, &documented(true));
}

#[test]
fn every_document_can_be_read_and_is_openapi_3() {
    assert_eq!(parsed().len(), DOCUMENTS.len());
    for (name, document) in parsed() {
        let version = document["openapi"].as_str().unwrap_or_default();
        assert!(version.starts_with("3.1."), "{name}: {version}");
        assert!(document["info"]["title"].is_string(), "{name}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn check(name: &str, document: &Value, node: &Value) {
        if let Some(reference) = node.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').unwrap_or("elsewhere");
            assert!(document.pointer(pointer).is_some(), "{name}: {reference}");
        }
        match node {
            Value::Array(items) => items.iter().for_each(|item| check(name, document, item)),
            Value::Object(members) => members.values().for_each(|member| check(name, document, member)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    parsed().iter().for_each(|(name, document)| check(name, document, document));
}

#[test]
fn operations_have_a_name_of_their_own_a_summary_and_the_parts_of_their_path() {
    let mut names = BTreeSet::new();
    for (name, path, item) in path_items() {
        let (_, document) = parsed().iter().find(|(own, _)| *own == name).unwrap();
        for method in METHODS.iter().filter(|method| item.get(**method).is_some()) {
            let operation = &item[*method];
            assert!(operation["summary"].is_string(), "{name}: {method} {path} has no summary");
            let id = operation["operationId"].as_str().unwrap_or_default();
            assert!(
                names.insert((name, id)) && !id.is_empty(),
                "{name}: {method} {path}: operationId {id:?}"
            );
            let lists = [&item["parameters"], &operation["parameters"]];
            let parameters = lists.into_iter().filter_map(Value::as_array).flatten();
            let declared: BTreeSet<&str> = parameters
                .map(|given| match given["$ref"].as_str() {
                    Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
                    None => given,
                })
                .filter(|parameter| parameter["in"] == "path" && parameter["required"] == true)
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            let parts = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
            assert_eq!(declared, parts.collect::<BTreeSet<_>>(), "{name}: {method} {path}");
        }
    }
}
