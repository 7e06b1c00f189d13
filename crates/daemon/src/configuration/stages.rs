//! `stages` of a `[[stream]]`: what is done to its samples before they are cut into bins.

use kalmind_signal::{STAGES, Signal, StageSettings};
use toml::{Spanned, Value, de::DeValue};

use super::{check::Conflicts, input::Stream, reader::Reader, rule::Rule, setting::Setting};

impl Setting for StageSettings {
    fn kind() -> String {
        "table: `stage`, its name, and its settings".to_owned()
    }

    fn read(value: &Spanned<DeValue<'_>>, _rule: &Rule, reader: &mut Reader) -> Option<Self> {
        let table = value.get_ref();
        if !matches!(table, DeValue::Table(_)) {
            return reader.wrong_type(value, &Self::kind());
        }
        let stage: Result<Self, _> = plain(table).and_then(Value::try_into);
        match stage {
            Ok(stage) => Some(stage),
            Err(error) => {
                let objection = format!("is no stage: {}", error.message().replace('\n', " "));
                let named = match table {
                    DeValue::Table(keys) => keys.get("stage").and_then(|name| name.get_ref().as_str()),
                    _ => None,
                };
                let examples = || STAGES.iter().map(|entry| (entry.example)());
                let meant = examples().find(|example| named == Some(example.name()));
                let help = meant.and_then(|example| example.write()).map_or_else(
                    || {
                        let names: Vec<&str> = examples().map(|example| example.name()).collect();
                        format!("`stage` with one of {}, and its settings (docs/stages.md)", names.join(", "))
                    },
                    |example| format!("settings as in {example}"),
                );
                reader.refuse(value, &objection, &help)
            }
        }
    }

    fn write(&self) -> Option<Value> {
        Value::try_from(self).ok()
    }
}

/// A value without its places. A number that does not fit its type is refused where it is used.
pub(super) fn plain(value: &DeValue<'_>) -> Result<Value, toml::de::Error> {
    let wrong = |error: &dyn core::fmt::Display| <toml::de::Error as serde::de::Error>::custom(error);
    Ok(match value {
        DeValue::String(text) => Value::String(text.clone().into_owned()),
        DeValue::Integer(integer) => Value::Integer(
            i64::from_str_radix(integer.as_str(), integer.radix()).map_err(|error| wrong(&error))?,
        ),
        DeValue::Float(float) => Value::Float(float.as_str().parse().map_err(|error| wrong(&error))?),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(date) => Value::Datetime(*date),
        DeValue::Array(elements) => {
            Value::Array(elements.iter().map(|element| plain(element.get_ref())).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => {
            let keys = table.iter();
            let keys =
                keys.map(|(key, value)| Ok((key.get_ref().clone().into_owned(), plain(value.get_ref())?)));
            Value::Table(keys.collect::<Result<_, toml::de::Error>>()?)
        }
    })
}

impl Conflicts<'_> {
    /// `stages` of each stream, as far as they can be checked without the stream.
    pub(super) fn stages(&mut self, streams: &[Stream]) {
        // what a stage refuses lies in its settings, whatever the stream
        let any = Signal::raw(1000.0, [(String::new(), String::new())]);
        for (index, stream) in streams.iter().enumerate() {
            let path = format!("stream[{index}]");
            if stream.stages.is_empty() || !self.known(&[&path]) {
                continue;
            }
            for (place, stage) in stream.stages.iter().enumerate() {
                let path = format!("{path}.stages[{place}]");
                if let Err(error) = stage.build(&any)
                    && !error.is_of_signal()
                {
                    let title = format!("`{path}` cannot be used: {error}");
                    self.at(self.value(&path), title, "here", "correct this setting of the stage");
                }
            }
            if !stream.required {
                self.at(
                    self.value(&format!("{path}.required")),
                    format!("`{path}` has stages and is not required"),
                    "filters are made for a stream that is there",
                    "leave `required` out, or `stages`",
                );
            }
        }
    }
}
