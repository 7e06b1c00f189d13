//! What people and scripts ask of a session: what is legal when, and what comes of it.

use kalmind_types::{
    Actor, Command, CursorTuning, LslTime, Mode, OutputState, Seconds, SessionChange, TaskBlock,
};

use super::{
    BlockRecord, BlockState, Session,
    action::SessionAction,
    click_options::{ClickOptions, HOLDS_MS, THRESHOLDS},
    compare::Comparison,
    preset::Preset,
    request::{Person, SessionOptions, SessionRefused, SessionRequest},
    settings::SessionSettings,
    status::SessionState,
    verdict::VerdictKind,
};

/// The longest code of a participant or operator.
const LONGEST_CODE: usize = 32;
/// The longest note, in bytes.
const LONGEST_NOTE: usize = 4096;
/// Notes that a session keeps at most; they stand in the recording.
const MOST_NOTES: usize = 10_000;
const GAINS: [f64; 2] = [0.1, 10.0];
const GROWTHS: [f64; 2] = [0.0, 10.0];
const LONGEST_SMOOTHING_MS: f64 = 1000.0;

impl Session {
    pub(super) fn asked(
        &mut self,
        now: LslTime,
        request: SessionRequest,
        person: Person,
        by: Actor,
        actions: &mut Vec<SessionAction>,
    ) -> Result<(), SessionRefused> {
        check_code("operator", person.operator.as_deref())?;
        if !matches!(request, SessionRequest::Call) {
            self.check_charge(&request, &person)?;
        }
        self.check_now(&request)?;
        match request {
            SessionRequest::Open { preset, participant } => {
                self.open(now, &preset, participant, person, by, actions)?;
            }
            SessionRequest::Start => self.start(now, by, actions),
            SessionRequest::Pause => {
                let who = person.operator.as_deref().map_or_else(|| by.to_string(), str::to_owned);
                self.paused = Some(format!("by {who}"));
                let why = format!("by {who}");
                self.publish(now, by, SessionChange::Paused { why }, actions);
                self.ask_for(Mode::Idle, actions);
            }
            SessionRequest::Skip => self.skip(now, actions),
            SessionRequest::Repeat => self.repeat(now, actions),
            SessionRequest::End => {
                self.break_off(now, actions);
                self.task = None;
                self.mark(BlockState::Skipped);
                self.finish(now, by, "it was ended", actions);
            }
            SessionRequest::Options(options) => self.tune(now, options, by, actions)?,
            SessionRequest::Override => self.let_control(now, &person, by, actions)?,
            SessionRequest::Note { text } => {
                if text.trim().is_empty() || text.len() > LONGEST_NOTE {
                    return Err(SessionRefused::Invalid(format!("a note has 1 to {LONGEST_NOTE} bytes")));
                }
                self.notes += 1;
                self.publish(now, by, SessionChange::Note { text }, actions);
            }
            SessionRequest::TakeOver => {
                self.check_present(&person)?;
                let from = core::mem::replace(&mut self.person, person).operator;
                self.publish(now, by, SessionChange::TakenOver { from }, actions);
            }
            // it goes on until somebody answers, however often it is asked for
            SessionRequest::Call if self.called.is_some() => {}
            SessionRequest::Call => {
                self.called = Some(now);
                self.publish(now, by, SessionChange::Called, actions);
            }
            SessionRequest::AnswerCall => {
                self.called = None;
                self.publish(now, by, SessionChange::CallAnswered, actions);
            }
        }
        Ok(())
    }

    /// Whether whoever asks is in charge, or nobody is.
    fn check_charge(&self, request: &SessionRequest, person: &Person) -> Result<(), SessionRefused> {
        let open = matches!(self.state, SessionState::Closed | SessionState::Done);
        let is_anybodys = matches!(
            request,
            SessionRequest::TakeOver | SessionRequest::Note { .. } | SessionRequest::AnswerCall
        );
        if open || is_anybodys || self.person.console == person.console {
            return Ok(());
        }
        let who = self.person.operator.as_deref().unwrap_or("somebody else");
        Err(SessionRefused::NotNow(format!(
            "{who} is in charge of this session on another page: take it over first, or ask them"
        )))
    }

    /// A session with a participant names the person present.
    fn check_present(&self, person: &Person) -> Result<(), SessionRefused> {
        if self.settings.simulated || person.operator.is_some() {
            return Ok(());
        }
        let why = "state your code: a session with a participant names the person present";
        Err(SessionRefused::Invalid(why.to_owned()))
    }

    /// Whether it may be asked for in the state that the session is in.
    fn check_now(&self, request: &SessionRequest) -> Result<(), SessionRefused> {
        match self.why_not(name_of(request)) {
            Some(why) => Err(SessionRefused::NotNow(why)),
            None => Ok(()),
        }
    }

    /// Why an action may not be asked for now; none where it may.
    pub(super) fn why_not(&self, action: &str) -> Option<String> {
        let is_open = !matches!(self.state, SessionState::Closed | SessionState::Done);
        let is_paused = self.paused.is_some();
        let runs = self.state == SessionState::Running;
        let because = |why: &str| Some(why.to_owned());
        match action {
            "open" if is_open && self.state != SessionState::Ready => because("a session runs: end it first"),
            "start" if !is_open => because("choose participant and preset first"),
            "start" if is_paused && self.model.is_none() && self.state == SessionState::Fitting => {
                because("the fit failed and there is no decoder: repeat the block, or end the session")
            }
            // after a stop or a fault it lets the block go on
            "start" if runs && !is_paused && !self.is_held() => because("a block runs already"),
            "start" if self.state == SessionState::Fitting && !is_paused && !self.is_stopped() => {
                because("the decoder is being fitted; the next block begins by itself")
            }
            "start" if self.state == SessionState::Learning && !is_paused && !self.is_stopped() => {
                because("the rest is being learnt from; the next block begins by itself")
            }
            "pause" if is_paused => because("the session is paused already"),
            "pause" if !is_open || self.state == SessionState::Ready => because("nothing runs"),
            "skip" if !(runs || self.state == SessionState::Resting || self.state == SessionState::Ready) => {
                because("no block runs or comes next")
            }
            "repeat" if !is_open || (self.state == SessionState::Ready) => because("no block has begun yet"),
            "repeat" if self.state == SessionState::Resting && self.at == 0 => {
                because("no block has begun yet")
            }
            "end" if !is_open => because("no session runs"),
            "override" if self.decodes.is_none() => because("there is no decoder yet: calibrate first"),
            "override" if self.overridden_by.is_some() => because("it is in force already"),
            "override" if self.verdict().verdict == VerdictKind::GoodEnough => {
                because("the decoder may control as it is")
            }
            "note" if self.notes >= MOST_NOTES => because("there are 10 000 notes already"),
            "answer_call" if self.called.is_none() => because("nobody calls"),
            "take_over" if !is_open => because("nobody is in charge"),
            _ => None,
        }
    }

    fn open(
        &mut self,
        now: LslTime,
        preset: &str,
        participant: Option<String>,
        person: Person,
        by: Actor,
        actions: &mut Vec<SessionAction>,
    ) -> Result<(), SessionRefused> {
        check_code("participant", participant.as_deref())?;
        let known = self.settings.presets.iter().find(|known| known.name == preset);
        let mut preset: Preset = known.cloned().ok_or_else(|| {
            let names: Vec<&str> = self.settings.presets.iter().map(|known| known.name.as_str()).collect();
            SessionRefused::Invalid(format!("there is no preset {preset:?}: one of {}", names.join(", ")))
        })?;
        let checked = preset.check().and_then(|()| preset.check_targets(self.settings.height));
        checked.map_err(|problem| SessionRefused::Invalid(problem.to_string()))?;
        if let (Some(configured), Some(asked)) = (&self.settings.participant, &participant)
            && configured != asked
        {
            return Err(SessionRefused::NotNow(format!(
                "this run records {configured}: to run a session with {asked}, start Kalmind with [subject] code = \"{asked}\""
            )));
        }
        if let Some(why) = &self.settings.cannot_learn
            && preset.blocks.iter().any(|plan| plan.block == TaskBlock::Rest)
        {
            return Err(SessionRefused::NotNow(format!(
                "nothing can be learnt from the rest of this preset: {why}"
            )));
        }
        self.check_present(&person)?;
        self.participant = self.settings.participant.clone().or(participant);
        let opened =
            SessionChange::Opened { preset: preset.name.clone(), participant: self.participant.clone() };
        self.comparison = preset.compare.clone().map(|plan| Comparison::new(plan, self.settings.seed));
        self.compared = Vec::new();
        preset.blocks.extend(self.comparison.iter().flat_map(Comparison::blocks));
        self.blocks = vec![BlockRecord::default(); preset.blocks.len()];
        let (gain, gain_growth) = (preset.gain.unwrap_or(1.0), preset.gain_growth.unwrap_or(0.0));
        self.preset = Some(preset);
        self.person = person;
        self.state = SessionState::Ready;
        self.at = 0;
        self.calibration = None;
        (self.paused, self.problem, self.overridden_by) = (None, None, None);
        (self.begun, self.first_target_s, self.signals) = (None, None, None);
        self.beside = 0;
        (self.assistance_scale, self.keeps_calibrating) = (1.0, false);
        // what was found out about the decoder was another session's, and maybe another participant's
        self.judge.other_model();
        self.said = VerdictKind::None;
        self.publish(now, by, opened, actions);
        let SessionSettings { smoothing, max_speed, .. } = self.settings;
        self.retune(now, CursorTuning { gain, gain_growth, smoothing, max_speed }, by, actions);
        self.retune_clicks(now, ClickOptions::default(), by, actions);
        Ok(())
    }

    /// Begins, goes on, or ends a rest.
    fn start(&mut self, now: LslTime, by: Actor, actions: &mut Vec<SessionAction>) {
        self.problem = None;
        let is_held = match self.state {
            SessionState::Running => self.is_held(),
            SessionState::Resting | SessionState::Learning | SessionState::Fitting => self.is_stopped(),
            _ => false,
        };
        if self.paused.take().is_some() || is_held {
            self.publish(now, by, SessionChange::Continued, actions);
            // whoever shows the token may let it go on after a stop as well
            let mode = self.wanted_by_block();
            self.wanted = Some(mode);
            actions.push(SessionAction::Command(Command::Request { mode, resume: true, by }));
            self.keeps_calibrating = false;
            if self.state == SessionState::Fitting && self.fits.are_idle() && self.coming.is_empty() {
                // what failed is tried again
                self.rest(actions);
            }
        } else if self.state == SessionState::Ready {
            self.rest(actions);
        } else if self.state == SessionState::Resting {
            self.elapsed = f64::INFINITY;
        }
    }

    /// Whether a stop, a fault or a long silence of the input waits for somebody to go on.
    fn is_held(&self) -> bool {
        let shown = self.silent.or(self.shown);
        matches!(shown, Some(OutputState::Hold | OutputState::Fault | OutputState::Stale))
    }

    /// Whether a stop or a fault waits for somebody to go on.
    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.silent.or(self.shown), Some(OutputState::Hold | OutputState::Fault))
    }

    /// The mode that somebody gets who asks for one past the session: a block whose decoder may not control yet goes on as it
    /// has to, and no other program is steered by it; in a rest nothing moves.
    #[must_use]
    pub fn granted(&self, mode: Mode) -> Mode {
        let rests = self.plan().is_some_and(|plan| plan.block == TaskBlock::Rest);
        match self.state {
            // nothing moves in a rest, nor while thresholds change
            SessionState::Learning => Mode::Idle,
            SessionState::Running if rests => Mode::Idle,
            SessionState::Running if mode == Mode::Control => self.wanted_by_block(),
            _ => mode,
        }
    }

    /// The mode to go on with after a pause.
    fn wanted_by_block(&self) -> Mode {
        match self.plan().filter(|_| self.state == SessionState::Running) {
            None => Mode::Idle,
            Some(plan) => match plan.block.mode() {
                Mode::Control if !self.may_control() || self.help_now().2 > 0.0 => Mode::Calibrating,
                mode => mode,
            },
        }
    }

    fn skip(&mut self, now: LslTime, actions: &mut Vec<SessionAction>) {
        (self.paused, self.problem) = (None, None);
        if self.state == SessionState::Running {
            self.break_off(now, actions);
            self.end_block(now, BlockState::Skipped, actions);
        } else {
            self.mark(BlockState::Skipped);
            self.advance(now, actions);
        }
    }

    /// Begins the block that runs, or ended last, anew. What was gathered stays.
    fn repeat(&mut self, now: LslTime, actions: &mut Vec<SessionAction>) {
        (self.paused, self.problem) = (None, None);
        match self.state {
            SessionState::Running => {
                self.break_off(now, actions);
                (self.task, self.learning.rest) = (None, None);
                self.mark(BlockState::Waiting);
            }
            SessionState::Fitting => self.cancel_fit(actions),
            SessionState::Learning => self.cancel_learning(actions),
            SessionState::Resting | SessionState::Done => self.at = self.at.saturating_sub(1),
            SessionState::Closed | SessionState::Ready | SessionState::Paused => {}
        }
        self.rest(actions);
    }

    fn mark(&mut self, state: BlockState) {
        if let Some(record) = self.blocks.get_mut(self.at).filter(|record| record.state != BlockState::Done) {
            record.state = state;
        }
    }

    fn tune(
        &mut self,
        now: LslTime,
        options: SessionOptions,
        by: Actor,
        actions: &mut Vec<SessionAction>,
    ) -> Result<(), SessionRefused> {
        let SessionOptions { gain, gain_growth, smoothing_ms, max_speed, assistance, .. } = options;
        let highest = self.settings.max_speed;
        let within = |name: &str, value: Option<f64>, [least, most]: [f64; 2]| match value {
            Some(value) if !(least..=most).contains(&value) => {
                Err(SessionRefused::Invalid(format!("{name} is {value}; from {least} to {most} is possible")))
            }
            _ => Ok(()),
        };
        within("gain", gain, GAINS)?;
        within("gain_growth", gain_growth, GROWTHS)?;
        within("smoothing_ms", smoothing_ms, [0.0, LONGEST_SMOOTHING_MS])?;
        within("max_speed", max_speed, [0.0, highest])?;
        within("assistance", assistance, [0.0, 1.0])?;
        within("click_threshold", options.click_threshold, THRESHOLDS)?;
        within("click_hold_ms", options.click_hold_ms, HOLDS_MS)?;
        self.tune_clicks(now, options, by, actions)?;
        let tuning = CursorTuning {
            gain: gain.unwrap_or(self.tuning.gain),
            gain_growth: gain_growth.unwrap_or(self.tuning.gain_growth),
            smoothing: smoothing_ms.map_or(self.tuning.smoothing, Seconds::from_millis),
            max_speed: max_speed.unwrap_or(self.tuning.max_speed),
        };
        self.retune(now, tuning, by, actions);
        if let Some(scale) = assistance {
            self.assistance_scale = scale;
            self.publish(now, by, SessionChange::AssistanceScaled { scale }, actions);
        }
        Ok(())
    }

    fn retune(&mut self, now: LslTime, tuning: CursorTuning, by: Actor, actions: &mut Vec<SessionAction>) {
        if tuning != self.tuning {
            self.tuning = tuning;
            actions.push(SessionAction::Command(Command::TuneCursor(tuning)));
            let CursorTuning { gain, gain_growth, smoothing, max_speed } = tuning;
            let tuned = SessionChange::Tuned { gain, gain_growth, smoothing_s: smoothing.0, max_speed };
            self.publish(now, by, tuned, actions);
        }
    }

    /// Somebody lets the decoder control whatever the verdict says.
    fn let_control(
        &mut self,
        now: LslTime,
        person: &Person,
        by: Actor,
        actions: &mut Vec<SessionAction>,
    ) -> Result<(), SessionRefused> {
        let Some(operator) = &person.operator else {
            return Err(SessionRefused::Invalid(
                "state your code: whoever lets a decoder control against the verdict answers for it"
                    .to_owned(),
            ));
        };
        let verdict = self.verdict().verdict.name().to_owned();
        self.overridden_by = Some(operator.clone());
        self.publish(now, by, SessionChange::Overridden { verdict }, actions);
        if let Some((model, true)) = self.decodes {
            actions.push(SessionAction::Command(Command::ConfirmModel { model, by }));
        }
        Ok(())
    }

    /// Somebody asked for a mode, past the session: it stands still where they want the cursor to.
    pub(super) fn mode_asked(&mut self, now: LslTime, mode: Mode, actions: &mut Vec<SessionAction>) {
        self.wanted = Some(self.granted(mode));
        self.keeps_calibrating = mode == Mode::Calibrating;
        let runs = self.runs_preset();
        if runs && mode == Mode::Idle && self.paused.is_none() {
            let why = "idle was asked for".to_owned();
            self.paused = Some(why.clone());
            self.publish(now, Actor::Operator, SessionChange::Paused { why }, actions);
        } else if runs && mode != Mode::Idle && self.paused.take().is_some() {
            self.publish(now, Actor::Operator, SessionChange::Continued, actions);
        }
    }
}

/// The name of what is asked for, as requests have it.
fn name_of(request: &SessionRequest) -> &'static str {
    match request {
        SessionRequest::Open { .. } => "open",
        SessionRequest::Start => "start",
        SessionRequest::Pause => "pause",
        SessionRequest::Skip => "skip",
        SessionRequest::Repeat => "repeat",
        SessionRequest::End => "end",
        SessionRequest::Options(_) => "options",
        SessionRequest::Override => "override",
        SessionRequest::Note { .. } => "note",
        SessionRequest::TakeOver => "take_over",
        SessionRequest::Call => "call",
        SessionRequest::AnswerCall => "answer_call",
    }
}

fn check_code(whose: &str, code: Option<&str>) -> Result<(), SessionRefused> {
    let is_code = |code: &str| {
        (1..=LONGEST_CODE).contains(&code.len())
            && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    if code.is_none_or(is_code) {
        Ok(())
    } else {
        Err(SessionRefused::Invalid(format!(
            "the code of the {whose} has 1 to {LONGEST_CODE} letters, digits, _ or -, and is never a name"
        )))
    }
}
