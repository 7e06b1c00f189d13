//! What a session shows of itself.

use kalmind_types::{Cause, CursorDrive, Mode, OutputState, Seconds, TaskBlock};

use super::{
    BlockState, Session,
    status::{
        ActionStatus, AssistanceStatus, BlockStatus, ControlStatus, OptionStatus, PresetStatus, SessionState,
        SessionStatus,
    },
};

/// Why a block does not begin yet.
const COMING: &str = "other stages of a stream come into force first; the block begins by itself then";
/// What may be asked for, in the order in which a page shows it.
const ACTIONS: [&str; 12] = [
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
];

impl Session {
    /// Where the session stands.
    #[must_use]
    pub fn status(&self) -> SessionStatus {
        let (drive, help, _) = self.help_now();
        let runs_block = self.state == SessionState::Running && self.task.is_some();
        let plan = self.plan();
        let rest_s = match (self.state, plan) {
            (SessionState::Resting, Some(plan)) => (plan.rest_s - self.elapsed).max(0.0),
            _ => 0.0,
        };
        SessionStatus {
            state: if self.paused.is_some() { SessionState::Paused } else { self.state },
            message: self.message(),
            participant: self.participant.clone(),
            operator: self.person.operator.clone(),
            console: self.person.console.clone(),
            simulated: self.settings.simulated,
            presets: self
                .settings
                .presets
                .iter()
                .map(|preset| PresetStatus {
                    name: preset.name.clone(),
                    title: preset.title.clone(),
                    about: preset.about.clone(),
                    seconds: preset.seconds(),
                    blocks: preset.blocks.len(),
                })
                .collect(),
            preset: self.preset.as_ref().map(|preset| preset.name.clone()),
            blocks: self.block_statuses(),
            block: plan.map(|_| self.at),
            elapsed_s: if self.state == SessionState::Running { self.elapsed } else { 0.0 },
            rest_s,
            seconds_left: self.seconds_left(rest_s),
            assistance: AssistanceStatus {
                attenuation: if runs_block { help.attenuation } else { 0.0 },
                mixing: match drive {
                    _ if !runs_block => 0.0,
                    CursorDrive::Label => 1.0,
                    CursorDrive::Decoder => help.mixing,
                },
                scale: self.assistance_scale,
            },
            signal_check: self
                .signals
                .as_ref()
                .map(|signals| signals.status(self.settings.calibration.max_masked)),
            reference: self.learning.reference.clone(),
            fits: self.fits.status(self.calibration.as_ref()),
            first_target_s: self.first_target_s,
            verdict: self.verdict(),
            control: ControlStatus { allowed: self.may_control(), overridden_by: self.overridden_by.clone() },
            comparison: self
                .comparison
                .as_ref()
                .map(|comparison| comparison.status(self.state == SessionState::Done)),
            options: OptionStatus {
                gain: self.tuning.gain,
                gain_growth: self.tuning.gain_growth,
                smoothing_ms: self.tuning.smoothing.0 * 1e3,
                max_speed: self.tuning.max_speed,
                highest_max_speed: self.settings.max_speed,
                assistance: self.assistance_scale,
                select: self
                    .preset
                    .as_ref()
                    .filter(|preset| preset.selects_by_click())
                    .map(|_| self.clicks.select()),
                click_threshold: self.clicks.tuning.threshold,
                click_hold_ms: self.clicks.tuning.hold.map(Seconds::as_millis),
            },
            actions: ACTIONS
                .iter()
                .map(|action| {
                    let why = self.why_not(action);
                    ActionStatus { action, allowed: why.is_none(), why }
                })
                .collect(),
            notes: self.notes,
            told_by_others: self.beside,
            called: self.called.map(|called| called.0),
        }
    }

    fn block_statuses(&self) -> Vec<BlockStatus> {
        let plans = self.preset.as_ref().map_or(&[][..], |preset| &preset.blocks);
        let statuses = plans.iter().zip(&self.blocks).map(|(plan, record)| BlockStatus {
            block: plan.block.name(),
            title: plan.title.clone(),
            instruction: plan.instruction.clone(),
            task: plan.task.clone(),
            seconds: plan.seconds,
            state: match record.state {
                BlockState::Waiting => "waiting",
                BlockState::Running => "running",
                BlockState::Done => "done",
                BlockState::Skipped => "skipped",
            },
            score: record.score.clone(),
        });
        statuses.collect()
    }

    fn seconds_left(&self, rest_s: f64) -> f64 {
        let plans = self.preset.as_ref().map_or(&[][..], |preset| &preset.blocks);
        let coming =
            |from: usize| -> f64 { plans.iter().skip(from).map(|plan| plan.seconds + plan.rest_s).sum() };
        match (self.state, self.plan()) {
            (SessionState::Ready, _) => coming(0),
            (SessionState::Resting, Some(plan)) => rest_s + plan.seconds + coming(self.at + 1),
            (SessionState::Running, Some(plan)) => {
                (plan.seconds - self.elapsed).max(0.0) + coming(self.at + 1)
            }
            (SessionState::Fitting | SessionState::Learning, _) => coming(self.at + 1),
            _ => 0.0,
        }
    }

    /// Why it stands still because of the output, and how it goes on; none where the output does not keep it.
    fn stands(&self) -> Option<String> {
        let press = if self.paused.is_some() { "Continue" } else { "Resume" };
        let shown = self.silent.or(self.shown)?;
        let rests = self.plan().is_some_and(|plan| plan.block == TaskBlock::Rest);
        let then = match self.state {
            SessionState::Running if rests => "the rest begins anew",
            SessionState::Running if shown == OutputState::Hold => "the block goes on where it was",
            SessionState::Running => "the block goes on",
            SessionState::Resting => "the session goes on",
            SessionState::Learning => "the session goes on once it has learnt from the rest",
            SessionState::Fitting => "the session goes on once the decoder is fitted",
            _ => return None,
        };
        match shown {
            OutputState::Hold => Some(format!("stopped: press {press}, then {then}")),
            OutputState::Fault => Some(format!("something broke: press {press}, then {then}")),
            // only a block that runs needs a signal
            OutputState::Stale if self.state != SessionState::Running => None,
            OutputState::Stale if self.silent.is_none() && self.shown_cause == Some(Cause::AwaitsResume) => {
                let keeps = !rests || !self.lets_rest();
                keeps.then(|| format!("the signal is back after a long silence: press {press}, then {then}"))
            }
            OutputState::Stale if rests => {
                // what else makes it stale, as signals that the decoder cannot use, lets a rest go on
                let is_away = self.silent.is_some()
                    || matches!(self.shown_cause, Some(Cause::InputNotFresh | Cause::InputUnsteady));
                is_away.then(|| {
                    "no usable signal: a rest in which it is away for longer than a second is broken off"
                        .to_owned()
                })
            }
            OutputState::Stale => Some(format!(
                "no usable signal: the block goes on when it is back; after a long silence press {press}"
            )),
            _ => None,
        }
    }

    /// What happened and what to do, for whoever runs the session.
    fn message(&self) -> String {
        if let Some(stands) = self.stands() {
            return stands;
        }
        let waits = (self.paused.is_none() && self.is_rested() && self.waits_for_stages()).then_some(COMING);
        match (&self.problem, waits) {
            (Some(problem), Some(waits)) => return format!("{problem}; {waits}"),
            (Some(problem), None) => return problem.clone(),
            (None, Some(waits)) => return waits.to_owned(),
            (None, None) => {}
        }
        if let Some(paused) = &self.paused {
            return format!("paused {paused}: press Continue to go on");
        }
        let title = self.plan().map_or("", |plan| plan.title.as_str());
        match self.state {
            SessionState::Closed => "choose participant and preset".to_owned(),
            SessionState::Ready => "press Start to begin".to_owned(),
            SessionState::Resting => format!("pause; next: {title}"),
            SessionState::Running if self.wanted == Some(Mode::Control) => {
                format!("{title}: the decoder controls")
            }
            SessionState::Running => title.to_owned(),
            SessionState::Fitting => "the decoder is being fitted".to_owned(),
            SessionState::Learning => "thresholds and references are being learnt from the rest".to_owned(),
            SessionState::Paused | SessionState::Done => {
                format!("the session is over: {}", self.verdict().text)
            }
        }
    }
}
