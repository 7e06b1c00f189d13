//! The Radial-8 task as a program that runs it sees it.
#![expect(clippy::unwrap_used, reason = "a test that cannot build its subject has failed")]

use kalmind_session::{Task, TaskError, TaskStep, TaskTick, task_named};
use kalmind_types::{
    Command, CursorDrive, EventBody, LslTime, OperatorAction, OutputState, Phase, Position, Seconds, Target,
    TaskBlock, TaskState, TrialResult,
};

const BIN_S: f64 = 0.02;
const CENTRE: Position = Position([0.5, 0.5]);

fn radial8(seed: u64, options: &[(&str, f64)]) -> Result<Box<dyn Task>, TaskError> {
    task_named("radial8").unwrap().build(seed, options)
}

/// Steps a task with a cursor that the test places.
struct Bench {
    task: Box<dyn Task>,
    tick: u32,
}

impl Bench {
    fn started(block: TaskBlock, seconds: f64) -> (Self, TaskStep) {
        let mut task = radial8(1, &[]).unwrap();
        let step = task.start(block, Seconds(seconds), LslTime(100.0));
        (Self { task, tick: 0 }, step)
    }

    fn step(&mut self, position: Position, state: OutputState) -> TaskStep {
        self.tick += 1;
        self.task.step(TaskTick {
            time: LslTime(100.0 + f64::from(self.tick) * BIN_S),
            position,
            state,
            click: None,
        })
    }

    /// Steps until an event comes; how many steps that took.
    fn until_told(&mut self, position: Position) -> (u32, TaskStep) {
        for steps in 1..10_000 {
            let step = self.step(position, OutputState::Control);
            if !step.events.is_empty() {
                return (steps, step);
            }
        }
        unreachable!("the task says nothing");
    }
}

fn contents(step: &TaskStep) -> Vec<EventBody> {
    step.events.iter().map(|event| event.content.clone()).collect()
}

#[test]
fn a_block_starts_with_the_cursor_on_the_centre_and_an_outer_target() {
    let (bench, step) = Bench::started(TaskBlock::OpenLoop, 30.0);
    let target = bench.task.target().unwrap();
    assert!((target.position.distance(CENTRE) - 0.3).abs() < 1e-15 && (target.radius - 0.06).abs() < 1e-15);
    assert_eq!(
        contents(&step),
        [
            EventBody::TaskBlock { block: TaskBlock::OpenLoop, phase: Phase::Start },
            EventBody::Trial { trial: 0, phase: Phase::Start, result: None },
            EventBody::Target(Some(target)),
        ]
    );
    let state = TaskState { target: Some(target), drive: CursorDrive::Label, ..TaskState::default() };
    assert_eq!(step.commands, [Command::PlaceCursor(CENTRE), Command::Task(state)]);
    assert!(step.events.iter().all(|event| event.time == LslTime(100.0)));
}

#[test]
fn a_target_is_acquired_after_the_hold_and_the_centre_follows() {
    let (mut bench, _) = Bench::started(TaskBlock::ClosedLoop, 60.0);
    let outer = bench.task.target().unwrap().position;
    let (steps, step) = bench.until_told(outer);
    // first seen inside at the first step, then 15 steps of 20 ms
    assert_eq!(steps, 16);
    let centre = Target { position: CENTRE, radius: 0.06 };
    assert_eq!(
        contents(&step),
        [
            EventBody::Trial { trial: 0, phase: Phase::End, result: Some(TrialResult::Acquired) },
            EventBody::Trial { trial: 1, phase: Phase::Start, result: None },
            EventBody::Target(Some(centre)),
        ]
    );
    let state = TaskState { target: Some(centre), drive: CursorDrive::Decoder, ..TaskState::default() };
    assert_eq!(step.commands, [Command::Task(state)]);
    assert!((bench.task.score().median_time_to_target().unwrap() - 0.32).abs() < 1e-9);
}

#[test]
fn leaving_the_target_restarts_the_hold() {
    let (mut bench, _) = Bench::started(TaskBlock::ClosedLoop, 60.0);
    let outer = bench.task.target().unwrap().position;
    for _ in 0..14 {
        assert!(bench.step(outer, OutputState::Control).events.is_empty());
    }
    assert!(bench.step(CENTRE, OutputState::Control).events.is_empty());
    assert_eq!(bench.until_told(outer).0, 16);
}

#[test]
fn a_timeout_puts_the_cursor_on_the_target_so_that_doing_nothing_scores_nothing() {
    let (mut bench, _) = Bench::started(TaskBlock::ClosedLoop, 60.0);
    let mut position = CENTRE;
    while bench.task.block().is_some() {
        for command in bench.step(position, OutputState::Control).commands {
            if let Command::PlaceCursor(place) = command {
                position = place;
            }
        }
    }
    assert_eq!((bench.task.score().presented(), bench.task.score().acquired()), (12, 0));
}

#[test]
fn time_in_which_the_cursor_may_not_move_does_not_count() {
    for state in [OutputState::Idle, OutputState::Hold, OutputState::Stale, OutputState::Fault] {
        let (mut bench, _) = Bench::started(TaskBlock::ClosedLoop, 60.0);
        let outer = bench.task.target().unwrap().position;
        for _ in 0..10 {
            bench.step(outer, OutputState::Control);
        }
        let elapsed = bench.task.elapsed();
        for _ in 0..1000 {
            assert_eq!(bench.step(outer, state), TaskStep::default());
        }
        assert_eq!(bench.task.elapsed(), elapsed);
        let (steps, _) = bench.until_told(outer);
        assert_eq!(steps, 16, "the hold starts over after {state}");
        assert!((bench.task.score().times_to_target()[0] - 26.0 * BIN_S).abs() < 1e-9);
    }
}

#[test]
fn a_gap_or_a_step_back_in_time_counts_as_a_pause() {
    let (mut bench, _) = Bench::started(TaskBlock::ClosedLoop, 60.0);
    bench.step(CENTRE, OutputState::Control);
    let elapsed = bench.task.elapsed();
    for time in [500.0, 3.0] {
        bench.task.step(TaskTick {
            time: LslTime(time),
            position: CENTRE,
            state: OutputState::Control,
            click: None,
        });
    }
    assert_eq!(bench.task.elapsed(), elapsed);
}

#[test]
fn each_round_visits_every_direction_once_in_an_order_that_the_seed_decides() {
    let order = |seed: u64| {
        let mut task = radial8(seed, &[]).unwrap();
        task.start(TaskBlock::ClosedLoop, Seconds(1e6), LslTime(0.0));
        let mut directions = Vec::new();
        let mut tick = 0;
        while directions.len() < 24 {
            tick += 1;
            let position = task.target().unwrap().position;
            if position != CENTRE && directions.last().is_none_or(|&(trial, _)| Some(trial) != task.trial()) {
                let [x, y] = CENTRE.to(position);
                directions
                    .push((task.trial().unwrap(), (y.atan2(x).to_degrees().round() as i32 + 360) % 360));
            }
            let time = LslTime(f64::from(tick) * BIN_S);
            task.step(TaskTick { time, position, state: OutputState::Control, click: None });
        }
        directions.into_iter().map(|(_, degrees)| degrees).collect::<Vec<_>>()
    };
    for round in order(1).chunks(8) {
        let mut sorted = round.to_vec();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 45, 90, 135, 180, 225, 270, 315]);
    }
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
}

#[test]
fn the_end_of_a_block_takes_the_target_away_and_cuts_the_trial_short_uncounted() {
    let (mut bench, _) = Bench::started(TaskBlock::Evaluation, 0.1);
    let (steps, step) = bench.until_told(CENTRE);
    assert_eq!(steps, 5);
    assert_eq!(
        contents(&step),
        [
            EventBody::Trial { trial: 0, phase: Phase::End, result: None },
            EventBody::Target(None),
            EventBody::TaskBlock { block: TaskBlock::Evaluation, phase: Phase::End },
        ]
    );
    assert_eq!((bench.task.block(), bench.task.target(), bench.task.trial()), (None, None, None));
    assert_eq!(bench.task.score().presented(), 0);
    assert_eq!(bench.step(CENTRE, OutputState::Control), TaskStep::default());
    assert_eq!(bench.task.stop(LslTime(200.0)), TaskStep::default());
}

#[test]
fn trials_are_numbered_over_all_blocks_and_the_score_is_of_the_newest() {
    let (mut bench, _) = Bench::started(TaskBlock::OpenLoop, 30.0);
    let outer = bench.task.target().unwrap().position;
    bench.until_told(outer);
    assert_eq!(bench.task.score().acquired(), 1);
    let step = bench.task.start(TaskBlock::ClosedLoop, Seconds(60.0), LslTime(130.0));
    assert_eq!(contents(&step)[..3].len(), 3);
    assert_eq!(contents(&step)[0], EventBody::Trial { trial: 1, phase: Phase::End, result: None });
    assert_eq!((bench.task.trial(), bench.task.score().presented()), (Some(2), 0));
}

#[test]
fn impossible_settings_are_refused() {
    for (option, value) in [
        ("radius", 0.0),
        ("distance", f64::NAN),
        ("timeout", -1.0),
        ("hold", 5.0),
        ("centre_x", f64::INFINITY),
    ] {
        let refused = radial8(1, &[(option, value)]);
        assert!(matches!(refused, Err(TaskError::OutOfRange { option: named, .. }) if named == option));
    }
}

#[test]
fn blocks_name_the_mode_that_they_need() {
    use kalmind_types::Mode;
    assert_eq!(TaskBlock::OpenLoop.mode(), Mode::Calibrating);
    assert_eq!(TaskBlock::ClosedLoop.mode(), Mode::Control);
    assert_eq!(OperatorAction::Control.mode(), Some(Mode::Control));
    assert_eq!(OperatorAction::Stop.mode(), None);
    assert_eq!(OperatorAction::Resume.mode(), None);
}
