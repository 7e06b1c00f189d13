//! What every task of Kalmind's own is: targets shown and the cursor placed, tick by tick.

use core::fmt;

use kalmind_types::{Click, Command, EventBody, LslTime, OutputState, Position, Seconds, Target, TaskBlock};

use crate::{TaskEvent, TaskScore};

/// A step of stream time longer than this is a gap: none of it counts.
const LONGEST_STEP_S: f64 = 1.0;

/// A task as a state machine. Lives off the tick thread: its answers allocate.
///
/// **Life.** [`start`](Self::start) begins a block, then comes a [`step`](Self::step) for every tick, in order. The block
/// ends by itself once its time has passed, or with [`stop`](Self::stop); then steps change nothing and say nothing until
/// the next `start`, which may come at any time and breaks off a block that runs. No call panics, whatever ticks bring.
///
/// **What it says.** Events and commands of a step belong together: events are stamped with the tick's time, commands are
/// done at the start of the next tick, in order. Blocks and trials begin and end in pairs, trials inside their block, one
/// at a time and numbered from 0 over all blocks; the end of a block takes the target away. Equal seeds and equal ticks
/// give equal events.
///
/// **Time that counts.** Blocks and trials are timed in stream time between consecutive ticks of which the later one could
/// move the cursor (see [`seconds_that_count`]). While the state is `idle`, `hold`, `stale` or `fault` their clocks stand
/// still, so do they over a gap of more than a second or a step back in time.
pub trait Task: fmt::Debug + Send {
    /// Begins a block of `duration` at `time` (the newest tick's), breaking off one that runs. The score starts anew.
    fn start(&mut self, block: TaskBlock, duration: Seconds, time: LslTime) -> TaskStep;
    /// Handles one tick.
    fn step(&mut self, tick: TaskTick) -> TaskStep;
    /// Ends the block that runs, if any.
    fn stop(&mut self, time: LslTime) -> TaskStep;
    /// The block that runs, if any.
    fn block(&self) -> Option<TaskBlock>;
    /// The corner at the bottom left and the one at the top right of the smallest rectangle in which all its targets lie wholly.
    fn extent(&self) -> [Position; 2];
    /// The target shown, if any.
    fn target(&self) -> Option<Target>;
    /// The number of the trial that runs, if any; counts from 0 over all blocks.
    fn trial(&self) -> Option<u64>;
    /// Seconds of the block that runs, counted so far.
    fn elapsed(&self) -> Seconds;
    /// How the newest block went so far: every trial that ended by itself counts as presented, the one cut short by the end
    /// of the block does not.
    fn score(&self) -> &TaskScore;
}

/// What a task sees of a tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TaskTick {
    /// The tick's time (the end of its bin).
    pub time: LslTime,
    /// The cursor at the end of the tick.
    pub position: Position,
    /// The tick's output state.
    pub state: OutputState,
    /// What came of clicks; none where nothing decodes them.
    pub click: Option<Click>,
}

/// Seconds of task time from the tick at `last` to the one at `time`, which was in `state`; none where they do not count,
/// see [`Task`]. Whoever times trials afterwards counts by this too.
pub fn seconds_that_count(last: LslTime, time: LslTime, state: OutputState) -> Option<f64> {
    let seconds = (time - last).0;
    (state.moves() && seconds > 0.0 && seconds <= LONGEST_STEP_S).then_some(seconds)
}

/// What a step of a task gave: to be told to everyone, and to be done at the start of the next tick, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskStep {
    /// Events, stamped with the tick's time.
    pub events: Vec<TaskEvent>,
    /// Commands for the engine.
    pub commands: Vec<Command>,
}

impl TaskStep {
    pub(crate) fn tell(&mut self, time: LslTime, content: EventBody) {
        self.events.push(TaskEvent { time, content });
    }
}

/// Why there is no such task.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TaskError {
    /// An option that the task does not have.
    #[error("the task {task} has no option {option}; it has {known}")]
    UnknownOption {
        /// The task.
        task: &'static str,
        /// What was asked for.
        option: String,
        /// Those that there are.
        known: String,
    },
    /// An option that is out of range.
    #[error("{option} is {value}; {expected}")]
    OutOfRange {
        /// Which.
        option: &'static str,
        /// Its value.
        value: f64,
        /// What would be right.
        expected: &'static str,
    },
}

/// An option of a task: a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TaskOption {
    /// Its name.
    pub name: &'static str,
    /// What it is in.
    pub unit: &'static str,
    /// What it is where nobody says.
    pub default: f64,
    /// What it is, in a sentence.
    pub about: &'static str,
}

impl TaskOption {
    /// An option.
    pub const fn new(name: &'static str, unit: &'static str, default: f64, about: &'static str) -> Self {
        Self { name, unit, default, about }
    }
}

/// Makes a task that waits for its first block, of a seed and options.
pub(crate) type Build = fn(u64, &OptionValues<'_>) -> Result<Box<dyn Task>, TaskError>;

/// A task that can be chosen by name.
#[derive(Debug)]
pub struct TaskKind {
    /// Its name.
    pub name: &'static str,
    /// What the participant does, in a sentence.
    pub about: &'static str,
    /// Its options.
    pub options: &'static [TaskOption],
    pub(crate) build: Build,
}

/// The values of a task's options, those that nobody gave among them.
#[derive(Debug)]
pub(crate) struct OptionValues<'a> {
    kind: &'a TaskKind,
    given: &'a [(&'a str, f64)],
}

impl OptionValues<'_> {
    /// The value of an option that the task declares.
    pub(crate) fn get(&self, name: &str) -> f64 {
        let given = self.given.iter().rev().find(|(option, _)| *option == name).map(|(_, value)| *value);
        let default = || self.kind.options.iter().find(|option| option.name == name);
        given.or_else(|| default().map(|option| option.default)).unwrap_or(f64::NAN)
    }
}

impl TaskKind {
    /// A task that waits for its first block, with these options and the others as they are by default; `seed` decides
    /// whatever is random in it.
    ///
    /// # Errors
    /// [`TaskError`] where an option is unknown or out of range.
    pub fn build(&self, seed: u64, options: &[(&str, f64)]) -> Result<Box<dyn Task>, TaskError> {
        let is_known = |name: &str| self.options.iter().any(|option| option.name == name);
        if let Some((option, _)) = options.iter().find(|(name, _)| !is_known(name)) {
            let known: Vec<&str> = self.options.iter().map(|option| option.name).collect();
            let (option, known) = ((*option).to_owned(), known.join(", "));
            return Err(TaskError::UnknownOption { task: self.name, option, known });
        }
        (self.build)(seed, &OptionValues { kind: self, given: options })
    }
}
