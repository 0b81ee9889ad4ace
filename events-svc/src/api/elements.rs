//! Taking a list apart without reading its elements, and without believing its length: a small body can hold millions.

use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::cell::Cell;

/// Why a text could not be taken apart.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotElements {
    /// More elements than are taken.
    #[error("more than {0} elements")]
    TooMany(usize),
    /// Not a list, or not JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// The texts of a JSON list's elements, at most `most`; reading stops at the first one beyond.
///
/// # Errors
/// [`NotElements`].
pub(crate) fn elements(list: &[u8], most: usize) -> Result<Vec<&RawValue>, NotElements> {
    let is_over = Cell::new(false);
    let mut json = serde_json::Deserializer::from_slice(list);
    match (Bounded { most, is_over: &is_over }).deserialize(&mut json) {
        Err(_stopped) if is_over.get() => Err(NotElements::TooMany(most)),
        Err(cause) => Err(cause.into()),
        Ok(elements) => {
            json.end()?;
            Ok(elements)
        }
    }
}

struct Bounded<'c> {
    most: usize,
    is_over: &'c Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Vec<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            if elements.len() == self.most {
                self.is_over.set(true);
                return Err(A::Error::custom("too many"));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_taken_apart_up_to_the_bound() {
        let texts = |list: &str, most| -> Result<Vec<String>, NotElements> {
            Ok(elements(list.as_bytes(), most)?.iter().map(|element| element.get().to_owned()).collect())
        };
        assert_eq!(texts(r#" [ {"a": 1} ,2] "#, 2).unwrap(), [r#"{"a": 1}"#, "2"]);
        assert!(matches!(texts("[1,2,3", 2), Err(NotElements::TooMany(2))), "before the end is looked for");
        for broken in ["[1,2", "[1] 2", "{}", "", "null"] {
            assert!(matches!(texts(broken, 2), Err(NotElements::Json(_))), "{broken}");
        }
    }
}
