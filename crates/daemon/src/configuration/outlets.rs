//! `[output]`: where the cursor appears beside the server.

use kalmind_output::{Counts, CursorOutletConfig, PerChannel};
use kalmind_types::{Component, NumberFormat};
use toml::{Spanned, Value, de::DeValue};

use super::{
    check::Conflicts,
    reader::{Reader, quoted},
    rule::Rule,
    setting::Setting,
    table::{choices, table, table_of},
};

choices!(NumberFormat {
    Float32 => "float32",
    Double64 => "double64",
    Int8 => "int8",
    Int16 => "int16",
    Int32 => "int32",
});

choices!(Counts { Position => "position", Velocity => "velocity" });

impl Setting for PerChannel {
    fn kind() -> String {
        "number, or a list of one a channel".to_owned()
    }

    fn read(value: &Spanned<DeValue<'_>>, rule: &Rule, reader: &mut Reader) -> Option<Self> {
        match value.get_ref() {
            DeValue::Array(elements) => {
                let numbers = Vec::<f64>::read(value, rule, reader)?;
                // with one that was refused the others have no place
                (numbers.len() == elements.len()).then_some(Self::Each(numbers))
            }
            DeValue::Integer(_) | DeValue::Float(_) => f64::read(value, rule, reader).map(Self::Cursor),
            _ => reader.wrong_type(value, &Self::kind()),
        }
    }

    fn write(&self) -> Option<Value> {
        match self {
            Self::Cursor(number) => number.write(),
            Self::Each(numbers) => numbers.write(),
        }
    }
}

table_of! {
    /// What an outlet of the cursor sends.
    CursorOutletConfig {
        /// The stream's content type.
        content_type as "type": String = "Cursor".to_owned();
        /// The stream's number format. Whole numbers are rounded to the nearest one, halves away from zero; what they
        /// cannot hold becomes the nearest that they can.
        format: NumberFormat = NumberFormat::Double64;
        /// What the reader uses. `position`: vx and vy are what moved Kalmind's own cursor, 0 where it stands at the edge
        /// of its workspace. `velocity`: the reader keeps the position itself, so vx and vy ignore the edges; with whole
        /// numbers the rounding error is carried into the next sample, so that a slow movement is not lost.
        counts: Counts = Counts::Position;
        /// Factor for readers that expect other units: one number for x, y, vx and vy alone (the intent stays in the units it
        /// was fitted in), or a list with a factor for every channel of the outlet in its order; a negative one flips a
        /// channel, as for a screen whose y goes down.
        scale: PerChannel = PerChannel::Cursor(1.0), in Rule::Between(-1e9, 1e9);
        /// Added after the factor: one number to x and y alone, or a list with one for every channel.
        offset: PerChannel = PerChannel::Cursor(0.0), in Rule::Between(-1e9, 1e9);
        /// Labels of the channels to send, in their order.
        channels: Option<Vec<String>> = None, or "all channels";
        /// Whether intent, covariance and `intent_valid` are 0 while the state lets nothing move the cursor (STOP, stale
        /// input, fault, idle). Without the channel `state` a reader could not know, and would move on.
        gated: Option<bool> = None, or "true where `channels` leaves out `state`, else false";
    }
}

table! {
    /// An LSL outlet of the cursor, one sample a tick, and without ticks one every 100 ms with velocity 0; one table for each outlet. Without any there is one, named after
    /// the instance; `lsl = []` under `[output]` switches it off.
    pub struct CursorOutlet {
        /// The stream's name; no two outlets alike.
        name: Option<String> = None, or "the instance's name and \"-Cursor\"";
        /// The stream's source identifier, by which readers find it again after a restart.
        source_id: Option<String> = None, or "the stream's name in lower case";
        /// What is sent, and how.
        sent: CursorOutletConfig = CursorOutletConfig::default(), and part;
    }
}

table! {
    /// The LSL outlet of the events (text, JSON).
    pub struct EventsOutlet {
        /// The stream's name.
        name: Option<String> = None, or "the instance's name and \"-Events\"";
        /// The stream's source identifier.
        source_id: Option<String> = None, or "the stream's name in lower case";
    }
}

table! {
    /// Outputs in addition to the server.
    pub struct Output {
        /// The cursor over LSL.
        lsl: Vec<CursorOutlet> = vec![CursorOutlet::default()];
        /// The events over LSL.
        events: EventsOutlet = EventsOutlet::default();
    }
}

impl CursorOutlet {
    /// The outlet, given the instance's name.
    pub fn outlet(&self, instance: &str) -> CursorOutletConfig {
        CursorOutletConfig {
            name: self.name(instance),
            source_id: self.source_id(instance),
            ..self.sent.clone()
        }
    }

    /// The stream's name, given the instance's.
    pub fn name(&self, instance: &str) -> String {
        self.name.clone().unwrap_or_else(|| format!("{instance}-Cursor"))
    }

    /// The stream's source identifier, given the instance's name.
    pub fn source_id(&self, instance: &str) -> String {
        self.source_id.clone().unwrap_or_else(|| self.name(instance).to_lowercase())
    }
}

impl EventsOutlet {
    /// The stream's name, given the instance's.
    pub fn name(&self, instance: &str) -> String {
        self.name.clone().unwrap_or_else(|| format!("{instance}-Events"))
    }

    /// The stream's source identifier, given the instance's name.
    pub fn source_id(&self, instance: &str) -> String {
        self.source_id.clone().unwrap_or_else(|| self.name(instance).to_lowercase())
    }
}

/// The labels of the cursor outlet's channels, in their order.
pub(super) fn cursor_channels(components: &[Component]) -> Vec<String> {
    let names: Vec<&str> = components.iter().map(|component| component.name.as_str()).collect();
    let mut labels: Vec<String> = ["x", "y", "vx", "vy"].map(str::to_owned).to_vec();
    labels.extend(names.iter().map(|name| format!("intent_{name}")));
    for (row, one) in names.iter().enumerate() {
        labels.extend(names.iter().take(row + 1).map(|other| format!("covariance_{one}_{other}")));
    }
    let rest = ["intent_valid", "click", "presses", "state", "incomplete", "newest", "age_ms", "seq", "run"];
    labels.extend(rest.map(str::to_owned));
    labels
}

impl Conflicts<'_> {
    /// `[output]`; `all` are the channels that there are, and `model_decides` where a model says which of the intent's.
    pub(super) fn outlets(&mut self, output: &Output, instance: &str, all: &[String], model_decides: bool) {
        if !self.known(&["instance", "output", "intent"]) {
            return;
        }
        let outlets = &output.lsl;
        let mut named: Vec<(String, String)> = outlets
            .iter()
            .enumerate()
            .map(|(index, outlet)| (format!("output.lsl[{index}].name"), outlet.name(instance)))
            .collect();
        named.push(("output.events.name".to_owned(), output.events.name(instance)));
        self.duplicates("outlets", &named, "give each outlet a `name` of its own");
        let mut identified: Vec<(String, String)> = outlets
            .iter()
            .enumerate()
            .map(|(index, outlet)| (format!("output.lsl[{index}].source_id"), outlet.source_id(instance)))
            .collect();
        identified.push(("output.events.source_id".to_owned(), output.events.source_id(instance)));
        // outlets of the same name have been reported already
        identified.retain(|(path, _)| self.given(path));
        self.duplicates("source identifiers", &identified, "give each outlet a `source_id` of its own");
        for (index, outlet) in outlets.iter().enumerate() {
            let path = format!("output.lsl[{index}]");
            self.outlet_numbers(&path, &outlet.sent, all);
            let Some(channels) = &outlet.sent.channels else { continue };
            let place = format!("{path}.channels");
            if channels.is_empty() {
                let help = "leave `channels` out for all of them, or name at least one";
                self.at(
                    self.value(&place),
                    format!("`{place}` is empty"),
                    "an outlet without channels",
                    help,
                );
            }
            for (number, channel) in channels.iter().enumerate() {
                let element = format!("{place}[{number}]");
                let of_intent = channel.starts_with("intent_") || channel.starts_with("covariance_");
                let exists = all.contains(channel) || (of_intent && model_decides);
                if !exists {
                    let help = format!("one of: {}", all.join(", "));
                    self.at(
                        self.value(&element),
                        format!("{} is not a channel of the cursor", quoted(channel)),
                        "no such channel",
                        help,
                    );
                } else if channels.iter().take(number).any(|earlier| earlier == channel) {
                    let title = format!("`{place}` names {} twice", quoted(channel));
                    self.at(self.value(&element), title, "named before", "each channel at most once");
                }
            }
        }
    }

    /// Scale, offset and number format of the outlet at `path`; `all` are the channels that there are.
    fn outlet_numbers(&mut self, path: &str, outlet: &CursorOutletConfig, all: &[String]) {
        let channels = outlet.channels.as_deref().unwrap_or(all);
        let moves = |channel: &String| ["x", "y", "vx", "vy"].contains(&channel.as_str());
        let scale = format!("{path}.scale");
        match &outlet.scale {
            // exactly 0: everything would be 0
            PerChannel::Cursor(factor) if factor.abs() <= 0.0 => self.at(
                self.value(&scale),
                format!("`{scale}` is 0"),
                "x, y, vx and vy would always be 0",
                "any other factor; 1 leaves the values as they are",
            ),
            PerChannel::Each(factors) => {
                if let Some((_, channel)) = factors
                    .iter()
                    .zip(channels)
                    .find(|(factor, channel)| factor.abs() <= 0.0 && moves(channel))
                {
                    self.at(
                        self.value(&scale),
                        format!("`{scale}` is 0 for {channel}"),
                        "it would always be 0",
                        "any other factor; 1 leaves the values as they are",
                    );
                }
            }
            PerChannel::Cursor(_) => {}
        }
        for (key, numbers) in [("scale", &outlet.scale), ("offset", &outlet.offset)] {
            let PerChannel::Each(numbers) = numbers else { continue };
            if numbers.len() != channels.len() && self.known(&[&format!("{path}.channels")]) {
                let place = format!("{path}.{key}");
                let found =
                    format!("{} numbers, and the outlet has {} channels", numbers.len(), channels.len());
                let help = format!(
                    "one number for x, y, vx and vy, or one for each of: {}",
                    channels.iter().map(String::as_str).take(24).collect::<Vec<_>>().join(", ")
                );
                self.at(
                    self.value(&place),
                    format!("`{place}` does not fit the outlet's channels"),
                    &found,
                    help,
                );
            }
        }
        if let PerChannel::Each(offsets) = &outlet.offset
            && let Some((_, channel)) = offsets
                .iter()
                .zip(channels)
                .find(|(offset, channel)| offset.abs() > 0.0 && !["x", "y"].contains(&channel.as_str()))
        {
            self.at(
                self.value(&format!("{path}.offset")),
                format!("`{path}.offset` is not 0 for {channel}"),
                "a reader would go on moving while the cursor stands still",
                "offsets for x and y alone; 0 for every other channel",
            );
        }
        let too_large: &[&str] = match outlet.format {
            NumberFormat::Int8 | NumberFormat::Int16 => &["newest", "run", "seq"],
            NumberFormat::Int32 => &["newest"],
            _ => &[],
        };
        if let Some(channel) = channels.iter().find(|channel| too_large.contains(&channel.as_str())) {
            self.at(
                self.value(&format!("{path}.format")),
                format!("`{path}` sends `{channel}` in whole numbers that cannot hold it"),
                "stamps and counts grow without limit",
                "name the `channels` that the reader needs, without it, or use format = \"double64\"",
            );
        }
    }
}
