//! `[decoder]`, `[intent]`, `[cursor]`, `[safety]`: from features to a cursor.

use std::path::PathBuf;

use kalmind_types::{Component, MAX_COMPONENTS};

use super::{
    check::Conflicts,
    plane::{Gain, PositionSource},
    reader::quoted,
    rule::Rule,
    table::{table, table_of},
};

table! {
    /// The fitted model that decodes.
    pub struct Decoder {
        /// The model file; a relative path starts at the folder of this configuration. Without one Kalmind publishes
        /// no intent until a model is fitted.
        model: Option<PathBuf> = None, or "none";
        /// Whether a guard in front of the decoder corrects channels that shift, die or turn to noise. A model fitted with
        /// the option `guard` keeps its own setting; models without channel statistics run without a guard.
        guard: bool = true;
        /// Whether signals that no longer look like those the decoder was trained on (constant channels, a changed variance,
        /// channels that no longer covary) lead to `stale` instead of moving the cursor. Channels that the guard corrected
        /// or masked then count towards `max_masked`.
        plausibility: bool = true;
        /// How long the decoder may be unable to use the features before the cursor stands still as `stale`, in
        /// milliseconds.
        fallback_stale_ms: f64 = 300.0, in Rule::Between(1.0, 60_000.0);
    }
}

table_of! {
    /// A component of the intent, in the order of the decoder's state.
    Component {
        /// Its name, as clients and LSL channels show it.
        name: String = String::new(), and required;
        /// The unit it was fitted in; empty where the model states none.
        unit: String = "workspace widths/s".to_owned(), in Rule::Unit;
    }
}

table! {
    /// What is decoded. Fixes the components before there is a model, so that clients and outlets know their channels from
    /// the start. A model whose components differ from those given here is refused.
    pub struct Intent {
        /// The components, 1 to 8, no two of the same name. Left out, they are the model's; without a model, vx and vy.
        components: Vec<Component> = vec![
            Component { name: "vx".to_owned(), unit: "workspace widths/s".to_owned() },
            Component { name: "vy".to_owned(), unit: "workspace widths/s".to_owned() },
        ];
    }
}

table! {
    /// How intent moves the cursor. Lengths are in workspace widths.
    pub struct Cursor {
        /// Cursor speed in workspace widths per second for one unit of intent: one number, or one each for x and y; a
        /// negative one flips the axis.
        gain: Gain = Gain([1.0; 2]), in Rule::Between(-1e6, 1e6);
        /// Time constant of the low-pass over velocity, in milliseconds; 0 for none.
        smoothing_ms: f64 = 0.0, in Rule::Between(0.0, 10_000.0);
        /// Speed limit, in workspace widths per second.
        max_speed: f64 = 1.0, in Rule::Between(0.001, 100.0);
        /// Height of the workspace, in workspace widths.
        height: f64 = 1.0, in Rule::Between(0.01, 100.0);
        /// Where the cursor starts: [x, y] with x from 0 to 1 and y, upwards, from 0 to `height`.
        start_position: Option<[f64; 2]> = None, in Rule::Between(0.0, 100.0), or "the centre of the workspace";
        /// Names of the components of the intent that move x and y. Left out, and with a model that has no vx and vy, its
        /// first two.
        components: [String; 2] = ["vx".to_owned(), "vy".to_owned()];
        /// Time that the gain takes from zero to full after a restart or a resume, in milliseconds.
        ramp_ms: f64 = 300.0, in Rule::Between(0.0, 60_000.0);
        /// Where the cursor stands, where another program keeps it.
        position_from: PositionSource = PositionSource::default();
    }
}

impl Cursor {
    /// Where the cursor starts, in workspace widths.
    pub fn start_position(&self) -> [f64; 2] {
        self.start_position.unwrap_or([0.5, 0.5 * self.height])
    }
}

table! {
    /// When the cursor stops by itself, and when it may go on by itself.
    pub struct Safety {
        /// Time without a complete bin after which the cursor stands still as `stale`, in milliseconds.
        stale_after_ms: Option<f64> = None, in Rule::Between(1.0, 60_000.0), or "max(100, 3 bins), longer by the delay of `stages`, and between two chunks 1.5 times the longest interval at which samples arrive";
        /// A `stale` state shorter than this ends by itself, in milliseconds; a longer one waits for the operator. A sender
        /// that is restarted is away for 2 to 5 s. Choose longer only where nobody can be hurt: simulation, replay,
        /// development.
        auto_resume_ms: f64 = 2000.0, in Rule::Between(0.0, 3_600_000.0);
        /// Whether the decoder may control the cursor without a confirmation although samples arrive more than 150 ms late
        /// (a sender that pushes long chunks): for runs without an operator.
        allow_slow_input: bool = false;
    }
}

impl Safety {
    /// Time without a complete bin after which the cursor stands still, in milliseconds, given the bin width and how long the
    /// streams' stages keep samples at most: they may give them block by block.
    pub fn stale_after_ms(&self, bin_ms: f64, stages_ms: f64) -> f64 {
        self.stale_after_ms.unwrap_or_else(|| (3.0 * bin_ms).max(100.0) + stages_ms)
    }
}

impl Conflicts<'_> {
    /// `[intent]` and `[cursor]`; `model_decides` where the components are those of a model, which is not read here.
    pub(super) fn intent_and_cursor(&mut self, intent: &Intent, cursor: &Cursor, model_decides: bool) {
        let components = &intent.components;
        if !self.known(&["intent"]) {
            return;
        }
        if !(1..=MAX_COMPONENTS).contains(&components.len()) {
            let title = format!("`intent.components` has {} components", components.len());
            let help = format!("from 1 to {MAX_COMPONENTS} components");
            self.at(self.value("intent.components"), title, "", help);
        }
        let named: Vec<(String, String)> = components
            .iter()
            .enumerate()
            .map(|(index, component)| (format!("intent.components[{index}].name"), component.name.clone()))
            .collect();
        self.duplicates("components", &named, "give each component a name of its own");

        if !self.known(&["cursor"]) {
            return;
        }
        for (index, name) in cursor.components.iter().enumerate() {
            if !model_decides && !components.iter().any(|component| component.name == *name) {
                let known: Vec<&str> = components.iter().map(|component| component.name.as_str()).collect();
                let axis = ["x", "y"][index];
                self.at(
                    self.value("cursor.components"),
                    format!("`cursor.components` moves {axis} by {}, which is not decoded", quoted(name)),
                    "no such component of the intent",
                    format!("two of [intent] components: {}", known.join(", ")),
                );
            }
        }
        if cursor.components[0] == cursor.components[1] {
            self.at(
                self.value("cursor.components"),
                "`cursor.components` names the same component twice",
                "x and y would move together",
                "two different components",
            );
        }
        let [x, y] = cursor.start_position();
        if !(0.0..=1.0).contains(&x) || !(0.0..=cursor.height).contains(&y) {
            self.at(
                self.value("cursor.start_position"),
                "`cursor.start_position` lies outside the workspace",
                "the cursor cannot start there",
                format!("x from 0 to 1, y from 0 to {} (`height`)", cursor.height),
            );
        }
    }

    /// `[safety]`, beside the bins.
    pub(super) fn safety(&mut self, safety: &Safety, bin_ms: f64) {
        if let Some(stale_after_ms) = safety.stale_after_ms
            && stale_after_ms <= bin_ms
            && self.known(&["bins.bin_ms", "stream"])
        {
            self.at(
                self.value("safety.stale_after_ms"),
                format!("`safety.stale_after_ms` = {stale_after_ms} is not longer than a bin"),
                "every tick would be stale",
                format!("more than bin_ms = {bin_ms}; the default is max(100, 3 bins)"),
            );
        }
    }
}
