//! What every task has to keep, whatever it shows: the registry, walked.
#![expect(clippy::unwrap_used, reason = "a test that cannot build its subject has failed")]

use kalmind_session::{TASKS, Task, TaskError, TaskKind, TaskOption, TaskStep, TaskTick, task_named};
use kalmind_types::{Command, EventBody, LslTime, OutputState, Phase, Position, Seconds, TaskBlock};
use proptest::prelude::*;

const BLOCKS: [TaskBlock; 3] = [TaskBlock::OpenLoop, TaskBlock::ClosedLoop, TaskBlock::Evaluation];

/// What happens to a task.
#[derive(Clone, Debug)]
enum Happening {
    Start {
        block: usize,
        seconds: f64,
    },
    Stop,
    /// So much later a tick comes, in this state, with the cursor there; none: on the target, if one is shown.
    Tick {
        later: f64,
        state: OutputState,
        cursor: Option<[f64; 2]>,
    },
}

fn happening() -> impl Strategy<Value = Happening> {
    let later = prop_oneof![20 => Just(0.02), 3 => 0.0..0.5, 1 => 1.0..100.0, 1 => -50.0..0.0];
    let state =
        prop_oneof![6 => Just(OutputState::Control), 1 => prop::sample::select(&OutputState::ALL[..])];
    let odd = prop_oneof![0.0..1.0_f64, prop::num::f64::ANY];
    let cursor = prop_oneof![4 => Just(None), 1 => prop::array::uniform2(odd).prop_map(Some)];
    prop_oneof![
        1 => (0..BLOCKS.len(), prop_oneof![0.0..20.0, Just(f64::INFINITY)])
            .prop_map(|(block, seconds)| Happening::Start { block, seconds }),
        1 => Just(Happening::Stop),
        40 => (later, state, cursor).prop_map(|(later, state, cursor)| Happening::Tick { later, state, cursor }),
    ]
}

/// Lets everything happen to a task, and hands over what came of each.
fn run(
    task: &mut dyn Task,
    happenings: &[Happening],
    mut see: impl FnMut(&Happening, f64, &dyn Task, &TaskStep),
) {
    let mut time = 100.0;
    for happening in happenings {
        let before = task.elapsed().0;
        let step = match *happening {
            Happening::Start { block, seconds } => task.start(BLOCKS[block], Seconds(seconds), LslTime(time)),
            Happening::Stop => task.stop(LslTime(time)),
            Happening::Tick { later, state, cursor } => {
                time += later;
                let on_target = || task.target().map_or([0.5; 2], |target| target.position.0);
                let position = Position(cursor.unwrap_or_else(on_target));
                task.step(TaskTick { time: LslTime(time), position, state, click: None })
            }
        };
        see(happening, before, &*task, &step);
    }
}

fn build(kind: &TaskKind, seed: u64) -> Box<dyn Task> {
    kind.build(seed, &[]).unwrap()
}

#[test]
fn each_has_a_name_of_its_own_and_options_that_say_what_they_are() {
    for kind in TASKS {
        assert_eq!(task_named(kind.name).map(|found| found.name), Some(kind.name));
        assert_eq!(TASKS.iter().filter(|other| other.name == kind.name).count(), 1);
        assert!(
            kind.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        );
        assert!(!kind.about.is_empty());
        for option in kind.options {
            assert!(!option.about.is_empty() && !option.unit.is_empty(), "{}: {option:?}", kind.name);
            // said as it is by default, nothing changes
            let task = kind.build(1, &[(option.name, option.default)]);
            assert!(task.is_ok(), "{}: {option:?}: {task:?}", kind.name);
            for odd in [f64::NAN, f64::INFINITY] {
                let refused = kind.build(1, &[(option.name, odd)]);
                assert!(matches!(refused, Err(TaskError::OutOfRange { .. })), "{}: {option:?}", kind.name);
            }
        }
        let unknown = kind.build(1, &[("no-such-option", 1.0)]).unwrap_err();
        assert!(unknown.to_string().contains("no-such-option"), "{unknown}");
    }
}

#[test]
fn the_page_of_tasks_shows_every_option_as_it_is() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/tasks.md")).unwrap();
    for kind in TASKS {
        let section = page.split(&format!("\n## `{}`\n", kind.name)).nth(1).unwrap_or_default();
        let section = section.split("\n## ").next().unwrap_or_default();
        let row = |option: &TaskOption| {
            format!("| `{}` | {} | {} | {} |", option.name, option.unit, option.default, option.about)
        };
        let rows: Vec<String> = kind.options.iter().map(row).collect();
        let shown: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(shown, rows, "{}", kind.name);
    }
}

#[test]
fn every_target_lies_wholly_in_the_extent_which_is_no_larger_than_it_has_to_be() {
    for kind in TASKS {
        let mut task = build(kind, 1);
        let [low, high] = task.extent();
        // of x and of y, the least and the greatest
        let mut seen = [(f64::INFINITY, f64::NEG_INFINITY); 2];
        task.start(TaskBlock::ClosedLoop, Seconds(f64::INFINITY), LslTime(0.0));
        for tick in 1..20_000 {
            let target = task.target().unwrap();
            for ((least, greatest), at) in seen.iter_mut().zip(target.position.0) {
                *least = least.min(at - target.radius);
                *greatest = greatest.max(at + target.radius);
            }
            let (time, state) = (LslTime(f64::from(tick) * 0.1), OutputState::Control);
            task.step(TaskTick { time, position: target.position, state, click: None });
        }
        for ((least, greatest), (low, high)) in seen.into_iter().zip(low.0.into_iter().zip(high.0)) {
            let spare = [least - low, high - greatest];
            let is_close = |spare: &f64| (-1e-9..0.02).contains(spare);
            assert!(spare.iter().all(is_close), "{}: {spare:?}", kind.name);
        }
    }
}

#[test]
fn another_seed_shows_something_else_and_a_block_of_no_time_ends_at_once() {
    for kind in TASKS {
        let shown = |seed: u64| {
            let mut task = build(kind, seed);
            task.start(TaskBlock::ClosedLoop, Seconds(f64::INFINITY), LslTime(0.0));
            let mut targets = Vec::new();
            for tick in 1..5000 {
                let position = task.target().unwrap().position;
                task.step(TaskTick {
                    time: LslTime(f64::from(tick) * 0.02),
                    position,
                    state: OutputState::Control,
                    click: None,
                });
                targets.extend(task.target().map(|target| target.position.0));
            }
            targets
        };
        assert_ne!(shown(1), shown(2), "{}", kind.name);
        let mut task = build(kind, 1);
        task.start(TaskBlock::ClosedLoop, Seconds(0.0), LslTime(0.0));
        let tick = TaskTick {
            time: LslTime(0.02),
            position: Position([0.5; 2]),
            state: OutputState::Control,
            click: None,
        };
        task.step(tick);
        assert_eq!((task.block(), task.target(), task.trial()), (None, None, None));
        assert_eq!(task.step(TaskTick { time: LslTime(0.04), ..tick }), TaskStep::default());
    }
}

/// A block without an end of a task with these options, and ticks that find the cursor on the target.
struct OnTarget {
    task: Box<dyn Task>,
    time: f64,
}

impl OnTarget {
    fn started(kind: &TaskKind, options: &[(&str, f64)]) -> Self {
        let mut task = kind.build(1, options).unwrap();
        task.start(TaskBlock::ClosedLoop, Seconds(f64::INFINITY), LslTime(0.0));
        Self { task, time: 0.0 }
    }

    fn tick(&mut self) -> TaskStep {
        self.time += 0.02;
        let position = self.task.target().map_or(Position([0.5; 2]), |target| target.position);
        self.task.step(TaskTick {
            time: LslTime(self.time),
            position,
            state: OutputState::Control,
            click: None,
        })
    }

    /// Ticks until so many targets were acquired.
    fn acquire(&mut self, targets: u64) {
        while self.task.score().acquired() < targets {
            self.tick();
            assert!(self.time < 100.0, "nothing is acquired");
        }
    }

    fn assert_times(&self, expected: &[f64]) {
        let times = self.task.score().times_to_target();
        let equal = times.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-9);
        assert!(equal && times.len() == expected.len(), "{times:?}, {expected:?}");
    }
}

#[test]
fn between_trials_a_task_rests_without_a_target_and_that_time_is_of_no_trial() {
    for kind in TASKS {
        let mut ticks = OnTarget::started(kind, &[("rest", 0.5), ("hold", 0.1)]);
        ticks.acquire(1);
        let before = ticks.task.elapsed().0;
        for _ in 0..24 {
            assert_eq!((ticks.task.target(), ticks.task.trial()), (None, None), "{}", kind.name);
            assert_eq!(ticks.tick(), TaskStep::default());
        }
        let step = ticks.tick();
        assert!(ticks.task.target().is_some() && ticks.task.trial() == Some(1), "{}: {step:?}", kind.name);
        assert!((ticks.task.elapsed().0 - before - 0.5).abs() < 1e-9, "the block goes on");
        ticks.acquire(2);
        ticks.assert_times(&[0.12, 0.12]);
    }
}

#[test]
fn for_the_refractory_time_after_a_selection_no_hold_begins() {
    for kind in TASKS {
        let mut ticks = OnTarget::started(kind, &[("refractory", 0.4), ("hold", 0.1)]);
        ticks.acquire(3);
        ticks.assert_times(&[0.12, 0.5, 0.5]);
        // what a rest leaves of it counts on
        let mut ticks = OnTarget::started(kind, &[("refractory", 0.4), ("rest", 0.3), ("hold", 0.1)]);
        ticks.acquire(2);
        ticks.assert_times(&[0.12, 0.2]);
    }
}

proptest! {
    #[test]
    fn blocks_and_trials_come_in_pairs_and_time_stands_still_while_the_state_does_not_move(
        seed in any::<u64>(),
        rest in prop_oneof![Just(0.0), 0.0..3.0],
        refractory in prop_oneof![Just(0.0), 0.0..3.0],
        happenings in prop::collection::vec(happening(), 1..300),
    ) {
        for kind in TASKS {
            let mut task = kind.build(seed, &[("rest", rest), ("refractory", refractory)]).unwrap();
            let (mut block, mut trial, mut next, mut ended) = (None, None, 0, 0_u64);
            run(&mut *task, &happenings, |happening, before, task, step| {
                match *happening {
                    Happening::Start { .. } => {
                        assert!(task.elapsed().0.abs() < f64::MIN_POSITIVE);
                        ended = 0;
                    }
                    Happening::Stop => assert_eq!(task.block(), None),
                    Happening::Tick { later, state, .. } => {
                        let counts = state.moves() && later > 0.0 && later <= 1.0;
                        let elapsed = task.elapsed().0;
                        assert!(counts || elapsed.to_bits() == before.to_bits(), "{state} for {later} s: {before} -> {elapsed} s");
                        if !counts {
                            assert_eq!(*step, TaskStep::default());
                        }
                    }
                }
                let mut shown = task.target();
                for event in step.events.iter().rev() {
                    if let EventBody::Target(target) = event.content {
                        shown = target;
                        break;
                    }
                }
                assert_eq!(task.target(), shown, "what is told is what is shown");
                for event in &step.events {
                    match event.content {
                        EventBody::TaskBlock { block: told, phase: Phase::Start } => {
                            assert_eq!((block.replace(told), trial), (None, None));
                        }
                        EventBody::TaskBlock { block: told, phase: Phase::End } => {
                            assert_eq!((block.take(), trial), (Some(told), None));
                        }
                        EventBody::Trial { trial: number, phase: Phase::Start, result } => {
                            assert_eq!((trial.replace(number), number, result), (None, next, None));
                            next += 1;
                        }
                        EventBody::Trial { trial: number, phase: Phase::End, result } => {
                            assert_eq!(trial.take(), Some(number));
                            ended += u64::from(result.is_some() && !matches!(happening, Happening::Start { .. }));
                        }
                        EventBody::Target(Some(target)) => {
                            assert!(target.radius > 0.0 && target.position.0.iter().all(|at| at.is_finite()));
                        }
                        EventBody::Target(None) => {}
                        _ => unreachable!("a task of our own says nothing else: {event:?}"),
                    }
                }
                assert_eq!(task.block(), block);
                assert_eq!(task.block().and(task.trial()), trial);
                assert_eq!(task.score().presented(), ended, "each trial that ended by itself, once");
                for command in &step.commands {
                    assert!(matches!(command, Command::PlaceCursor(_) | Command::Task(_)), "{command:?}");
                }
            });
        }
    }

    #[test]
    fn the_same_seed_and_ticks_give_the_same_events(
        seed in any::<u64>(),
        happenings in prop::collection::vec(happening(), 1..200),
    ) {
        for kind in TASKS {
            let steps = || {
                let mut steps = Vec::new();
                run(&mut *build(kind, seed), &happenings, |_, _, _, step| steps.push(step.clone()));
                steps
            };
            prop_assert_eq!(steps(), steps());
        }
    }
}
