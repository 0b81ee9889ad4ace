//! msgpack to and from JSON values. What JSON cannot say is refused; byte strings count as text, as old encoders
//! write them.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Deepest nesting taken, as deep as JSON is read.
const MAX_DEPTH: usize = 127;

/// `value` in msgpack.
#[must_use]
pub fn to_msgpack(value: &Value) -> Vec<u8> {
    // Writing a JSON value into memory cannot fail: its lengths are known and its keys are texts.
    rmp_serde::to_vec(value).unwrap_or_default()
}

/// Reads exactly one value.
///
/// # Errors
/// What is wrong with the bytes, for the client.
pub fn from_msgpack(bytes: &[u8]) -> Result<Value, String> {
    let refuse = |cause: &dyn fmt::Display| format!("the body is not valid msgpack: {cause}");
    let mut rest = bytes;
    let mut reader = rmp_serde::Deserializer::new(&mut rest);
    reader.set_max_depth(MAX_DEPTH);
    let value = AnyValue.deserialize(&mut reader).map_err(|cause| refuse(&cause))?;
    if rest.is_empty() { Ok(value) } else { Err(refuse(&"bytes after the value")) }
}

/// Reads whatever comes.
struct AnyValue;

impl<'de> DeserializeSeed<'de> for AnyValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value that JSON can say")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(flag.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Number::from_f64(number).map(Value::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Value, E> {
        let text = std::str::from_utf8(bytes).map_err(|_binary| E::custom("bytes that are no UTF-8 text"))?;
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key_seed(Self)? {
            let Value::String(key) = key else { return Err(A::Error::custom("a key that is no text")) };
            object.insert(key, members.next_value_seed(Self)?);
        }
        Ok(object.into())
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, _extension: D) -> Result<Value, D::Error> {
        Err(D::Error::custom("an extension type"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn values_have_the_bytes_of_the_msgpack_specification() {
        assert_eq!(
            to_msgpack(&json!({"a": [1, -1, null, true, "x"]})),
            b"\x81\xa1a\x95\x01\xff\xc0\xc3\xa1x"
        );
        assert_eq!(to_msgpack(&json!(1.5)), b"\xcb\x3f\xf8\0\0\0\0\0\0");
        assert_eq!(from_msgpack(b"\x81\xa1a\xc4\x01b"), Ok(json!({"a": "b"})));
        assert_eq!(from_msgpack(b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), Ok(json!(u64::MAX)));
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        let nested = [vec![0x91; 200], vec![0xc0]].concat();
        let cases: [&[u8]; 9] = [
            b"",
            b"\x81\x01\x01",
            b"\xcb\x7f\xf8\0\0\0\0\0\0",
            b"\xc4\x01\xff",
            b"\xd4\x01\x01",
            b"\xc1",
            b"\x01\x01",
            // An array that says it has 4294967295 items and has one.
            b"\xdd\xff\xff\xff\xff\x01",
            &nested,
        ];
        for bytes in cases {
            assert!(from_msgpack(bytes).is_err(), "{bytes:x?}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9..1e9_f64).prop_map(Value::from),
            "\\PC{0,9}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec(("\\PC{0,5}", inner), 0..5)
                    .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_values_come_back_as_they_were(value in any_json()) {
            prop_assert_eq!(from_msgpack(&to_msgpack(&value)), Ok(value));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = from_msgpack(&bytes);
        }
    }
}
