//! How one value of the file becomes one field: what it must look like, how it is read, how it is written.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use kalmind_filter::DecoderSpec;
use toml::{
    Spanned, Value,
    de::{DeTable, DeValue},
};

use super::{
    reader::Reader,
    rule::Rule,
    shape::{KeyInfo, Shape},
};

/// What a decoder looks like.
const WANTED_OF_A_DECODER: &str =
    "a decoder and its options as on the command line, as in \"dkf-nw:form=robust\"";

/// A type that a value of the file can become.
pub(super) trait Setting: Sized {
    /// What a value looks like, for errors and for the reference.
    fn kind() -> String;

    /// How it stands in a file.
    fn shape() -> Shape {
        Shape::Value
    }

    /// Reads `value`; what is wrong with it goes to `reader`.
    fn read(value: &Spanned<DeValue<'_>>, rule: &Rule, reader: &mut Reader) -> Option<Self>;

    /// The value to write; none where the key would be left out.
    fn write(&self) -> Option<Value>;
}

/// A type that is a table of the file, or a part of one.
pub(super) trait Table: Setting {
    /// Reads its keys among those of `table`; what is wrong with them goes to `reader`.
    fn read_keys(table: &DeTable<'_>, reader: &mut Reader) -> Self;
}

/// The value of a key; none where it is left out, or wrong and reported.
pub(super) fn read_key<T: Setting>(
    reader: &mut Reader,
    table: &DeTable<'_>,
    info: &'static KeyInfo,
) -> Option<T> {
    let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref() == info.name) else {
        if info.required {
            reader.report_missing(info);
        }
        return None;
    };
    let outer = reader.enter(&format!(".{}", info.name), key.span(), value.span());
    let read = T::read(value, &(info.rule)(), reader);
    reader.leave(outer);
    read
}

impl<T: Setting> Setting for Option<T> {
    fn kind() -> String {
        T::kind()
    }

    fn shape() -> Shape {
        T::shape()
    }

    fn read(value: &Spanned<DeValue<'_>>, rule: &Rule, reader: &mut Reader) -> Option<Self> {
        T::read(value, rule, reader).map(Some)
    }

    fn write(&self) -> Option<Value> {
        self.as_ref().and_then(T::write)
    }
}

impl Setting for bool {
    fn kind() -> String {
        "true or false".to_owned()
    }

    fn read(value: &Spanned<DeValue<'_>>, _rule: &Rule, reader: &mut Reader) -> Option<Self> {
        let DeValue::Boolean(flag) = value.get_ref() else {
            return reader.wrong_type(value, &Self::kind());
        };
        Some(*flag)
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Boolean(*self))
    }
}

impl Setting for f64 {
    fn kind() -> String {
        "number".to_owned()
    }

    fn read(value: &Spanned<DeValue<'_>>, rule: &Rule, reader: &mut Reader) -> Option<Self> {
        let number = match value.get_ref() {
            DeValue::Integer(integer) => {
                i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|integer| integer as Self)
            }
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => return reader.wrong_type(value, &Self::kind()),
        };
        match number.filter(|number: &Self| number.is_finite()) {
            Some(number) => reader.number_in_range(value, rule, number).then_some(number),
            None => reader.refuse(value, "is not a finite number", &rule.wanted(reader.key_name())),
        }
    }

    fn write(&self) -> Option<Value> {
        let whole = *self as i64;
        let exact = self.fract().abs().to_bits() == 0 && self.abs() < 1e15;
        Some(if exact { Value::Integer(whole) } else { Value::Float(*self) })
    }
}

macro_rules! whole_number {
    ($($type:ty),*) => {$(
        impl Setting for $type {
            fn kind() -> String {
                "whole number".to_owned()
            }

            fn read(value: &Spanned<DeValue<'_>>, rule: &Rule, reader: &mut Reader) -> Option<Self> {
                let DeValue::Integer(integer) = value.get_ref() else {
                    return reader.wrong_type(value, &Self::kind());
                };
                match i64::from_str_radix(integer.as_str(), integer.radix()) {
                    Ok(whole) if !reader.number_in_range(value, rule, whole as f64) => None,
                    Ok(whole) if Self::try_from(whole).is_ok() => Self::try_from(whole).ok(),
                    _ => reader.refuse(value, "is out of range", &rule.wanted(reader.key_name())),
                }
            }

            fn write(&self) -> Option<Value> {
                i64::try_from(*self).ok().map(Value::Integer)
            }
        }
    )*};
}

whole_number!(u16, u32, usize);

impl Setting for String {
    fn kind() -> String {
        "text".to_owned()
    }

    fn read(value: &Spanned<DeValue<'_>>, rule: &Rule, reader: &mut Reader) -> Option<Self> {
        let DeValue::String(text) = value.get_ref() else {
            return reader.wrong_type(value, &Self::kind());
        };
        match rule.objection_to_text(text) {
            Some(objection) => reader.refuse(value, &objection, &rule.wanted_of_text()),
            None => Some(text.clone().into_owned()),
        }
    }

    fn write(&self) -> Option<Value> {
        Some(Value::String(self.clone()))
    }
}

impl Setting for PathBuf {
    fn kind() -> String {
        "path".to_owned()
    }

    fn read(value: &Spanned<DeValue<'_>>, rule: &Rule, reader: &mut Reader) -> Option<Self> {
        String::read(value, rule, reader).map(Self::from)
    }

    fn write(&self) -> Option<Value> {
        Some(Value::String(self.display().to_string()))
    }
}

impl Setting for SocketAddr {
    fn kind() -> String {
        "address and port".to_owned()
    }

    fn read(value: &Spanned<DeValue<'_>>, _rule: &Rule, reader: &mut Reader) -> Option<Self> {
        let DeValue::String(text) = value.get_ref() else {
            return reader.wrong_type(value, &Self::kind());
        };
        match text.parse() {
            Ok(address) => Some(address),
            Err(_) => reader.refuse(
                value,
                "is not an address with a port",
                "an IP address, a colon and a port, as in \"127.0.0.1:8765\" or \"[::1]:8765\"",
            ),
        }
    }

    fn write(&self) -> Option<Value> {
        Some(Value::String(self.to_string()))
    }
}

impl Setting for DecoderSpec {
    fn kind() -> String {
        format!("text, {WANTED_OF_A_DECODER}")
    }

    fn read(value: &Spanned<DeValue<'_>>, _rule: &Rule, reader: &mut Reader) -> Option<Self> {
        let DeValue::String(text) = value.get_ref() else {
            return reader.wrong_type(value, "text");
        };
        let objection = Rule::Any.objection_to_text(text);
        let parsed =
            objection.map_or_else(|| text.parse().map_err(|error| format!("cannot be fitted: {error}")), Err);
        match parsed {
            Ok(decoder) => Some(decoder),
            Err(objection) => reader.refuse(value, &objection, WANTED_OF_A_DECODER),
        }
    }

    fn write(&self) -> Option<Value> {
        Some(Value::String(self.to_string()))
    }
}

impl<T: Setting + Clone> Setting for [T; 2] {
    fn kind() -> String {
        format!("two values ({})", T::kind())
    }

    fn read(value: &Spanned<DeValue<'_>>, rule: &Rule, reader: &mut Reader) -> Option<Self> {
        let DeValue::Array(elements) = value.get_ref() else {
            return reader.wrong_type(value, &Self::kind());
        };
        let [first, second] = elements.as_ref() else {
            let objection = format!("has {} values", elements.len());
            return reader.refuse(value, &objection, "exactly two values, as in [x, y]");
        };
        let (first, second) = (T::read(first, rule, reader), T::read(second, rule, reader));
        Some([first?, second?])
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Array(self.iter().filter_map(T::write).collect()))
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn kind() -> String {
        format!("list ({})", T::kind())
    }

    fn shape() -> Shape {
        match T::shape() {
            Shape::Table(table) => Shape::Tables(table),
            _ => Shape::Value,
        }
    }

    fn read(value: &Spanned<DeValue<'_>>, rule: &Rule, reader: &mut Reader) -> Option<Self> {
        let DeValue::Array(elements) = value.get_ref() else {
            if matches!((T::shape(), value.get_ref()), (Shape::Table(_), DeValue::Table(_))) {
                let help = format!("double brackets, because there may be several: [[{}]]", reader.path());
                return reader.refuse(value, "is a single table", &help);
            }
            return reader.wrong_type(value, &Self::kind());
        };
        let mut read = Self::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            let outer = reader.enter(&format!("[{index}]"), element.span(), element.span());
            read.extend(T::read(element, rule, reader));
            reader.leave(outer);
        }
        Some(read)
    }

    fn write(&self) -> Option<Value> {
        Some(Value::Array(self.iter().filter_map(T::write).collect()))
    }
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    fn kind() -> String {
        "table".to_owned()
    }

    fn shape() -> Shape {
        match T::shape() {
            Shape::Table(table) => Shape::Map(table),
            _ => Shape::Value,
        }
    }

    fn read(value: &Spanned<DeValue<'_>>, rule: &Rule, reader: &mut Reader) -> Option<Self> {
        let DeValue::Table(table) = value.get_ref() else {
            return reader.wrong_type(value, &Self::kind());
        };
        let mut read = Self::new();
        for (key, element) in table {
            let outer = reader.enter(&format!(".{:?}", key.get_ref()), key.span(), element.span());
            if let Some(element) = T::read(element, rule, reader) {
                read.insert(key.get_ref().clone().into_owned(), element);
            }
            reader.leave(outer);
        }
        Some(read)
    }

    fn write(&self) -> Option<Value> {
        if self.is_empty() {
            return None;
        }
        Some(Value::Table(
            self.iter().filter_map(|(key, element)| Some((key.clone(), element.write()?))).collect(),
        ))
    }
}
