//! Which target, trial and block were in force at a time: one answer for the labels of a running session, for a fit from its
//! recording, and for its report.

use kalmind_types::{EventBody, LslTime, Phase, Target, TaskBlock};

use crate::history::{CAPACITY, History};

/// What a task told, by the stamps of its events and not by the order in which they came: a target that is announced
/// counts from its time on, and one that comes late changes nothing where a newer one is in force. Of two events with one
/// stamp the later to come counts.
///
/// One block runs at a time: where another one begins, the one before is over, and the end of a block that is not running
/// ends nothing. A block whose end was never told goes on.
#[derive(Clone, Debug)]
pub struct Timeline {
    targets: History<Option<Target>>,
    trials: History<Option<u64>>,
    blocks: History<(TaskBlock, Phase)>,
}

/// What is in force at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct InForce {
    /// The target that is shown.
    pub target: Option<Target>,
    /// The trial that runs.
    pub trial: Option<u64>,
    /// The block that runs.
    pub block: Option<TaskBlock>,
}

impl Timeline {
    /// Of a session that runs: keeps the newest few thousand events of a kind.
    pub fn running() -> Self {
        Self::keeping(CAPACITY)
    }

    /// Of a recording: keeps all.
    pub fn recorded() -> Self {
        Self::keeping(usize::MAX)
    }

    fn keeping(capacity: usize) -> Self {
        Self {
            targets: History::new(capacity),
            trials: History::new(capacity),
            blocks: History::new(capacity),
        }
    }

    /// Takes an event. Those that are no target, trial or block change nothing.
    pub fn take(&mut self, time: LslTime, event: &EventBody) {
        match *event {
            EventBody::Target(target) => self.targets.insert(time, target),
            EventBody::Trial { trial, phase, .. } => {
                self.trials.insert(time, (phase == Phase::Start).then_some(trial));
            }
            EventBody::TaskBlock { block, phase } => self.blocks.insert(time, (block, phase)),
            _ => {}
        }
    }

    /// What is in force at `time`: what was told with that stamp or an earlier one.
    pub fn at(&self, time: LslTime) -> InForce {
        let target = self.targets.at(time).flatten();
        let trial = self.trials.at(time).flatten();
        let blocks = self.blocks.iter().take_while(|(told, _)| *told <= time);
        InForce { target, trial, block: blocks.fold(None, |block, (_, told)| after(block, told)) }
    }

    /// What is in force in a bin: target and trial at its start, and the block that the whole of it lies in.
    pub fn over(&self, start: LslTime, end: LslTime) -> InForce {
        let now = self.at(start);
        let within = self.blocks.iter().filter(|(told, _)| start < *told && *told < end);
        let is_whole =
            within.fold(true, |is_whole, (_, told)| is_whole && after(now.block, told) == now.block);
        InForce { block: now.block.filter(|_| is_whole), ..now }
    }

    /// The blocks that began, in the order of their times.
    pub fn blocks(&self) -> impl Iterator<Item = TaskBlock> {
        self.blocks.iter().filter(|(_, (_, phase))| *phase == Phase::Start).map(|(_, (block, _))| block)
    }

    /// Forgets targets and trials that are over by `time`.
    pub fn forget(&mut self, time: LslTime) {
        self.targets.forget(time);
        self.trials.forget(time);
    }
}

/// The block that runs after a beginning or an end was told.
fn after(running: Option<TaskBlock>, (block, phase): (TaskBlock, Phase)) -> Option<TaskBlock> {
    match phase {
        Phase::Start => Some(block),
        Phase::End => running.filter(|running| *running != block),
    }
}

#[cfg(test)]
mod tests {
    use TaskBlock::{ClosedLoop, Evaluation, OpenLoop};
    use kalmind_types::Position;

    use super::*;

    fn target(x: f64) -> Target {
        Target { position: Position([x, 0.5]), radius: 0.06 }
    }

    fn timeline(events: &[(f64, EventBody)]) -> Timeline {
        let mut timeline = Timeline::recorded();
        for (time, event) in events {
            timeline.take(LslTime(*time), event);
        }
        timeline
    }

    fn block(block: TaskBlock, phase: Phase) -> EventBody {
        EventBody::TaskBlock { block, phase }
    }

    #[test]
    fn a_bin_has_the_target_and_trial_of_its_start() {
        let timeline = timeline(&[
            (1.0, EventBody::Trial { trial: 7, phase: Phase::Start, result: None }),
            (1.0, EventBody::Target(Some(target(0.2)))),
            (2.0, EventBody::Target(None)),
            (2.0, EventBody::Trial { trial: 7, phase: Phase::End, result: None }),
        ]);
        let at = |time: f64| timeline.over(LslTime(time), LslTime(time + 0.02));
        assert_eq!(at(0.99), InForce::default());
        assert_eq!(at(1.0), InForce { target: Some(target(0.2)), trial: Some(7), block: None });
        assert_eq!(at(1.99).target, Some(target(0.2)));
        assert_eq!(at(2.0), InForce::default());
    }

    #[test]
    fn a_target_that_comes_late_changes_nothing_where_a_newer_one_is_in_force() {
        let shown =
            [(2.0, EventBody::Target(Some(target(0.2)))), (1.0, EventBody::Target(Some(target(0.1))))];
        let timeline = timeline(&shown);
        assert_eq!(timeline.at(LslTime(1.5)).target, Some(target(0.1)));
        assert_eq!(timeline.at(LslTime(2.5)).target, Some(target(0.2)));
    }

    #[test]
    fn a_target_that_is_announced_counts_from_its_time_on() {
        let announced = (5.0, EventBody::Target(Some(target(0.5))));
        let timeline = timeline(&[announced, (2.0, EventBody::Target(Some(target(0.2))))]);
        assert_eq!(timeline.at(LslTime(4.9)).target, Some(target(0.2)));
        assert_eq!(timeline.at(LslTime(5.0)).target, Some(target(0.5)));
    }

    #[test]
    fn one_block_runs_at_a_time_and_the_end_of_another_ends_nothing() {
        let timeline = timeline(&[
            (1.0, block(OpenLoop, Phase::Start)),
            (5.0, block(Evaluation, Phase::Start)),
            (9.0, block(OpenLoop, Phase::End)),
            (12.0, block(Evaluation, Phase::End)),
            // begun twice
            (20.0, block(OpenLoop, Phase::Start)),
            (25.0, block(OpenLoop, Phase::Start)),
            (30.0, block(OpenLoop, Phase::End)),
            // its end was never told
            (40.0, block(ClosedLoop, Phase::Start)),
        ]);
        let course = [
            (0.5, None),
            (1.0, Some(OpenLoop)),
            (6.0, Some(Evaluation)),
            (10.0, Some(Evaluation)),
            (12.0, None),
            (22.0, Some(OpenLoop)),
            (27.0, Some(OpenLoop)),
            (30.0, None),
            (4000.0, Some(ClosedLoop)),
        ];
        for (time, block) in course {
            assert_eq!(timeline.at(LslTime(time)).block, block, "{time}");
        }
        assert_eq!(timeline.blocks().count(), 5);
    }

    #[test]
    fn a_bin_is_of_the_block_that_the_whole_of_it_lies_in() {
        let timeline = timeline(&[(1.0, block(OpenLoop, Phase::Start)), (2.0, block(OpenLoop, Phase::End))]);
        let over = |start, end| timeline.over(LslTime(start), LslTime(end)).block;
        assert_eq!(over(0.99, 1.01), None);
        assert_eq!(over(1.0, 1.02), Some(OpenLoop));
        assert_eq!(over(1.98, 2.0), Some(OpenLoop));
        assert_eq!(over(1.99, 2.01), None);
    }

    #[test]
    fn a_running_session_forgets_what_is_over() {
        let mut timeline = Timeline::running();
        for number in 0..10_000 {
            timeline.take(LslTime(f64::from(number)), &EventBody::Target(Some(target(f64::from(number)))));
        }
        timeline.forget(LslTime(9000.5));
        assert_eq!(timeline.at(LslTime(9000.0)).target, Some(target(9000.0)));
        assert_eq!(timeline.at(LslTime(9999.0)).target, Some(target(9999.0)));
        assert_eq!(timeline.at(LslTime(8999.0)).target, None);
    }
}
