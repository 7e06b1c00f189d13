//! Finds a key that stands twice in one object of a JSON text. JSON readers take the last one in silence; in a file that steers
//! a cursor, two answers to one question are no answer.

use std::{collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// The first key that an object of the text has twice, at any depth; none where every key is unique or the text is no JSON
/// (its reader says what is wrong then).
pub(crate) fn repeated_key(text: &[u8]) -> Option<String> {
    let mut found = None;
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    // the error is our own as soon as a key is found, and the reader's business otherwise
    let _ends_early = Unique(&mut found).deserialize(&mut deserializer);
    found
}

/// A value whose objects have no key twice.
struct Unique<'a>(&'a mut Option<String>);

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut keys = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if keys.contains(&key) {
                *self.0 = Some(key.chars().take(60).collect());
                return Err(A::Error::custom("a key stands twice"));
            }
            keys.insert(key);
            map.next_value_seed(Unique(self.0))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while sequence.next_element_seed(Unique(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_stands_twice_is_found_at_any_depth_and_in_any_spelling() {
        assert_eq!(repeated_key(br#"{"a":1,"b":{"a":[1,2.5,null,true,"a"]},"c":[{"a":1},{"a":2}]}"#), None);
        assert_eq!(repeated_key(br#"{"a":1,"b":2,"a":3}"#).as_deref(), Some("a"));
        assert_eq!(repeated_key(br#"{"a":1,"\u0061":3}"#).as_deref(), Some("a"));
        assert_eq!(repeated_key(br#"{"a":[{"b":{"c":1,"c":1}}]}"#).as_deref(), Some("c"));
        assert_eq!(repeated_key(b"{\"a\":"), None);
    }
}
