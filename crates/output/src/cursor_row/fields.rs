//! The fields of a tick's output that leave as numbers: the one place that says what each is called, in which unit, whether a
//! replay is compared by it, and where its value comes from. LSL outlets, recordings, replay and the documents walk it.

use kalmind_types::{Component, Intent, TickOutput, lower_triangle_index};

/// Stands in the channel `newest` of a tick without samples: LSL stamps are positive.
pub const NO_NEWEST: f64 = -1.0;
/// Stands in the channel `seq` before the first tick.
pub const NO_SEQ: f64 = -1.0;

const WIDTHS: &str = "workspace widths";
const WIDTHS_A_SECOND: &str = "workspace widths/s";

/// What a field's channels are a measure of: how outlets scale and gate them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// Where the cursor is.
    Position,
    /// What moves it.
    Velocity,
    /// What is decoded.
    Intent,
    /// The state, by which a reader knows what the intent is worth.
    State,
    /// Anything else.
    Other,
}

/// Which channels a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// One, named as the field.
    One,
    /// One a component of the intent, in its unit: the field's name, then the component's.
    Components,
    /// One an entry of the lower triangle, row by row: the field's name, then the two components'.
    Covariance,
}

/// A field of the tick's output as rows of numbers hold it.
#[derive(Debug)]
pub(super) struct Field {
    label: &'static str,
    unit: &'static str,
    extent: Extent,
    pub(super) measure: Measure,
    /// Whether a replay has to give it again to the last bit, and it is hashed: all that does not depend on a clock.
    pub(super) compared: bool,
    /// Its value in a row; of the component or entry of this number.
    pub(super) value: fn(&RowSource<'_>, usize) -> f64,
}

/// What a row is made from.
#[derive(Debug)]
pub(super) struct RowSource<'a> {
    pub(super) output: &'a TickOutput,
    /// The tick, or the newest one where there is none now.
    pub(super) seq: Option<u64>,
    pub(super) age_ms: f64,
    /// Start of the run, in Unix seconds.
    pub(super) run: f64,
    /// Finite, whatever the output says.
    pub(super) position: [f64; 2],
    pub(super) velocity: [f64; 2],
    /// None where it is gated, too.
    pub(super) intent: Option<&'a Intent>,
}

impl RowSource<'_> {
    fn of_intent(&self, part: impl Fn(&Intent) -> &[f64], at: usize) -> f64 {
        self.intent.and_then(|intent| part(intent).get(at).copied()).unwrap_or(0.0)
    }
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

impl Field {
    const fn new(
        label: &'static str,
        unit: &'static str,
        measure: Measure,
        value: fn(&RowSource<'_>, usize) -> f64,
    ) -> Self {
        Self { label, unit, extent: Extent::One, measure, compared: true, value }
    }

    const fn over(self, extent: Extent) -> Self {
        Self { extent, ..self }
    }

    const fn of_a_clock(self) -> Self {
        Self { compared: false, ..self }
    }
}

/// Every field, in the usual order of its channels.
static FIELDS: [Field; 15] = [
    Field::new("x", WIDTHS, Measure::Position, |row, _| row.position[0]),
    Field::new("y", WIDTHS, Measure::Position, |row, _| row.position[1]),
    Field::new("vx", WIDTHS_A_SECOND, Measure::Velocity, |row, _| row.velocity[0]),
    Field::new("vy", WIDTHS_A_SECOND, Measure::Velocity, |row, _| row.velocity[1]),
    Field::new("intent", "", Measure::Intent, |row, at| row.of_intent(Intent::mean, at))
        .over(Extent::Components),
    Field::new("covariance", "", Measure::Intent, |row, at| row.of_intent(Intent::covariance, at))
        .over(Extent::Covariance),
    Field::new("intent_valid", "boolean", Measure::Intent, |row, _| flag(row.intent.is_some())),
    Field::new("click", "boolean", Measure::Other, |row, _| {
        flag(row.output.click.is_some_and(|click| click.pressed))
    }),
    Field::new("presses", "count", Measure::Other, |row, _| {
        row.output.click.map_or(0.0, |click| click.presses as f64)
    }),
    Field::new("state", "code", Measure::State, |row, _| f64::from(row.output.state.code())),
    Field::new("incomplete", "boolean", Measure::Other, |row, _| flag(row.output.incomplete)),
    Field::new("newest", "s", Measure::Other, |row, _| {
        row.output.newest.map_or(NO_NEWEST, |newest| newest.0)
    })
    .of_a_clock(),
    Field::new("age_ms", "ms", Measure::Other, |row, _| row.age_ms).of_a_clock(),
    Field::new("seq", "count", Measure::Other, |row, _| row.seq.map_or(NO_SEQ, |seq| seq as f64)),
    Field::new("run", "s", Measure::Other, |row, _| row.run).of_a_clock(),
];

/// A channel of the cursor stream.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    pub(crate) label: String,
    pub(crate) unit: String,
    pub(super) field: &'static Field,
    /// Which component or entry of the field.
    pub(super) at: usize,
}

impl Channel {
    /// Whether it says something of the intent.
    pub(crate) fn is_of_intent(&self) -> bool {
        self.field.measure == Measure::Intent
    }
}

/// Every channel of intents with these components, in the usual order.
pub(super) fn all_channels(components: &[Component]) -> Vec<Channel> {
    let mut channels = Vec::new();
    for field in &FIELDS {
        let mut add = |label: String, unit: String, at| channels.push(Channel { label, unit, field, at });
        match field.extent {
            Extent::One => add(field.label.to_owned(), field.unit.to_owned(), 0),
            Extent::Components => {
                for (at, component) in components.iter().enumerate() {
                    add(format!("{}_{}", field.label, component.name), component.unit.clone(), at);
                }
            }
            Extent::Covariance => {
                for (row, a) in components.iter().enumerate() {
                    for (column, b) in components.iter().enumerate().take(row + 1) {
                        let unit = match (a.unit.as_str(), b.unit.as_str()) {
                            ("", _) | (_, "") => String::new(),
                            (a, b) => format!("({a})*({b})"),
                        };
                        let label = format!("{}_{}_{}", field.label, a.name, b.name);
                        add(label, unit, lower_triangle_index(row, column));
                    }
                }
            }
        }
    }
    channels
}
