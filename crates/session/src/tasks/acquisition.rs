//! Targets to be acquired one after another: what tasks with a cursor and a hold have in common. A task says where its
//! targets are.

use core::fmt;

use kalmind_types::{
    Command, EventBody, LslTime, Phase, Position, Seconds, Target, TaskBlock, TaskState, TrialResult,
};

use crate::{
    TaskScore,
    history::{CAPACITY, History},
    task::{OptionValues, Task, TaskError, TaskOption, TaskStep, TaskTick, seconds_that_count},
};

/// Ends a hold or a timeout that only rounding of the stamps keeps short.
const ROUNDING_S: f64 = 1e-6;
/// The longest rest and refractory time.
const LONGEST_PAUSE_S: f64 = 60.0;

pub(super) const RADIUS: TaskOption =
    TaskOption::new("radius", "workspace widths", 0.06, "radius of every target");
pub(super) const HOLD: TaskOption =
    TaskOption::new("hold", "s", 0.3, "how long the cursor has to stay in the target");
pub(super) const SELECT: TaskOption =
    TaskOption::new("select", "0 or 1", 0.0, "what selects: 0, staying for the hold; 1, a click");
pub(super) const LEAD: TaskOption =
    TaskOption::new("lead", "s", 0.0, "how long before its press a click selects: what the participant saw");
pub(super) const TIMEOUT: TaskOption = TaskOption::new("timeout", "s", 5.0, "how long a trial may take");
pub(super) const REFRACTORY: TaskOption =
    TaskOption::new("refractory", "s", 0.0, "how long after a selection nothing is selected");
pub(super) const REST: TaskOption =
    TaskOption::new("rest", "s", 0.0, "pause between two trials, in which no target is shown");

/// Where a task shows its targets.
pub(super) trait Targets: fmt::Debug + Send {
    /// A block begins: where the cursor is put.
    fn begin(&mut self) -> Position;
    /// The next target; its radius where the task has one size for all.
    fn next(&mut self, radius: f64) -> Target;
    /// See [`Task::extent`].
    fn extent(&self, radius: f64) -> [Position; 2];

    /// What a cursor that stays at `position` selects; none where that selects nothing. By default the target alone, a disc.
    fn under(&self, position: Position, target: Target) -> Option<Place> {
        let inside = position.distance(target.position) <= target.radius;
        inside.then_some(Place { number: 0, is_target: true })
    }

    /// How many there are to select from, where a wrong one can be selected.
    fn choices(&self) -> Option<u64> {
        None
    }
}

/// What a cursor can select by staying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which: a hold starts over where this changes.
    pub(super) number: u32,
    /// Whether it is the target.
    pub(super) is_target: bool,
}

/// The corners of the square that reaches so far around `centre`.
pub(super) fn around(centre: Position, reach: f64) -> [Position; 2] {
    [-reach, reach].map(|reach| Position(centre.0.map(|coordinate| coordinate + reach)))
}

/// Where `centre_x` and `centre_y` are.
pub(super) fn centre(options: &OptionValues<'_>) -> Result<Position, TaskError> {
    let mut centre = Position::default();
    for (coordinate, option) in centre.0.iter_mut().zip(["centre_x", "centre_y"]) {
        *coordinate = options.get(option);
        if !coordinate.is_finite() {
            let expected = "both coordinates have to be numbers";
            return Err(TaskError::OutOfRange { option, value: *coordinate, expected });
        }
    }
    Ok(centre)
}

/// An option of seconds that may be 0.
fn seconds(options: &OptionValues<'_>, option: &'static str) -> Result<f64, TaskError> {
    let value = options.get(option);
    if (0.0..=LONGEST_PAUSE_S).contains(&value) {
        Ok(value)
    } else {
        Err(TaskError::OutOfRange { option, value, expected: "it has to be from 0 to 60" })
    }
}

/// A whole number of things, from the first of `range` to the last.
pub(super) fn count(
    options: &OptionValues<'_>,
    option: &'static str,
    range: core::ops::RangeInclusive<f64>,
    expected: &'static str,
) -> Result<u32, TaskError> {
    let value = options.get(option);
    if range.contains(&value) && value.fract() == 0.0 {
        Ok(value as u32)
    } else {
        Err(TaskError::OutOfRange { option, value, expected })
    }
}

/// An option that has to be above 0.
pub(super) fn positive(
    options: &OptionValues<'_>,
    option: &'static str,
    expected: &'static str,
) -> Result<f64, TaskError> {
    let value = options.get(option);
    if value.is_finite() && value > 0.0 {
        Ok(value)
    } else {
        Err(TaskError::OutOfRange { option, value, expected })
    }
}

/// A block that is running.
#[derive(Clone, Debug)]
struct Running {
    block: TaskBlock,
    duration: f64,
    /// Seconds so far in which the cursor could move.
    elapsed: f64,
    trial: u64,
    /// Whether that trial has not ended yet; otherwise the task rests.
    trial_runs: bool,
    /// Seconds of rest that are left.
    rest: f64,
    /// Seconds that are left in which nothing is selected.
    refractory: f64,
    target: Target,
    trial_elapsed: f64,
    /// Where the cursor stays, and for how many seconds without a break.
    held: Option<(Place, f64)>,
}

impl Running {
    /// So many seconds passed, with the cursor over `place` at their end; how the trial ended with them, if it did.
    fn pass(&mut self, seconds: f64, place: Option<Place>, hold: f64, timeout: f64) -> Option<TrialResult> {
        self.elapsed += seconds;
        self.refractory -= seconds;
        if !self.trial_runs {
            self.rest -= seconds;
            return None;
        }
        self.trial_elapsed += seconds;
        self.held = place.filter(|_| self.refractory <= ROUNDING_S).map(|place| {
            let before = self.held.filter(|(last, _)| *last == place);
            (place, before.map_or(0.0, |(_, held)| held + seconds))
        });
        match self.held.filter(|(_, held)| *held >= hold - ROUNDING_S) {
            Some((place, _)) if place.is_target => Some(TrialResult::Acquired),
            Some(_) => Some(TrialResult::Incorrect),
            None => (self.trial_elapsed >= timeout - ROUNDING_S).then_some(TrialResult::Timeout),
        }
    }

    fn is_over(&self) -> bool {
        self.elapsed >= self.duration - ROUNDING_S
    }
}

/// The task. A target is acquired when the cursor has been in it (on its rim counts) at every tick for `hold`, and where there
/// are others, they are selected in the same way, which ends the trial as well; a trial times
/// out `timeout` after its start, and then the cursor is put on the target, so that doing nothing scores nothing. The next
/// target follows after `rest`, at once where that is 0: resting is time of the block but of no trial, and shows no target. For
/// `refractory` after a selection a hold does not begin. Open and closed loop differ only in what moves the cursor. Where time
/// does not count a hold in progress starts over. With `select`, what the cursor is on at a press of a click is selected, and
/// staying selects nothing: what it was on `lead` before, since people decide by what they saw, and a click takes time to be told.
#[derive(Debug)]
pub(super) struct TargetAcquisition<T> {
    targets: T,
    radius: f64,
    hold: f64,
    /// Whether a click selects what the cursor is on, and staying does not.
    by_click: bool,
    /// Presses that were seen: each selects once at most.
    presses: Option<u64>,
    lead: f64,
    /// Where the cursor was in the trial that runs.
    places: History<Position>,
    timeout: f64,
    refractory: f64,
    rest: f64,
    running: Option<Running>,
    last_tick: Option<LslTime>,
    next_trial: u64,
    score: TaskScore,
}

impl<T: Targets> TargetAcquisition<T> {
    /// Waits for its first block; takes [`HOLD`], [`SELECT`], [`LEAD`], [`TIMEOUT`], [`REFRACTORY`] and [`REST`] from the
    /// options.
    pub(super) fn new(targets: T, radius: f64, options: &OptionValues<'_>) -> Result<Self, TaskError> {
        let timeout = positive(options, "timeout", "a trial needs a positive time")?;
        let hold = options.get("hold");
        if !hold.is_finite() || hold < 0.0 || hold >= timeout {
            return Err(TaskError::OutOfRange {
                option: "hold",
                value: hold,
                expected: "it has to be at least 0 and shorter than the timeout",
            });
        }
        let (refractory, rest) = (seconds(options, "refractory")?, seconds(options, "rest")?);
        if refractory >= timeout {
            let expected = "it has to be shorter than the timeout";
            return Err(TaskError::OutOfRange { option: "refractory", value: refractory, expected });
        }
        let lead = seconds(options, "lead")?;
        let select = options.get("select");
        let by_click = select.to_bits() == 1.0_f64.to_bits();
        if !by_click && select.to_bits() != 0.0_f64.to_bits() {
            let expected = "0 (staying) or 1 (a click) is possible";
            return Err(TaskError::OutOfRange { option: "select", value: select, expected });
        }
        let score = TaskScore::of(targets.choices());
        let (running, last_tick, next_trial) = (None, None, 0);
        let presses = None;
        Ok(Self {
            targets,
            radius,
            hold,
            by_click,
            presses,
            lead,
            places: History::new(CAPACITY),
            timeout,
            refractory,
            rest,
            running,
            last_tick,
            next_trial,
            score,
        })
    }

    /// Shows the next target and begins its trial.
    fn present(&mut self, time: LslTime, step: &mut TaskStep) {
        let Some(running) = &mut self.running else {
            return;
        };
        running.target = self.targets.next(self.radius);
        running.trial = self.next_trial;
        running.trial_runs = true;
        running.trial_elapsed = 0.0;
        running.held = None;
        self.places = History::new(CAPACITY);
        self.next_trial += 1;
        step.tell(time, EventBody::Trial { trial: running.trial, phase: Phase::Start, result: None });
        step.tell(time, EventBody::Target(Some(running.target)));
        step.commands.push(Command::Task(TaskState {
            target: Some(running.target),
            drive: running.block.drive(),
            ..TaskState::default()
        }));
    }

    fn end_block(&mut self, time: LslTime, step: &mut TaskStep) {
        let Some(running) = self.running.take() else {
            return;
        };
        if running.trial_runs {
            let trial = running.trial;
            step.tell(time, EventBody::Trial { trial, phase: Phase::End, result: None });
        }
        step.tell(time, EventBody::Target(None));
        step.tell(time, EventBody::TaskBlock { block: running.block, phase: Phase::End });
        step.commands.push(Command::Task(TaskState {
            target: None,
            drive: running.block.drive(),
            ..TaskState::default()
        }));
    }
}

impl<T: Targets> Task for TargetAcquisition<T> {
    fn start(&mut self, block: TaskBlock, duration: Seconds, time: LslTime) -> TaskStep {
        let mut step = self.stop(time);
        self.score = TaskScore::of(self.targets.choices());
        self.last_tick = Some(time);
        step.tell(time, EventBody::TaskBlock { block, phase: Phase::Start });
        let position = self.targets.begin();
        step.commands.push(Command::PlaceCursor(position));
        self.running = Some(Running {
            block,
            duration: duration.0,
            elapsed: 0.0,
            trial: self.next_trial,
            trial_runs: false,
            rest: 0.0,
            refractory: 0.0,
            target: Target { position, radius: self.radius },
            trial_elapsed: 0.0,
            held: None,
        });
        self.present(time, &mut step);
        step
    }

    fn step(&mut self, tick: TaskTick) -> TaskStep {
        let mut step = TaskStep::default();
        let last = self.last_tick.replace(tick.time);
        let presses = tick.click.map_or(0, |click| click.presses);
        let is_pressed = self.presses.replace(presses).is_some_and(|before| presses > before);
        let hold = match (self.by_click, is_pressed) {
            (false, _) => self.hold,
            (true, true) => 0.0,
            (true, false) => f64::INFINITY,
        };
        let counted = last.and_then(|last| seconds_that_count(last, tick.time, tick.state));
        let Some(running) = &mut self.running else {
            return step;
        };
        let Some(seconds) = counted else {
            running.held = None;
            self.places = History::new(CAPACITY);
            return step;
        };
        let mut position = tick.position;
        if self.by_click {
            self.places.insert(tick.time, position);
            position = self.places.in_force(tick.time - Seconds(self.lead)).unwrap_or(position);
        }
        let place = self.targets.under(position, running.target);
        let result = running.pass(seconds, place, hold, self.timeout);
        let over = running.is_over();
        if let Some(ended) = result {
            let (trial, phase) = (running.trial, Phase::End);
            running.trial_runs = false;
            running.rest = self.rest;
            if ended == TrialResult::Timeout {
                step.commands.push(Command::PlaceCursor(running.target.position));
            } else {
                running.refractory = self.refractory;
            }
            self.score.record(ended, running.trial_elapsed);
            step.tell(tick.time, EventBody::Trial { trial, phase, result });
            if !over && self.rest > 0.0 {
                let drive = running.block.drive();
                step.tell(tick.time, EventBody::Target(None));
                step.commands.push(Command::Task(TaskState { target: None, drive, ..TaskState::default() }));
            }
        }
        if over {
            self.end_block(tick.time, &mut step);
        } else if !running.trial_runs && running.rest <= ROUNDING_S {
            self.present(tick.time, &mut step);
        }
        step
    }

    fn stop(&mut self, time: LslTime) -> TaskStep {
        let mut step = TaskStep::default();
        self.end_block(time, &mut step);
        step
    }

    fn block(&self) -> Option<TaskBlock> {
        self.running.as_ref().map(|running| running.block)
    }

    fn target(&self) -> Option<Target> {
        self.running.as_ref().filter(|running| running.trial_runs).map(|running| running.target)
    }

    fn trial(&self) -> Option<u64> {
        self.running.as_ref().filter(|running| running.trial_runs).map(|running| running.trial)
    }

    fn elapsed(&self) -> Seconds {
        Seconds(self.running.as_ref().map_or(0.0, |running| running.elapsed))
    }

    fn extent(&self) -> [Position; 2] {
        self.targets.extent(self.radius)
    }

    fn score(&self) -> &TaskScore {
        &self.score
    }
}
