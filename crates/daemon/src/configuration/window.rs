//! `[[window]]`: windows at events, what is read from the samples around a marker.

use kalmind_acquisition::StreamSelector;
use kalmind_filter::{MeanSettings, READERS, ReaderSettings};
use toml::{Spanned, Value, de::DeValue};

use super::{
    check::Conflicts,
    input::Stream,
    reader::{Reader, quoted},
    rule::Rule,
    setting::Setting,
    stages::plain,
    table::table,
};

/// The most kinds of windows.
const MOST: usize = 8;

impl Setting for ReaderSettings {
    fn kind() -> String {
        let names: Vec<String> = READERS.iter().map(|reader| format!("\"{}\"", reader.name)).collect();
        format!("{}, or a table: `reader`, its name, and its settings", names.join(" or "))
    }

    fn read(value: &Spanned<DeValue<'_>>, _rule: &Rule, reader: &mut Reader) -> Option<Self> {
        let settings = match value.get_ref() {
            DeValue::String(name) => {
                let named = toml::Table::from_iter([("reader".to_owned(), Value::String(name.to_string()))]);
                Value::Table(named).try_into()
            }
            table @ DeValue::Table(_) => plain(table).and_then(Value::try_into),
            _ => return reader.wrong_type(value, &Self::kind()),
        };
        match settings {
            Ok(settings) => Some(settings),
            Err(error) => {
                let error: toml::de::Error = error;
                let objection = format!("is no reader: {}", error.message().replace('\n', " "));
                reader.refuse(value, &objection, &Self::kind())
            }
        }
    }

    fn write(&self) -> Option<Value> {
        match Value::try_from(self).ok()? {
            // one without settings is its name
            Value::Table(table) if table.len() == 1 => table.get("reader").cloned(),
            table => Some(table),
        }
    }
}

table! {
    /// A window at events; one table for each, 8 at most. A fixed number of a stream's samples, from the first one on that is
    /// stamped at a marker or `offset_ms` after it, from which something is read: an event of kind `window` tells what, or why
    /// not. At least one of `name`, `type`, `source_id`, `hostname` and `predicate` says which stream the markers come from; it
    /// may be that of `[task]`.
    pub struct Window {
        /// The name by which its events call it; must be unique.
        key: String = String::new(), in Rule::FileSafeName, and required;
        /// The key of the `[[stream]]` that it is cut from; of one with `stages`, what comes of them. It needs a rate.
        stream: String = String::new(), and required;
        /// What the marker stream is found by.
        selector: StreamSelector = StreamSelector::default(), and part;
        /// The texts of the markers at which it is cut. A stream of numbers is read by their text: `"1"` stands for 1 and 1.0.
        texts: Vec<String> = Vec::new(), and required;
        /// How long after the marker it begins, in milliseconds; negative: before it.
        offset_ms: f64 = 0.0, in Rule::Between(-5000.0, 10_000.0);
        /// Its length, in milliseconds, at most 10 s; at the stream's nominal rate that is a number of samples, which is fixed
        /// when the run starts.
        length_ms: Option<f64> = None, in Rule::Between(0.1, 10_000.0), or "`samples` says it";
        /// Its number of samples, in place of `length_ms`.
        samples: Option<usize> = None, in Rule::Between(1.0, 1_000_000.0), or "`length_ms` says it";
        /// What is read from it: the name of a reader (docs/windows.md lists them).
        reader: ReaderSettings = ReaderSettings::Mean(MeanSettings {});
    }
}

impl Conflicts<'_> {
    /// `[[window]]`, beside the streams.
    pub(super) fn windows(&mut self, windows: &[Window], streams: &[Stream]) {
        if windows.len() > MOST {
            let title = format!("{} windows are configured", windows.len());
            let help = format!("at most {MOST} tables [[window]]");
            self.at(self.key(&format!("window[{MOST}]")), title, "one too many", help);
        }
        let paths = (0..windows.len()).map(|index| format!("window[{index}]"));
        let known: Vec<(String, &Window)> =
            paths.zip(windows).filter(|(path, _)| self.known(&[path])).collect();
        let named: Vec<(String, String)> =
            known.iter().map(|(path, window)| (format!("{path}.key"), window.key.clone())).collect();
        self.duplicates("windows", &named, "give each window a `key` of its own");
        for (path, window) in known {
            self.selects(&path, &window.selector);
            if window.texts.is_empty() {
                let help = "the texts of the markers, as in texts = [\"flash\"]";
                self.at(
                    self.value(&format!("{path}.texts")),
                    format!("`{path}.texts` is empty"),
                    "no marker would do",
                    help,
                );
            }
            let length = format!("{path}.length_ms");
            match (window.length_ms, window.samples) {
                (Some(_), None) | (None, Some(_)) => {}
                (Some(_), Some(_)) => self.at(
                    self.key(&length),
                    format!("`{path}` has a `length_ms` and a number of `samples`"),
                    "these may contradict each other",
                    "leave one of them out",
                ),
                (None, None) => self.at(
                    self.key(&path),
                    format!("`{path}` does not say how long it is"),
                    "this window",
                    "add length_ms = ... or samples = ...",
                ),
            }
            if self.known(&["stream"]) && !streams.iter().any(|stream| stream.key() == window.stream) {
                let found = format!("there is no [[stream]] with the key {}", quoted(&window.stream));
                let likeness = |stream: &&Stream| strsim::jaro_winkler(stream.key(), &window.stream);
                let nearest = streams.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
                let help = nearest.map_or_else(String::new, |stream| {
                    let all: Vec<String> = streams.iter().map(|stream| quoted(stream.key())).collect();
                    format!("the nearest is {}; there are: {}", quoted(stream.key()), all.join(", "))
                });
                let title = format!("`{path}.stream` names no stream");
                self.at(self.value(&format!("{path}.stream")), title, &found, help);
            }
        }
    }
}
