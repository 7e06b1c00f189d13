//! Radial-8: from the centre to one of eight targets around it, and back.

use core::f64::consts::FRAC_PI_4;

use kalmind_types::{
    Command, EventBody, LslTime, OutputState, Phase, Position, Seconds, Target, TaskBlock, TaskState,
    TrialResult,
};
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{TaskEvent, TaskScore};

/// A step of stream time longer than this is a gap: none of it counts.
const LONGEST_STEP_S: f64 = 1.0;
/// Ends a hold or a timeout that only rounding of the stamps keeps short.
const ROUNDING_S: f64 = 1e-6;

/// The task's settings, in workspace widths and seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Radial8Options {
    /// Seed of the order of directions.
    pub seed: u64,
    /// Where the centre target is.
    pub centre: Position,
    /// Distance of the outer targets from it.
    pub distance: f64,
    /// Radius of every target.
    pub radius: f64,
    /// How long the cursor has to stay in the target.
    pub hold: Seconds,
    /// How long a trial may take.
    pub timeout: Seconds,
}

impl Default for Radial8Options {
    fn default() -> Self {
        Self {
            seed: 1,
            centre: Position([0.5, 0.5]),
            distance: 0.3,
            radius: 0.06,
            hold: Seconds(0.3),
            timeout: Seconds(5.0),
        }
    }
}

/// Why there is no such task.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{setting} is {value}; {expected}")]
pub struct Radial8Error {
    /// Which setting is out of range.
    pub setting: &'static str,
    /// Its value.
    pub value: f64,
    /// What would be right.
    pub expected: &'static str,
}

/// What the task sees of a tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Radial8Tick {
    /// The tick's time (the end of its bin).
    pub time: LslTime,
    /// The cursor at the end of the tick.
    pub position: Position,
    /// The tick's output state.
    pub state: OutputState,
}

/// Seconds of task time from the tick at `last` to the one at `time`, which was in `state`; none where they do not count,
/// see [`Radial8`]. Whoever times trials afterwards counts by this too.
pub fn seconds_that_count(last: LslTime, time: LslTime, state: OutputState) -> Option<f64> {
    let seconds = (time - last).0;
    (state.moves() && seconds > 0.0 && seconds <= LONGEST_STEP_S).then_some(seconds)
}

/// What a step of the task gave: to be told to everyone, and to be done at the start of the next tick, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskStep {
    /// Events, stamped with the tick's time.
    pub events: Vec<TaskEvent>,
    /// Commands for the engine.
    pub commands: Vec<Command>,
}

/// A block that is running.
#[derive(Clone, Debug)]
struct Running {
    block: TaskBlock,
    duration: f64,
    /// Seconds so far in which the cursor could move.
    elapsed: f64,
    trial: u64,
    /// Whether that trial has not ended yet.
    trial_runs: bool,
    target: Target,
    outward: bool,
    trial_elapsed: f64,
    /// Seconds without a break in the target.
    held: Option<f64>,
}

/// The Radial-8 task as a state machine, stepped once a tick. Lives off the tick thread (its answers allocate).
///
/// [`start`](Self::start) begins a block: the cursor is put on the centre and an outer target shown; once it is acquired
/// the centre is the target, then the next outer one. The eight directions come in an order shuffled anew for each round
/// of eight. A target is acquired when the cursor has been in it (on its rim counts) at every tick for `hold`; a trial
/// times out `timeout` after its start, and then the cursor is put on the target, so that doing nothing scores nothing.
/// The next target follows at once. Open and closed loop differ only in what moves the cursor.
///
/// **Time that counts.** Trial, hold and block are timed in stream time between consecutive ticks of which the later one
/// could move the cursor. While the state is `idle`, `hold`, `stale` or `fault`, all three clocks stand still and a hold in
/// progress starts over; so does a gap of more than a second, or a step back in time.
///
/// **Score.** [`score`](Self::score) is of the newest block: every trial that was acquired or timed out counts as
/// presented; the one cut short by the end of the block does not.
#[derive(Clone, Debug)]
pub struct Radial8 {
    options: Radial8Options,
    generator: ChaCha8Rng,
    /// Directions of this round still to come, last first.
    directions: Vec<u8>,
    running: Option<Running>,
    last_tick: Option<LslTime>,
    next_trial: u64,
    score: TaskScore,
}

impl Radial8 {
    /// A task that waits for its first block.
    ///
    /// # Errors
    /// When a setting is out of range.
    pub fn new(options: Radial8Options) -> Result<Self, Radial8Error> {
        let positive = |setting, value: f64, expected| {
            if value.is_finite() && value > 0.0 {
                Ok(())
            } else {
                Err(Radial8Error { setting, value, expected })
            }
        };
        positive("distance", options.distance, "the outer targets need a positive distance")?;
        positive("radius", options.radius, "a target needs a positive radius")?;
        positive("timeout", options.timeout.0, "a trial needs a positive time")?;
        if !options.hold.0.is_finite() || options.hold.0 < 0.0 || options.hold.0 >= options.timeout.0 {
            return Err(Radial8Error {
                setting: "hold",
                value: options.hold.0,
                expected: "it has to be at least 0 and shorter than the timeout",
            });
        }
        if let Some(&value) = options.centre.0.iter().find(|value| !value.is_finite()) {
            return Err(Radial8Error {
                setting: "centre",
                value,
                expected: "both coordinates have to be numbers",
            });
        }
        Ok(Self {
            options,
            generator: ChaCha8Rng::seed_from_u64(options.seed),
            directions: Vec::new(),
            running: None,
            last_tick: None,
            next_trial: 0,
            score: TaskScore::default(),
        })
    }

    /// Begins a block of `duration` at `time` (the newest tick's), breaking off one that runs. The score starts anew.
    pub fn start(&mut self, block: TaskBlock, duration: Seconds, time: LslTime) -> TaskStep {
        let mut step = self.stop(time);
        self.score = TaskScore::default();
        self.last_tick = Some(time);
        step.tell(time, EventBody::TaskBlock { block, phase: Phase::Start });
        step.commands.push(Command::PlaceCursor(self.options.centre));
        let target = Target { position: self.options.centre, radius: self.options.radius };
        self.running = Some(Running {
            block,
            duration: duration.0,
            elapsed: 0.0,
            trial: self.next_trial,
            trial_runs: false,
            target,
            outward: false,
            trial_elapsed: 0.0,
            held: None,
        });
        self.present(true, time, &mut step);
        step
    }

    /// Ends the block that runs, if any: takes the target away.
    pub fn stop(&mut self, time: LslTime) -> TaskStep {
        let mut step = TaskStep::default();
        self.end_block(time, &mut step);
        step
    }

    /// Handles one tick.
    pub fn step(&mut self, tick: Radial8Tick) -> TaskStep {
        let mut step = TaskStep::default();
        let counted = self.counted_time(tick);
        let Some(running) = &mut self.running else {
            return step;
        };
        let Some(seconds) = counted else {
            running.held = None;
            return step;
        };
        running.elapsed += seconds;
        running.trial_elapsed += seconds;
        let inside = tick.position.distance(running.target.position) <= running.target.radius;
        running.held = inside.then(|| running.held.map_or(0.0, |held| held + seconds));
        let over = running.elapsed >= running.duration - ROUNDING_S;
        let result = if running.held.is_some_and(|held| held >= self.options.hold.0 - ROUNDING_S) {
            Some(TrialResult::Acquired)
        } else if running.trial_elapsed >= self.options.timeout.0 - ROUNDING_S {
            step.commands.push(Command::PlaceCursor(running.target.position));
            Some(TrialResult::Timeout)
        } else {
            None
        };
        if let Some(result) = result {
            self.score.record(result, running.trial_elapsed);
            running.trial_runs = false;
            let outward = !running.outward;
            step.tell(
                tick.time,
                EventBody::Trial { trial: running.trial, phase: Phase::End, result: Some(result) },
            );
            if !over {
                self.present(outward, tick.time, &mut step);
            }
        }
        if over {
            self.end_block(tick.time, &mut step);
        }
        step
    }

    /// The block that runs, if any.
    pub fn block(&self) -> Option<TaskBlock> {
        self.running.as_ref().map(|running| running.block)
    }

    /// The target shown, if any.
    pub fn target(&self) -> Option<Target> {
        self.running.as_ref().map(|running| running.target)
    }

    /// The number of the trial that runs, if any; counts from 0 over all blocks.
    pub fn trial(&self) -> Option<u64> {
        self.running.as_ref().map(|running| running.trial)
    }

    /// Seconds of the block that runs, counted so far.
    pub fn elapsed(&self) -> Seconds {
        Seconds(self.running.as_ref().map_or(0.0, |running| running.elapsed))
    }

    /// How the newest block went so far.
    pub fn score(&self) -> &TaskScore {
        &self.score
    }

    /// Seconds of stream time that this tick adds to the clocks; none where it pauses them.
    fn counted_time(&mut self, tick: Radial8Tick) -> Option<f64> {
        let last = self.last_tick.replace(tick.time)?;
        seconds_that_count(last, tick.time, tick.state)
    }

    /// Shows the next target and begins its trial.
    fn present(&mut self, outward: bool, time: LslTime, step: &mut TaskStep) {
        let position = if outward { self.next_outer_position() } else { self.options.centre };
        let Some(running) = &mut self.running else {
            return;
        };
        running.target = Target { position, radius: self.options.radius };
        running.outward = outward;
        running.trial = self.next_trial;
        running.trial_runs = true;
        running.trial_elapsed = 0.0;
        running.held = None;
        self.next_trial += 1;
        step.tell(time, EventBody::Trial { trial: running.trial, phase: Phase::Start, result: None });
        step.tell(time, EventBody::Target(Some(running.target)));
        step.commands
            .push(Command::Task(TaskState { target: Some(running.target), drive: running.block.drive() }));
    }

    fn next_outer_position(&mut self) -> Position {
        if self.directions.is_empty() {
            self.directions.extend(0..8);
            self.directions.shuffle(&mut self.generator);
        }
        let direction = f64::from(self.directions.pop().unwrap_or_default()) * FRAC_PI_4;
        let [x, y] = self.options.centre.0;
        let (sin, cos) = direction.sin_cos();
        Position([x + self.options.distance * cos, y + self.options.distance * sin])
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
        step.commands.push(Command::Task(TaskState { target: None, drive: running.block.drive() }));
    }
}

impl TaskStep {
    fn tell(&mut self, time: LslTime, content: EventBody) {
        self.events.push(TaskEvent { time, content });
    }
}
