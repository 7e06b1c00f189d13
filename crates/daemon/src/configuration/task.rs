//! `[task]`: a task program by others, and the law by which its targets become labels.

use std::collections::BTreeMap;

use kalmind_acquisition::StreamSelector;
use kalmind_filter::{DecoderName, DecoderSpec, LabelKind, LabelLaw, Options};
use kalmind_types::{EventKind, OperatorAction, Phase, TaskBlock, TrialResult};
use serde_json::{Value as Json, json};

use super::{
    check::Conflicts,
    plane::TargetSource,
    reader::quoted,
    rule::Rule,
    table::{choices, table, table_of},
};

choices!(EventKind {
    Target => "target",
    Trial => "trial",
    TaskBlock => "task_block",
    Operator => "operator",
});

choices!(Phase { Start => "start", End => "end" });

choices!(TaskBlock {
    SignalCheck => "signal_check",
    OpenLoop => "open_loop",
    ClosedLoop => "closed_loop",
    Evaluation => "evaluation",
    Typing => "typing",
    Rest => "rest",
});

choices!(TrialResult { Acquired => "acquired", Timeout => "timeout", Incorrect => "incorrect" });

// those that a text of the table may stand for
choices!(OperatorAction: of_a_text());

fn of_a_text() -> impl Iterator<Item = (OperatorAction, &'static str)> {
    let by_text = |action: &&OperatorAction| **action != OperatorAction::MeasureArrival;
    OperatorAction::ALL.iter().filter(by_text).map(|action| (*action, action.name()))
}

table! {
    /// What each of the task program's own texts means: the text is the key, as in
    /// `"go_left" = { kind = "target", position = [0.2, 0.5], radius = 0.06 }`. A stream of numbers is read by their text:
    /// `"1"` stands for 1 and 1.0; if the stream has a steady rate, each change to a number other than 0 is a marker. Texts
    /// that are JSON objects in Kalmind's own schema need no entry.
    pub struct Marker {
        /// What happened.
        kind: EventKind = EventKind::Target, and required;
        /// `target`: its centre [x, y] in workspace widths; left out, the target is removed.
        position: Option<[f64; 2]> = None, in Rule::Between(-10.0, 10.0), or "no target";
        /// `target`: its radius in workspace widths, needed with `position`.
        radius: Option<f64> = None, in Rule::Between(0.000_001, 10.0), or "none";
        /// `trial`: its number.
        trial: Option<u32> = None, in Rule::Between(0.0, 4_294_967_295.0), or "required for that kind";
        /// `trial` and `task_block`: whether it starts or ends.
        phase: Option<Phase> = None, or "required for that kind";
        /// `trial`: how it ended.
        result: Option<TrialResult> = None, or "not stated";
        /// `task_block`: which one.
        block: Option<TaskBlock> = None, or "required for that kind";
        /// `operator`: what is asked for.
        action: Option<OperatorAction> = None, or "required for that kind";
    }
}

impl Marker {
    /// The event's `data`, in the schema that events have everywhere.
    pub fn data(&self) -> Json {
        match self.kind {
            EventKind::Target => json!({ "position": self.position, "radius": self.radius }),
            EventKind::Trial => json!({ "trial": self.trial, "phase": self.phase, "result": self.result }),
            EventKind::TaskBlock => json!({ "block": self.block, "phase": self.phase }),
            _ => json!({ "action": self.action }),
        }
    }
}

choices!(LabelKind { Limited => "limited", Unit => "unit", Vector => "vector" });

table_of! {
    /// How targets become labels for fitting: what the participant is taken to intend in each bin.
    LabelLaw {
        /// `limited`: the vector from cursor to target over `time_constant_s`, no longer than `max_speed`; `unit`: its
        /// direction, with length one; `vector`: as it stands, in workspace widths.
        kind: LabelKind = LabelKind::Limited;
        /// `limited`: time in which the intended velocity would reach the target, in seconds.
        time_constant_s: f64 = 0.4, in Rule::Between(0.001, 60.0);
        /// `limited`: largest intended speed, in workspace widths per second.
        max_speed: f64 = 0.6, in Rule::Between(0.001, 100.0);
        /// The beginning of each trial that is left out of fitting the measurement model (reaction time), in milliseconds.
        skip_ms: f64 = 250.0, in Rule::Between(0.0, 10_000.0);
        /// Time by which features lag behind the label that they are paired with, in milliseconds.
        lag_ms: f64 = 0.0, in Rule::Between(0.0, 2000.0);
    }
}

/// The decoder that is fitted where nobody says otherwise.
fn usual_decoder() -> DecoderSpec {
    DecoderSpec { decoder: DecoderName::KalmanSteady, options: Options::default() }
}

table! {
    /// The program that runs the task. Targets, trials, blocks and requests come from an LSL marker stream, which is read if
    /// at least one of `name`, `type`, `source_id`, `hostname` and `predicate` names it, or from `POST /v1/events`.
    pub struct Task {
        /// What the stream is found by; empty where there is none.
        selector: StreamSelector = StreamSelector::default(), and part;
        /// What is fitted when an `open_loop` block ends, as on the command line (`dkf-nw:form=robust`). Stated, it takes the place
        /// of the decoder of the presets that come with Kalmind.
        decoder: DecoderSpec = usual_decoder();
        /// Whether the task may let the cursor go on after the input was silent for longer than `[safety] auto_resume_ms`, by
        /// asking for `resume`, `control`, `calibrating` or a block. It never clears a STOP or a fault.
        may_resume: bool = false;
        /// What the program's own texts mean.
        markers: BTreeMap<String, Marker> = BTreeMap::new();
        /// Targets as numbers.
        targets_from: TargetSource = TargetSource::default();
        /// How targets become labels.
        label_law: LabelLaw = LabelLaw::default();
    }
}

impl Conflicts<'_> {
    /// `[task.markers]`.
    pub(super) fn markers(&mut self, markers: &BTreeMap<String, Marker>) {
        for (text, marker) in markers {
            let path = format!("task.markers.{text:?}");
            if !self.known(&[&path]) {
                continue;
            }
            let kind = marker.kind;
            let fits = |allowed: &[EventKind]| allowed.contains(&kind);
            let parts = [
                ("position", marker.position.is_some(), fits(&[EventKind::Target])),
                ("radius", marker.radius.is_some(), fits(&[EventKind::Target])),
                ("trial", marker.trial.is_some(), fits(&[EventKind::Trial])),
                ("phase", marker.phase.is_some(), fits(&[EventKind::Trial, EventKind::TaskBlock])),
                ("result", marker.result.is_some(), fits(&[EventKind::Trial])),
                ("block", marker.block.is_some(), fits(&[EventKind::TaskBlock])),
                ("action", marker.action.is_some(), fits(&[EventKind::Operator])),
            ];
            let allowed: Vec<&str> =
                parts.iter().filter(|(_, _, fits)| *fits).map(|(name, _, _)| *name).collect();
            for (name, given, fits) in parts {
                if given && !fits {
                    self.at(
                        self.places.get(&format!("{path}.{name}")).map_or(0..0, |place| place.key.clone()),
                        format!("`{name}` does not belong to a marker of this kind"),
                        "it would have no effect",
                        format!("this kind takes: {}", allowed.join(", ")),
                    );
                }
            }
            let needed: &[&str] = match kind {
                EventKind::Target if marker.position.is_some() => &["radius"],
                EventKind::Target => &[],
                EventKind::Trial => &["trial", "phase"],
                EventKind::TaskBlock => &["block", "phase"],
                _ => &["action"],
            };
            let missing: Vec<&str> = parts
                .iter()
                .filter(|(name, given, _)| !given && needed.contains(name))
                .map(|(name, ..)| *name)
                .collect();
            if !missing.is_empty() {
                let span = self.places.get(&path).map_or(0..0, |place| place.key.clone());
                let title = format!("the marker {} needs `{}`", quoted(text), missing.join("` and `"));
                self.at(
                    span,
                    title,
                    "incomplete",
                    format!("add {} = ... to it", missing.join(" = ... and ")),
                );
            }
        }
    }
}
