//! The API documents as a running product serves them, and answers compared with what they say.

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Members of a path item that are operations.
const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

/// All documents, and which of their answers have been seen.
pub(crate) struct Documents {
    url: String,
    client: Client,
    all: BTreeMap<String, Value>,
    seen: BTreeSet<String>,
}

impl Documents {
    /// Reads the documents of the product at `url`; every request will carry `headers`.
    pub(crate) async fn read(url: &str, headers: HeaderMap) -> Self {
        let client = Client::builder().default_headers(headers).build().unwrap();
        let get = async |path: &str| -> Value {
            client.get(format!("{url}{path}")).send().await.unwrap().json().await.unwrap()
        };
        let mut all = BTreeMap::new();
        for listed in get("/docs/openapi").await.as_array().unwrap() {
            let document = get(listed["url"].as_str().unwrap()).await;
            all.insert(listed["name"].as_str().unwrap().to_owned(), document);
        }
        assert!(all.contains_key("admin"), "the product holds no documents");
        Self { url: url.to_owned(), client, all, seen: BTreeSet::new() }
    }

    /// Name and text of every document.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.all.iter()
    }

    /// Asks without a body and checks the answer; its body.
    pub(crate) async fn ask(&mut self, operation: &str, target: &str, status: u16) -> Value {
        self.send(operation, target, status, |request| request).await
    }

    /// Sends JSON that the document allows, or that it forbids if the answer is to be 400, and checks the answer.
    pub(crate) async fn post(&mut self, operation: &str, target: &str, body: Value, status: u16) -> Value {
        let (document, own) = self.operation(operation);
        let schema = &resolved(document, &own["requestBody"])["content"]["application/json"]["schema"];
        let is_allowed = faults(document, schema, &body).is_empty();
        assert_eq!(is_allowed, status != 400, "{operation}: {body}");
        self.send(operation, target, status, |request| request.json(&body)).await
    }

    /// Asks as `operation` (`events-v1 GET /v1/events`) at `target`, a path with query or a whole URL, and checks
    /// the answer against the document, which must name `status`.
    pub(crate) async fn send(
        &mut self,
        operation: &str,
        target: &str,
        status: u16,
        dress: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Value {
        let method = operation.split(' ').nth(1).unwrap();
        let url = if target.starts_with('/') { format!("{}{target}", self.url) } else { target.to_owned() };
        let request = dress(self.client.request(method.parse().unwrap(), url));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::from_u16(status).unwrap(), "{operation} at {target}");
        let (document, own) = self.operation(operation);
        let described = resolved(document, &own["responses"][status.to_string()]);
        let body = check(document, described, answer, method == "HEAD").await;
        let body = body.unwrap_or_else(|fault| panic!("{operation} at {target}: {fault}"));
        self.seen.insert(format!("{operation} {status}"));
        body
    }

    /// The described answers of some documents that were not seen; `default` is for what has no place of its own.
    pub(crate) fn unseen(&self, names: &[&str]) -> Vec<String> {
        let mut unseen = Vec::new();
        for name in names {
            for (path, item) in self.all[*name]["paths"].as_object().unwrap() {
                for method in METHODS.iter().filter(|method| item.get(**method).is_some()) {
                    let statuses = item[method]["responses"].as_object().unwrap().keys();
                    let answers = statuses.filter(|status| *status != "default");
                    let answers =
                        answers.map(|status| format!("{name} {} {path} {status}", method.to_uppercase()));
                    unseen.extend(answers.filter(|answer| !self.seen.contains(answer)));
                }
            }
        }
        unseen
    }

    fn operation(&self, operation: &str) -> (&Value, &Value) {
        let [name, method, path] = operation.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{operation}: not a document, a method and a path")
        };
        let document = &self.all[name];
        let own = &document["paths"][path][method.to_lowercase()];
        assert!(own.is_object(), "{operation} is not described");
        (document, own)
    }
}

/// What a `$ref` points to.
fn resolved<'d>(document: &'d Value, node: &'d Value) -> &'d Value {
    let reference = node["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    reference.map_or(node, |pointer| document.pointer(pointer).unwrap())
}

/// The body, if headers, content type and body are as described.
async fn check(
    document: &Value,
    described: &Value,
    answer: Response,
    is_head: bool,
) -> Result<Value, String> {
    if !described["description"].is_string() {
        return Err(format!("{} is not described", answer.status()));
    }
    for (name, header) in described["headers"].as_object().unwrap_or(&Map::new()) {
        let header = resolved(document, header);
        match answer.headers().get(name) {
            Some(value) => {
                same(document, &header["schema"], &json!(value.to_str().unwrap()), name)?;
            }
            None if header["required"] == true => return Err(format!("the header {name} is missing")),
            None => {}
        }
    }
    let content_type = answer.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap().to_owned());
    let text = answer.text().await.unwrap();
    let Some(content) = described["content"].as_object() else {
        return if text.is_empty() { Ok(Value::Null) } else { Err(format!("a body came: {text}")) };
    };
    let content_type = content_type.unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default();
    let media = content.get(essence).ok_or(format!("{content_type} is not described"))?;
    let body = match essence {
        "application/json" if !is_head => {
            serde_json::from_str(&text).map_err(|cause| format!("{cause}: {text}"))?
        }
        _ => Value::String(text),
    };
    same(document, &media["schema"], &body, "the body")?;
    Ok(body)
}

fn same(document: &Value, schema: &Value, instance: &Value, what: &str) -> Result<(), String> {
    let faults = faults(document, schema, instance);
    if faults.is_empty() { Ok(()) } else { Err(format!("{what}: {faults:#?}\n{instance:#}")) }
}

/// What of `instance` the schema does not allow.
pub(crate) fn faults(document: &Value, schema: &Value, instance: &Value) -> Vec<String> {
    assert!(schema.is_object(), "no schema to compare with");
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    let validator =
        jsonschema::options().with_draft(jsonschema::Draft::Draft202012).should_validate_formats(true);
    let validator = validator.build(&whole).unwrap();
    validator.iter_errors(instance).map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
}

/// Every schema of a document that stands beside examples, with each of them and the place.
pub(crate) fn examples(document: &Value) -> Vec<(String, &Value, &Value)> {
    fn collect<'d>(place: &str, node: &'d Value, found: &mut Vec<(String, &'d Value, &'d Value)>) {
        match node {
            Value::Object(members) => {
                if let (Some(schema), Some(example)) = (members.get("schema"), members.get("example")) {
                    found.push((place.to_owned(), schema, example));
                }
                if let Some(Value::Array(examples)) = members.get("examples") {
                    found.extend(examples.iter().map(|example| (place.to_owned(), node, example)));
                }
                let inner =
                    members.iter().filter(|(name, _)| !["example", "examples"].contains(&name.as_str()));
                inner.for_each(|(name, member)| collect(&format!("{place}/{name}"), member, found));
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(n, item)| collect(&format!("{place}/{n}"), item, found));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = Vec::new();
    collect("", document, &mut found);
    found
}
