//! What a session shows of itself.

use kalmind_types::{Mode, OutputState, Seconds};

use super::{
    BlockState, Session,
    status::{
        ActionStatus, AssistanceStatus, BlockStatus, ControlStatus, OptionStatus, PresetStatus, SessionState,
        SessionStatus,
    },
};

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
        let (_, help, _) = self.help_now();
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
                mixing: if runs_block { help.mixing } else { 0.0 },
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

    /// What happened and what to do, for whoever runs the session.
    fn message(&self) -> String {
        let stands = match self.silent.or(self.shown) {
            _ if self.state != SessionState::Running => None,
            Some(OutputState::Hold) => Some("stopped: press Resume, then the block goes on where it was"),
            Some(OutputState::Stale) => {
                Some("no usable signal: the block goes on when it is back; after a long silence press Resume")
            }
            Some(OutputState::Fault) => Some("something broke: press Resume, then the block goes on"),
            _ => None,
        };
        if let Some(stands) = stands {
            return stands.to_owned();
        }
        if let Some(problem) = &self.problem {
            return problem.clone();
        }
        if let Some(paused) = &self.paused {
            return format!("paused {paused}: press Continue to go on");
        }
        let title = self.plan().map_or("", |plan| plan.title.as_str());
        match self.state {
            SessionState::Closed => "choose participant and preset".to_owned(),
            SessionState::Ready => "press Start to begin".to_owned(),
            SessionState::Resting => format!("rest; next: {title}"),
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
