//! A session that walks through its states as a real one does, with scores and verdicts made up: what the page that runs a
//! session is looked at and tested with.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kalmind_output::{Clock, ControlRefused, Controls as _, Hub};
use kalmind_types::{Actor, Mode, OutputState};
use serde_json::{Value, json};

use crate::fake::FakeControls;

/// Kind, title, instruction, task, seconds, rest before it in seconds, assistance, acquired a second of it.
type Block = (&'static str, &'static str, &'static str, Option<&'static str>, f64, f64, f64, f64);

const QUICK: [Block; 4] = [
    ("signal_check", "Signal check", "Sit still and look ahead", None, 60.0, 0.0, 0.0, 0.0),
    (
        "open_loop",
        "Watch and imagine",
        "Imagine moving to the target",
        Some("radial-8"),
        120.0,
        60.0,
        0.0,
        0.6,
    ),
    ("closed_loop", "Try with help", "Move to the target", Some("radial-8"), 120.0, 60.0, 0.6, 0.6),
    ("evaluation", "On your own", "Move to the target", Some("grid"), 120.0, 60.0, 0.0, 0.6),
];
const LONG: [Block; 3] = [
    ("open_loop", "Watch and imagine", "Imagine moving to the target", Some("radial-8"), 60.0, 0.0, 0.0, 0.5),
    ("closed_loop", "Try with help", "Move to the target", Some("radial-8"), 60.0, 10.0, 0.6, 0.5),
    ("closed_loop", "Try with less help", "Move to the target", Some("radial-8"), 60.0, 10.0, 0.3, 0.5),
];
const PRESETS: [(&str, &str, &str, &[Block]); 2] = [
    ("quick-start", "Quick start", "Calibrates in a minute and lets the participant try.", &QUICK),
    ("rapid-calibration", "Rapid calibration", "Three minutes of calibration, help fades.", &LONG),
];
/// Unassisted targets that the verdict takes.
const NEEDED: u64 = 8;

/// The session.
#[derive(Debug)]
pub struct Walk {
    hub: Hub,
    clock: Clock,
    course: Mutex<Course>,
}

#[derive(Clone, Debug)]
struct Course {
    state: &'static str,
    why_paused: String,
    participant: Option<String>,
    operator: Option<String>,
    console: Option<String>,
    preset: Option<usize>,
    block: usize,
    elapsed: f64,
    rest: f64,
    ended: Vec<(&'static str, Value)>,
    options: [f64; 4],
    overridden_by: Option<String>,
    notes: u64,
    called: Option<f64>,
    /// When it was looked at last.
    looked: f64,
    /// When it was started: a stop from before may be shown for a moment.
    started: f64,
}

impl Walk {
    /// One that is closed; from now on `controls` show it, and what they are asked goes to it.
    #[must_use]
    pub fn begin(hub: &Hub, controls: &Arc<FakeControls>) -> Arc<Self> {
        let clock = hub.clock().clone();
        let course = Course {
            state: "closed",
            why_paused: String::new(),
            participant: None,
            operator: None,
            console: None,
            preset: None,
            block: 0,
            elapsed: 0.0,
            rest: 0.0,
            ended: Vec::new(),
            options: [1.0, 60.0, 1.0, 1.0],
            overridden_by: None,
            notes: 0,
            called: None,
            looked: clock.lsl().0,
            started: 0.0,
        };
        let walk = Arc::new(Self { hub: hub.clone(), clock, course: Mutex::new(course) });
        controls.session.show(walk.course().status());
        let (asked, answering) = (Arc::clone(&walk), Arc::downgrade(controls));
        controls.session.answer(Arc::new(move |request, by| {
            let controls = answering
                .upgrade()
                .ok_or_else(|| ControlRefused::Busy(String::from("the daemon is ending")))?;
            let status = asked.ask(request, by, &controls)?;
            controls.session.show(status.clone());
            Ok(status)
        }));
        walk
    }

    /// Lets time pass; what it shows now.
    #[must_use]
    pub fn look(&self) -> Value {
        let output = self.hub.state().0;
        let mut course = self.course();
        course.pass(self.clock.lsl().0, output);
        course.status()
    }

    fn ask(&self, asked: &Value, by: Actor, controls: &FakeControls) -> Result<Value, ControlRefused> {
        let mut course = self.course();
        let text = |value: &Value| value.as_str().map(String::from);
        let (person, request) = (&asked["person"], &asked["request"]);
        let action = request["action"].as_str().unwrap_or_default();
        let in_charge = course.console == text(&person["console"]) || by == Actor::Client;
        if !in_charge && course.console.is_some() && !["take_over", "answer_call", "note"].contains(&action) {
            return Err(ControlRefused::NotNow(String::from("somebody else is in charge: take over first")));
        }
        if let Some(why) = course.why_not(action) {
            return Err(ControlRefused::NotNow(String::from(why)));
        }
        match action {
            "open" => {
                let place = PRESETS.iter().position(|(name, ..)| request["preset"] == *name);
                let no_preset = || ControlRefused::Invalid(String::from("there is no such preset"));
                let fresh = Course {
                    state: "ready",
                    preset: Some(place.ok_or_else(no_preset)?),
                    participant: text(&request["participant"]),
                    operator: text(&person["operator"]),
                    console: text(&person["console"]),
                    block: 0,
                    elapsed: 0.0,
                    ended: Vec::new(),
                    overridden_by: None,
                    ..course.clone()
                };
                *course = fresh;
                course.rest = course.blocks()[0].5;
            }
            "start" => {
                course.state = "running";
                course.rest = 0.0;
                course.started = self.clock.lsl().0;
                // a made-up daemon has no task: the decoder moves its cursor in every block
                controls.request(Mode::Control, true, by, &[], None)?;
            }
            "pause" => course.pause("You paused the session. Continue when the participant is ready."),
            "skip" => course.end_block("skipped"),
            "repeat" => {
                course.elapsed = 0.0;
                course.state = "running";
            }
            "end" => course.state = "done",
            "options" => {
                for (place, name) in ["gain", "smoothing_ms", "max_speed", "assistance"].iter().enumerate() {
                    course.options[place] = request[*name].as_f64().unwrap_or(course.options[place]);
                }
            }
            "override" => course.overridden_by = text(&person["operator"]),
            "note" => course.notes += 1,
            "take_over" => {
                course.operator = text(&person["operator"]);
                course.console = text(&person["console"]);
            }
            "call" => course.called = course.called.or(Some(self.clock.lsl().0)),
            "answer_call" => course.called = None,
            _ => return Err(ControlRefused::Invalid(format!("there is no action {action:?}"))),
        }
        Ok(course.status())
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Course {
    fn blocks(&self) -> &'static [Block] {
        self.preset.map_or(&[], |place| PRESETS[place].3)
    }

    fn pass(&mut self, now: f64, output: OutputState) {
        let passed = (now - self.looked).max(0.0);
        self.looked = now;
        let stopped = output == OutputState::Hold && now - self.started > 0.5;
        if stopped && ["running", "resting"].contains(&self.state) {
            self.pause("STOP was pressed. Continue when all is well: the block goes on where it stood.");
        }
        match self.state {
            "resting" => {
                self.rest -= passed;
                if self.rest <= 0.0 {
                    (self.rest, self.state) = (0.0, "running");
                }
            }
            "running" => {
                self.elapsed += passed;
                if self.elapsed >= self.blocks()[self.block].4 {
                    self.end_block("done");
                }
            }
            _ => {}
        }
    }

    fn pause(&mut self, why: &str) {
        (self.state, self.why_paused) = ("paused", String::from(why));
    }

    fn end_block(&mut self, how: &'static str) {
        self.ended.push((how, self.score(self.block)));
        (self.block, self.elapsed) = (self.block + 1, 0.0);
        match self.blocks().get(self.block) {
            Some(next) => (self.state, self.rest) = ("resting", next.5),
            None => self.state = "done",
        }
    }

    fn score(&self, place: usize) -> Value {
        let (kind, .., assistance, pace) = self.blocks()[place];
        let presented = (self.elapsed * pace) as u64;
        if pace == 0.0 {
            return Value::Null;
        }
        let wrong = kind == "evaluation";
        let estimate = |value: f64| json!({ "value": value, "interval": [0.8 * value, 1.2 * value] });
        let figures = json!({
            "trials": presented, "path_efficiency": estimate(0.76), "angular_error_deg": estimate(24.0),
            "dial_in_s": estimate(0.62), "throughput": estimate(1.4),
        });
        let clicks = json!({
            "acts": presented, "pressed": presented - presented / 5, "false_per_minute_moving": estimate(1.4),
            "false_per_minute_resting": estimate(0.3), "latency_s": estimate(0.39),
        });
        let shown = |of: Value| Some(of).filter(|_| wrong && presented > 0);
        json!({
            "figures": shown(figures), "clicks": shown(clicks),
            "presented": presented, "acquired": presented - presented / 5, "incorrect": if wrong { presented / 5 } else { 0 },
            "time_to_target_s": (presented > 0).then_some(1.65),
            "bit_rate": (wrong && presented > 0).then_some(2.31), "assistance": assistance * self.options[3],
        })
    }

    fn why_not(&self, action: &str) -> Option<&'static str> {
        match (action, self.state) {
            ("open", "closed" | "done")
            | ("start", "ready" | "resting" | "paused")
            | ("pause", "running" | "resting")
            | ("skip" | "repeat", "running" | "paused")
            | ("end", "ready" | "running" | "resting" | "paused") => None,
            ("open", _) => Some("a session is open: end it first"),
            ("start", "closed") => Some("choose what to do first, and prepare the session"),
            ("start", "running") => Some("a block runs already"),
            ("pause" | "skip" | "repeat", _) => Some("no block runs"),
            ("end" | "start", _) | ("options", "closed" | "done") => Some("no session is open"),
            ("override", _) if self.trials() == 0 => Some("there is no decoder yet"),
            ("override", _) if self.trials() >= NEEDED || self.overridden_by.is_some() => {
                Some("the decoder may control already")
            }
            ("answer_call", _) if self.called.is_none() => Some("nobody calls"),
            _ => None,
        }
    }

    /// Targets tried without help.
    fn trials(&self) -> u64 {
        let so_far = self.ended.iter().map(|(_, score)| score).filter(|score| score["assistance"] == 0.0);
        let before: u64 = so_far.filter_map(|score| score["presented"].as_u64()).sum();
        let now = self.blocks().get(self.block).filter(|block| block.6 == 0.0 && block.7 > 0.0);
        before + now.map_or(0, |block| (self.elapsed * block.7) as u64)
    }

    fn message(&self) -> String {
        let text = match self.state {
            "closed" => "Choose what to do, and prepare the session.",
            "ready" => "Everything is ready. Start when the participant is.",
            "resting" => "Rest. The next block starts by itself.",
            "running" => "The block runs. Watch the streams and the participant.",
            "paused" => &self.why_paused,
            _ => "The session is over. Its report is made from the recording.",
        };
        String::from(text)
    }

    fn status(&self) -> Value {
        let blocks: Vec<Value> =
            self.blocks().iter().enumerate().map(|(place, block)| self.block(place, block)).collect();
        let over = self.blocks().iter().take(self.block).map(|block| block.4 + block.5).sum::<f64>();
        let all = self.blocks().iter().map(|block| block.4 + block.5).sum::<f64>();
        let trials = self.trials();
        let (verdict, text) = match trials {
            0 => ("none", "No decoder yet: go through the first blocks."),
            1..NEEDED => ("not_yet", "Not yet: about 1 more minute."),
            _ => ("good_enough", "Good enough for control: the participant acquires targets without help."),
        };
        let actions: Vec<Value> = [
            "open",
            "start",
            "pause",
            "skip",
            "repeat",
            "end",
            "options",
            "override",
            "note",
            "take_over",
            "call",
            "answer_call",
        ]
        .map(|action| {
            let why = self.why_not(action);
            json!({"action": action, "allowed": why.is_none(), "why": why})
        })
        .to_vec();
        let presets: Vec<Value> = PRESETS
            .iter()
            .map(|(name, title, about, blocks)| {
                let seconds = blocks.iter().map(|block| block.4 + block.5).sum::<f64>();
                json!({"name": name, "title": title, "about": about, "seconds": seconds, "blocks": blocks.len()})
            })
            .collect();
        let now = self.blocks().get(self.block);
        let mixing = now.filter(|_| self.state == "running").map_or(0.0, |block| block.6 * self.options[3]);
        json!({
            "state": self.state, "message": self.message(), "participant": self.participant, "operator": self.operator,
            "console": self.console, "simulated": true, "presets": presets,
            "preset": self.preset.map(|place| PRESETS[place].0), "blocks": blocks,
            "block": now.map(|_| self.block), "elapsed_s": self.elapsed, "rest_s": self.rest,
            "seconds_left": (all - over - self.elapsed).max(0.0),
            "assistance": {"attenuation": mixing, "mixing": mixing, "scale": self.options[3]},
            "signal_check": null, "reference": null, "comparison": null, "first_target_s": null,
            "fits": {"running": false, "done": trials, "failed": 0, "kept_out": 0, "newest": null, "rows": 50 * trials, "rows_refused": 0},
            "verdict": {
                "verdict": verdict, "text": text, "trials": trials, "acquired": trials - trials / 5, "needed": NEEDED,
                "seconds_left": null, "p_value": null,
            },
            "control": {
                "allowed": trials >= NEEDED || self.overridden_by.is_some(), "overridden_by": self.overridden_by,
            },
            "options": {
                "gain": self.options[0], "smoothing_ms": self.options[1], "max_speed": self.options[2],
                "highest_max_speed": 1.5, "assistance": self.options[3], "select": "click",
            },
            "actions": actions, "notes": self.notes, "told_by_others": 0, "called": self.called,
        })
    }

    fn block(&self, place: usize, block: &Block) -> Value {
        let (kind, title, instruction, task, seconds, ..) = *block;
        let current = place == self.block && ["running", "paused"].contains(&self.state);
        let (state, score) = match self.ended.get(place) {
            Some((how, score)) => (*how, score.clone()),
            None if current => ("running", self.score(place)),
            None => ("waiting", Value::Null),
        };
        json!({
            "block": kind, "title": title, "instruction": instruction, "task": task, "seconds": seconds, "state": state,
            "score": score,
        })
    }
}
