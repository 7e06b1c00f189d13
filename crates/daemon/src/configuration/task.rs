//! `[task]`: a task program by others, and the law by which its targets become labels.

use std::collections::BTreeMap;

use kalmind_acquisition::StreamSelector;
use kalmind_filter::{DecoderName, DecoderSpec, LabelKind, LabelLaw, Options};
use kalmind_types::{EventKind, TaskBlock};
use serde_json::{Map, Value as Json, json};

use super::{
    check::Conflicts,
    plane::TargetSource,
    reader::quoted,
    rule::Rule,
    table::{choices, table, table_of},
};

/// What a marker stands for; the part of [`EventKind`] that a task may cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MarkerKind {
    /// A target appears or is taken away.
    #[default]
    Target,
    /// A trial starts or ends.
    Trial,
    /// A task block starts or ends.
    TaskBlock,
    /// The state of the cursor is asked for.
    Operator,
}

choices!(MarkerKind {
    Target => "target",
    Trial => "trial",
    TaskBlock => "task_block",
    Operator => "operator",
});

impl From<MarkerKind> for EventKind {
    fn from(kind: MarkerKind) -> Self {
        match kind {
            MarkerKind::Target => Self::Target,
            MarkerKind::Trial => Self::Trial,
            MarkerKind::TaskBlock => Self::TaskBlock,
            MarkerKind::Operator => Self::Operator,
        }
    }
}

/// Which end of a trial or a task block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It starts.
    Start,
    /// It ends.
    End,
}

choices!(Phase { Start => "start", End => "end" });

choices!(TaskBlock {
    SignalCheck => "signal_check",
    OpenLoop => "open_loop",
    ClosedLoop => "closed_loop",
    Evaluation => "evaluation",
    Typing => "typing",
});

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialResult {
    /// The target was acquired.
    Acquired,
    /// The time was up.
    Timeout,
}

choices!(TrialResult { Acquired => "acquired", Timeout => "timeout" });

/// What a task asks of the cursor. A task never resumes what was stopped or broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatorAction {
    /// STOP.
    Stop,
    /// `idle`.
    Idle,
    /// `calibrating`.
    Calibrating,
    /// `control`.
    Control,
    /// Go on after a long silence of the input; see `[task] may_resume`.
    Resume,
}

choices!(OperatorAction {
    Stop => "stop",
    Idle => "idle",
    Calibrating => "calibrating",
    Control => "control",
    Resume => "resume",
});

table! {
    /// What each of the task program's own texts means: the text is the key, as in
    /// `"go_left" = { kind = "target", position = [0.2, 0.5], radius = 0.06 }`. A stream of numbers is read by their text:
    /// `"1"` stands for 1 and 1.0; if the stream has a steady rate, each change to a number other than 0 is a marker. Texts
    /// that are JSON objects in Kalmind's own schema need no entry.
    pub struct Marker {
        /// What happened.
        kind: MarkerKind = MarkerKind::Target, and required;
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
        let mut data = Map::new();
        match self.kind {
            MarkerKind::Target => {
                data.insert("position".to_owned(), json!(self.position));
                if let Some(radius) = self.radius {
                    data.insert("radius".to_owned(), json!(radius));
                }
            }
            MarkerKind::Trial => {
                if let Some(trial) = self.trial {
                    data.insert("trial".to_owned(), json!(trial));
                }
                data.insert("phase".to_owned(), json!(self.phase.map(Phase::name)));
                data.insert("result".to_owned(), json!(self.result.map(TrialResult::name)));
            }
            MarkerKind::TaskBlock => {
                data.insert("block".to_owned(), json!(self.block.map(TaskBlock::name)));
                data.insert("phase".to_owned(), json!(self.phase.map(Phase::name)));
            }
            MarkerKind::Operator => {
                data.insert("action".to_owned(), json!(self.action.map(OperatorAction::name)));
            }
        }
        Json::Object(data)
    }
}

impl Phase {
    /// The name by which events state it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::End => "end",
        }
    }
}

impl TrialResult {
    /// The name by which events state it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Acquired => "acquired",
            Self::Timeout => "timeout",
        }
    }
}

impl OperatorAction {
    /// The name by which events state it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Idle => "idle",
            Self::Calibrating => "calibrating",
            Self::Control => "control",
            Self::Resume => "resume",
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
        /// What is fitted when an `open_loop` block ends, as on the command line (`dkf-nw:form=robust`).
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
            let fits = |allowed: &[MarkerKind]| allowed.contains(&kind);
            let parts = [
                ("position", marker.position.is_some(), fits(&[MarkerKind::Target])),
                ("radius", marker.radius.is_some(), fits(&[MarkerKind::Target])),
                ("trial", marker.trial.is_some(), fits(&[MarkerKind::Trial])),
                ("phase", marker.phase.is_some(), fits(&[MarkerKind::Trial, MarkerKind::TaskBlock])),
                ("result", marker.result.is_some(), fits(&[MarkerKind::Trial])),
                ("block", marker.block.is_some(), fits(&[MarkerKind::TaskBlock])),
                ("action", marker.action.is_some(), fits(&[MarkerKind::Operator])),
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
                MarkerKind::Target if marker.position.is_some() => &["radius"],
                MarkerKind::Target => &[],
                MarkerKind::Trial => &["trial", "phase"],
                MarkerKind::TaskBlock => &["block", "phase"],
                MarkerKind::Operator => &["action"],
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
