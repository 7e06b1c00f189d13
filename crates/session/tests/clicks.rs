//! Clicks from end to end: a participant that means to select what its cursor is on, rows labelled by where the cursor was, a
//! click decoder fitted to them, and a grid in which clicks select. 20 ms a tick, no input or output.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "functions that several tests share fail and tell like tests"
)]

use kalmind_filter::{Button, ClickDecoder, LabelLaw};
use kalmind_fitting::{ClickFitSettings, ClickReport, fit_click};
use kalmind_session::{
    Calibration, CalibrationOptions, CalibrationTick, ClickContext, ClickLabelLaw, ClickScore, Participant,
    ParticipantOptions, Profile, Task, TaskScore, TaskStep, TaskTick, click_labels, task_named,
};
use kalmind_signal::{FeatureStatistics, Preparation};
use kalmind_types::{
    Click, Command, EventBody, FeatureSet, LslTime, OutputState, Position, Seconds, TaskBlock, TaskState,
    TickOutput, Velocity,
};

const BIN_S: f64 = 0.02;
const UNITS: usize = 96;

/// What turns counts into clicks.
enum Clicks {
    Decoded {
        preparation: Box<Preparation>,
        decoder: ClickDecoder,
        button: Button,
    },
    /// The participant's own: down while it means to.
    Perfect {
        meant: bool,
        presses: u64,
    },
    None,
}

impl Clicks {
    fn step(&mut self, seq: u64, counts: &[f64], meant: bool) -> Option<Click> {
        match self {
            Self::Decoded { preparation, decoder, button } => {
                let prepared = preparation.prepare(counts, &FeatureSet::default());
                let probability = decoder.step(Some(prepared.features));
                Some(button.step(decoder.law(), seq, probability, true, true))
            }
            Self::Perfect { meant: before, presses } => {
                *presses += u64::from(meant && !core::mem::replace(before, meant));
                *before = meant;
                Some(Click { presses: *presses, ..Click::default() })
            }
            Self::None => None,
        }
    }
}

struct Rig {
    participant: Participant,
    tick: u64,
    position: Position,
    in_force: TaskState,
    pending: Vec<Command>,
    calibration: Calibration,
    /// Whether a click was meant in each tick.
    meant: Vec<bool>,
}

impl Rig {
    fn new(seed: u64, profile: Profile) -> Self {
        let options = ParticipantOptions { seed, profile, clicks: true, ..ParticipantOptions::default() };
        let law = Some(ClickLabelLaw::default());
        Self {
            participant: Participant::new(options).unwrap(),
            tick: 0,
            position: Position([0.5, 0.5]),
            in_force: TaskState::default(),
            pending: Vec::new(),
            calibration: Calibration::new(CalibrationOptions::default(), UNITS).with_clicks(law),
            meant: Vec::new(),
        }
    }

    fn time(&self) -> LslTime {
        LslTime(self.tick as f64 * BIN_S)
    }

    fn follow(&mut self, step: TaskStep) {
        for event in step.events {
            match event.content {
                EventBody::Target(target) => self.participant.observe_target(event.time, target),
                EventBody::TaskBlock { block, phase } => {
                    self.participant.observe_block(event.time, block, phase);
                }
                _ => {}
            }
        }
        self.pending.extend(step.commands);
    }

    /// A block of `seconds`: open loop by the label law, closed loop by what the participant means.
    fn block(
        &mut self,
        mut task: Box<dyn Task>,
        block: TaskBlock,
        seconds: f64,
        mut clicks: Clicks,
    ) -> (TaskScore, ClickScore) {
        let step = task.start(block, Seconds(seconds), self.time());
        self.follow(step);
        let mut counts = vec![0.0; UNITS];
        let mut score = ClickScore::default();
        while task.block().is_some() {
            let trial = task.trial();
            let context = ClickContext::of(task.target(), self.position);
            for command in self.pending.drain(..) {
                match command {
                    Command::PlaceCursor(place) => self.position = place,
                    Command::Task(state) => self.in_force = state,
                    other => unreachable!("the task asked for {other:?}"),
                }
            }
            self.tick += 1;
            let time = self.time();
            self.participant.counts(time, &mut counts);
            self.meant.push(self.participant.selects());
            let click = clicks.step(self.tick, &counts, self.participant.selects());
            let velocity = match (block, self.in_force.target) {
                (TaskBlock::OpenLoop, Some(target)) => {
                    LabelLaw::default().label(self.position, target.position)
                }
                (TaskBlock::OpenLoop, None) => Velocity::default(),
                _ => self.participant.intent(),
            };
            let moved = [0, 1].map(|axis| (self.position.0[axis] + velocity.0[axis] * BIN_S).clamp(0.0, 1.0));
            self.position = Position(moved);
            let state =
                if block == TaskBlock::OpenLoop { OutputState::Calibrating } else { OutputState::Control };
            self.calibration.observe(CalibrationTick {
                output: &TickOutput {
                    state,
                    position: self.position,
                    ..TickOutput::neutral(self.tick, time)
                },
                features: &counts,
                target: self.in_force.target,
                trial,
                drive: block.drive(),
            });
            self.participant.observe_state(time, self.position);
            score.observe(time, Some(BIN_S), context, click);
            let step = task.step(TaskTick { time, position: self.position, state, click });
            self.follow(step);
        }
        (task.score().clone(), score)
    }

    /// A minute of open loop, and what decodes clicks after it.
    fn calibrated(&mut self, seed: u64) -> (Clicks, ClickReport) {
        let radial8 = task_named("radial8").unwrap().build(seed, &[]).unwrap();
        self.block(radial8, TaskBlock::OpenLoop, 60.0, Clicks::None);
        let data = self.calibration.data(true).unwrap();
        let law = self.calibration.clicks().unwrap();
        let labels = click_labels(&data.training, law, 1e3 * BIN_S);
        let fitted = fit_click(&data.training, &labels, &ClickFitSettings::default()).unwrap();
        let zscore = data.zscore.unwrap();
        let statistics = FeatureStatistics { mean: zscore.mean, deviation: zscore.standard_deviation };
        let clicks = Clicks::Decoded {
            preparation: Box::new(Preparation::new(data.training_mean, Some(statistics)).unwrap()),
            decoder: ClickDecoder::new(&fitted.parameters, 1e3 * BIN_S),
            button: Button::default(),
        };
        (clicks, fitted.report)
    }

    /// Two minutes of a grid of 6 x 6 cells that clicks select.
    fn grid(&mut self, seed: u64, clicks: Clicks) -> (TaskScore, ClickScore) {
        let grid = task_named("grid").unwrap().build(seed, &[("select", 1.0)]).unwrap();
        self.block(grid, TaskBlock::Evaluation, 120.0, clicks)
    }
}

#[test]
fn labels_by_where_the_cursor_was_are_what_the_participant_meant() {
    let mut rig = Rig::new(1, Profile::Default);
    rig.calibrated(1);
    let data = rig.calibration.data(true).unwrap();
    let labels = click_labels(&data.training, ClickLabelLaw::default(), 1e3 * BIN_S);
    let (mut right, mut wrong, mut clicks) = (0, 0, 0);
    for (label, gathered) in labels.iter().zip(&data.gathered) {
        // the first tick gives no row
        let meant = rig.meant[gathered + 1];
        clicks += usize::from(meant);
        match label {
            Some(label) if *label == meant => right += 1,
            Some(_) => wrong += 1,
            None => {}
        }
    }
    assert!(clicks > 300, "it clicked: {clicks}");
    assert!(wrong * 100 <= right, "{wrong} wrong, {right} right of {}", labels.len());
}

/// The part that a decoded click leaves of the bit rate of a perfect one, both with a perfect cursor.
fn part_of_perfect(seed: u64, profile: Profile) -> (f64, ClickScore, ClickReport) {
    let mut rig = Rig::new(seed, profile);
    let (clicks, report) = rig.calibrated(seed);
    let mut ideal = Rig::new(seed, profile);
    ideal.calibrated(seed);
    let (decoded, score) = rig.grid(seed, clicks);
    let (perfect, _) = ideal.grid(seed, Clicks::Perfect { meant: false, presses: 0 });
    let (decoded, perfect) = (decoded.bit_rate().unwrap(), perfect.bit_rate().unwrap());
    println!(
        "{} seed {seed}: {decoded:.2} of {perfect:.2} bit/s; held out {:.1} false a minute, {} of {} acts, {:.0} ms; \
         false a minute moving {:.1}; {} of {} acts, {} repeated, {:.2} s",
        profile.name(),
        report.held_out.false_per_minute,
        report.held_out.pressed,
        report.held_out.acts,
        report.held_out.latency_ms,
        score.false_per_minute_moving().unwrap_or(0.0),
        score.pressed(),
        score.acts(),
        score.repeated(),
        score.latency(0.5).unwrap_or(0.0),
    );
    (decoded / perfect, score, report)
}

#[test]
fn decoded_clicks_select_nearly_as_well_as_perfect_ones() {
    for profile in Profile::ALL {
        for seed in 1..=2 {
            let (part, score, report) = part_of_perfect(seed, profile);
            assert!(part >= 0.8, "{} seed {seed}: {part}", profile.name());
            assert!(score.false_per_minute_moving().unwrap() < 4.0, "{score:?}");
            assert!(report.warnings.is_empty(), "{report:?}");
        }
    }
}

#[test]
fn a_press_selects_once_what_is_under_the_cursor_and_staying_selects_nothing() {
    let mut task = task_named("grid").unwrap().build(1, &[("select", 1.0), ("timeout", 5.0)]).unwrap();
    let at = |tick: u32| LslTime(10.0 + BIN_S * f64::from(tick));
    task.start(TaskBlock::Evaluation, Seconds(60.0), at(0));
    let mut step = |tick: u32, presses: u64| {
        let position = task.target().unwrap().position;
        let click = Some(Click { presses, ..Click::default() });
        task.step(TaskTick { time: at(tick), position, state: OutputState::Control, click });
        (task.score().acquired(), task.score().presented())
    };
    for tick in 1..100 {
        assert_eq!(step(tick, 7), (0, 0), "presses from before, and staying");
    }
    assert_eq!(step(100, 8), (1, 1));
    assert_eq!(step(101, 8), (1, 1), "the same press");
    assert_eq!(step(102, 10), (2, 2), "two presses in a tick are one selection");
    let other = Position([0.01, 0.01]);
    let click = Some(Click { presses: 11, ..Click::default() });
    let tick = TaskTick { time: at(103), position: other, state: OutputState::Hold, click };
    task.step(tick);
    assert_eq!(task.score().presented(), 2, "on hold nothing is selected");
    task.step(TaskTick { time: at(104), state: OutputState::Control, ..tick });
    assert_eq!(task.score().presented(), 2, "and that press is over");
}
