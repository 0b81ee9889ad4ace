//! Metadata at any depth: a JSON object as text, changed along a path without touching the rest.

use super::Refused;
use super::script::members;
use indexmap::IndexMap;
use serde_json::value::{RawValue, to_raw_value};
use std::collections::HashMap;

/// Longest path.
const MAX_DEPTH: usize = 64;

/// An object of which the untouched members stay as they were written.
type Object = IndexMap<String, Box<RawValue>>;

/// Stores each member of the object `body` below `path` in the object `metadata`. Missing levels are made; what is
/// no object and in the way is replaced.
///
/// # Errors
/// [`Refused::Invalid`] when the body is no object, or the result would be nested too deeply to be read again.
pub fn set_metadata(metadata: &str, path: &[String], body: &str) -> Result<String, Refused> {
    let additions = members(body)?;
    if path.len() > MAX_DEPTH {
        return Err(Refused::invalid("the path is too long"));
    }
    if additions.is_empty() {
        return Ok(metadata.to_owned());
    }
    let changed = set(metadata, path, &additions)?;
    match members(&changed) {
        Ok(_) => Ok(changed),
        Err(_) => Err(Refused::invalid("the metadata would be nested too deeply")),
    }
}

fn set(object: &str, path: &[String], additions: &IndexMap<String, &RawValue>) -> Result<String, Refused> {
    let mut object: Object = serde_json::from_str(object).unwrap_or_default();
    match path.split_first() {
        None => object.extend(additions.iter().map(|(name, value)| (name.clone(), (*value).to_owned()))),
        Some((key, rest)) => {
            let below = object.get(key).map_or("", |value| value.get());
            object.insert(key.clone(), raw(set(below, rest, additions)?)?);
        }
    }
    text(&object)
}

/// The value at `path`, if there is one.
#[must_use]
pub fn find_metadata(metadata: &str, path: &[String]) -> Option<String> {
    let Some((key, rest)) = path.split_first() else { return Some(metadata.to_owned()) };
    let object: HashMap<String, &RawValue> = serde_json::from_str(metadata).ok()?;
    find_metadata(object.get(key)?.get(), rest)
}

/// Removes the value at `path`; its parents stay. `None` when there is none.
#[must_use]
pub fn remove_metadata(metadata: &str, path: &[String]) -> Option<String> {
    let (key, rest) = path.split_first()?;
    let mut object: Object = serde_json::from_str(metadata).ok()?;
    if rest.is_empty() {
        object.shift_remove(key)?;
    } else {
        let below = remove_metadata(object.get(key)?.get(), rest)?;
        object.insert(key.clone(), raw(below).ok()?);
    }
    text(&object).ok()
}

fn raw(text: String) -> Result<Box<RawValue>, Refused> {
    RawValue::from_string(text).map_err(|cause| Refused::invalid(cause.to_string()))
}

fn text(object: &Object) -> Result<String, Refused> {
    let written = to_raw_value(object).map_err(|cause| Refused::invalid(cause.to_string()))?;
    Ok(String::from(Box::<str>::from(written)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn path(text: &str) -> Vec<String> {
        text.split('/').filter(|key| !key.is_empty()).map(str::to_owned).collect()
    }

    fn set_at(metadata: &str, at: &str, body: &str) -> Result<String, Refused> {
        set_metadata(metadata, &path(at), body)
    }

    #[test]
    fn members_go_below_the_path_and_the_rest_stays_as_written() {
        let stored =
            set_at(r#"{"a": 1.0, "n":12345678901234567890123}"#, "jingles", r#"{"notes":[{"text":"yap"}]}"#);
        assert_eq!(
            stored.unwrap(),
            r#"{"a":1.0,"n":12345678901234567890123,"jingles":{"notes":[{"text":"yap"}]}}"#
        );
        assert_eq!(
            set_at(r#"{"a":{"b":1}}"#, "a", r#"{"c":2,"d":null}"#).unwrap(),
            r#"{"a":{"b":1,"c":2,"d":null}}"#
        );
        assert_eq!(set_at("{}", "", r#"{"x":{}}"#).unwrap(), r#"{"x":{}}"#);
        assert_eq!(set_at("{}", "a/b/c", r#"{"d":[]}"#).unwrap(), r#"{"a":{"b":{"c":{"d":[]}}}}"#);
        assert_eq!(set_at("{}", "a", "{}").unwrap(), "{}");
        assert_eq!(set_at("{}", "a.b", r#"{"c.d":1}"#).unwrap(), r#"{"a.b":{"c.d":1}}"#);
    }

    #[test]
    fn what_is_in_the_way_is_replaced() {
        for scalar in ["1", "\"x\"", "null", "[1,2]", "true"] {
            let stored = set_at(&format!(r#"{{"a":{scalar}}}"#), "a/b", r#"{"c":1}"#);
            assert_eq!(stored.unwrap(), r#"{"a":{"b":{"c":1}}}"#, "{scalar}");
        }
    }

    #[test]
    fn bodies_that_are_no_object_and_depths_that_cannot_be_read_again_are_refused() {
        for body in ["", "1", "[]", "[{}]", "{", "\"a\""] {
            assert!(set_at("{}", "a", body).is_err(), "{body}");
        }
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100), "]".repeat(100));
        assert!(set_at("{}", "", &deep).is_ok());
        assert!(set_at("{}", &"k/".repeat(40), &deep).is_err());
        assert!(set_at("{}", &"k/".repeat(65), r#"{"a":1}"#).is_err());
    }

    #[test]
    fn removing_takes_the_leaf_or_the_subtree_and_leaves_the_parents() {
        let stored = r#"{"a":{"b":{"c":1}},"d":[1]}"#;
        assert_eq!(remove_metadata(stored, &path("a/b/c")).unwrap(), r#"{"a":{"b":{}},"d":[1]}"#);
        assert_eq!(remove_metadata(stored, &path("a/b")).unwrap(), r#"{"a":{},"d":[1]}"#);
        assert_eq!(remove_metadata(stored, &path("a")).unwrap(), r#"{"d":[1]}"#);
        for missing in ["x", "a/x", "a/b/c/d", "d/0", "d/x"] {
            assert_eq!(remove_metadata(stored, &path(missing)), None, "{missing}");
        }
    }

    #[test]
    fn a_value_is_found_at_its_path() {
        let stored = r#"{"a":{"b":null},"":{"ä b":1}}"#;
        assert_eq!(find_metadata(stored, &path("a")).unwrap(), r#"{"b":null}"#);
        assert_eq!(find_metadata(stored, &path("a/b")).unwrap(), "null");
        assert_eq!(find_metadata(stored, &["".to_owned(), "ä b".to_owned()]).unwrap(), "1");
        assert_eq!(find_metadata(stored, &path("a/b/c")), None);
    }

    proptest! {
        /// The same steps on a parsed tree give the same tree.
        #[test]
        fn setting_and_removing_agree_with_a_parsed_tree(
            steps in proptest::collection::vec((any::<bool>(), proptest::collection::vec("[a-c]", 0..4), 0..9_i64), 1..20),
        ) {
            let (mut text, mut tree) = ("{}".to_owned(), json!({}));
            for (is_removal, path, number) in steps {
                if is_removal {
                    let removed = remove_metadata(&text, &path);
                    let expected = remove_tree(&mut tree, &path);
                    prop_assert_eq!(removed.is_some(), expected);
                    text = removed.unwrap_or(text);
                } else {
                    text = set_metadata(&text, &path, &format!("{{\"c\":{number}}}")).unwrap();
                    set_tree(&mut tree, &path, number);
                }
                prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &tree);
            }
        }
    }

    fn set_tree(tree: &mut Value, path: &[String], number: i64) {
        let mut at = tree;
        for key in path {
            if !at.get(key).is_some_and(Value::is_object) {
                at[key] = json!({});
            }
            at = &mut at[key];
        }
        at["c"] = json!(number);
    }

    fn remove_tree(tree: &mut Value, path: &[String]) -> bool {
        let Some((last, parents)) = path.split_last() else { return false };
        let parent = parents.iter().try_fold(tree, |at, key| at.get_mut(key));
        parent.and_then(Value::as_object_mut).is_some_and(|object| object.shift_remove(last).is_some())
    }
}
