//! `stages` of a `[[stream]]`: what is done to its samples before they are cut into bins.

use kalmind_signal::{STAGES, Signal, StageSettings};
use toml::{Spanned, Value, de::DeValue};

use super::{
    check::Conflicts,
    input::Stream,
    named_settings::{self, in_backticks},
    reader::{ALIKE, Reader, most_alike, quoted},
    rule::Rule,
    setting::Setting,
};

impl Setting for StageSettings {
    fn kind() -> String {
        "table: `stage`, its name, and its settings".to_owned()
    }

    fn read(value: &Spanned<DeValue<'_>>, _rule: &Rule, reader: &mut Reader) -> Option<Self> {
        let DeValue::Table(table) = value.get_ref() else {
            return reader.wrong_type(value, &Self::kind());
        };
        let Some((_, given)) = table.iter().find(|(key, _)| key.get_ref() == "stage") else {
            let title = format!("missing key `stage` in `{}`", reader.path());
            return reader.refuse_at(value.span(), title, "this key is required here", names());
        };
        let DeValue::String(name) = given.get_ref() else {
            let (title, found) = (format!("`{}.stage` has the wrong type", reader.path()), "not a text");
            return reader.refuse_at(given.span(), title, found, names());
        };
        let settings = table.iter().filter(|(key, _)| key.get_ref() != "stage");
        let settings = settings.map(|(key, value)| (key.clone(), value.clone())).collect();
        let settings = Spanned::new(value.span(), DeValue::Table(settings));
        match Self::named(name, toml::de::ValueDeserializer::from(settings)) {
            Some(Ok(stage)) => Some(stage),
            None => {
                let (title, found) =
                    (format!("`{}.stage` is no stage", reader.path()), format!("found {}", quoted(name)));
                reader.refuse_at(given.span(), title, found, format!("{}{}", meant_stage(name), names()))
            }
            Some(Err(error)) => {
                let example =
                    STAGES.iter().find(|entry| entry.name == &**name).map(|entry| (entry.example)());
                let example =
                    example.and_then(|example| example.write()).map_or_else(String::new, |it| it.to_string());
                named_settings::refuse(
                    reader,
                    value,
                    table,
                    (&format!("the stage `{name}`"), &example),
                    &error,
                )
            }
        }
    }

    fn write(&self) -> Option<Value> {
        Value::try_from(self).ok()
    }
}

/// What `stage` may be.
fn names() -> String {
    let names: Vec<&str> = STAGES.iter().map(|entry| entry.name).collect();
    format!("one of {} (docs/stages.md)", names.join(", "))
}

/// Which stage was probably meant by a name that is none: one of a name like it, or one that has a kind of such a name.
fn meant_stage(name: &str) -> String {
    let kinds = STAGES.iter().flat_map(|entry| {
        // what is said of a kind that does not exist names those that do
        let none = toml::Table::from_iter([("kind".to_owned(), Value::String(String::new()))]);
        let refused = StageSettings::named(entry.name, Value::Table(none)).and_then(Result::err);
        let message = refused.map_or_else(String::new, |error| error.message().to_owned());
        let kinds = message.starts_with("unknown variant").then(|| in_backticks(&message).split_off(1));
        let kinds = kinds.unwrap_or_default().into_iter().map(str::to_owned).collect::<Vec<_>>();
        kinds.into_iter().map(|kind| (kind.clone(), format!("`{}` with `kind = \"{kind}\"`", entry.name)))
    });
    let stages = STAGES.iter().map(|entry| (entry.name.to_owned(), format!("`{}`", entry.name)));
    let all: Vec<(String, String)> = stages.chain(kinds).collect();
    let nearest = most_alike(name, all.iter().map(|(known, _)| known.as_str()))
        .filter(|(likeness, _)| *likeness >= ALIKE);
    let said = nearest.and_then(|(_, nearest)| all.iter().find(|(known, _)| known == nearest));
    said.map_or_else(String::new, |(_, said)| format!("did you mean {said}? "))
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
