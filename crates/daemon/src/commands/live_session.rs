//! A preset's session in the daemon that runs, from its opening to its end, as a terminal shows it.

use std::{sync::Arc, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use kalmind_acquisition::clock::Deadline;
use kalmind_output::ControlRefused;
use kalmind_session::{BlockStatus, Person, Preset, SessionRequest, SessionState, SessionStatus};
use kalmind_types::{Actor, InputArrival, OutputState, Reason, Seconds};

use crate::{
    commands::beginning::rendered,
    configuration::Configuration,
    failure::{OrFail as _, Outcome},
    log::progress_target,
    process::termination::EndSignals,
    running::daemon::Daemon,
};

/// How often progress is looked at.
const ROUND: Duration = Duration::from_millis(100);

/// A session to run.
#[derive(Debug)]
pub(super) struct LiveSession<'a> {
    /// The daemon.
    pub(super) daemon: &'a Daemon,
    /// What ends the command.
    pub(super) signals: &'a EndSignals,
    /// The preset's name.
    pub(super) preset: &'a str,
    /// The participant's code.
    pub(super) participant: Option<String>,
    /// Who runs it.
    pub(super) person: Person,
    /// As whom requests count.
    pub(super) by: Actor,
    /// Whether nobody is there who could decide what is done where there is nothing to go on with.
    pub(super) alone: bool,
    /// How long it may take; no limit where none is stated.
    pub(super) patience: Option<Seconds>,
}

impl LiveSession<'_> {
    /// Opens the preset, starts it once it is known how samples arrive, and shows how far it is until it is over or a signal
    /// comes; `look` is called all along and may end it. Gives where it stood then.
    ///
    /// # Errors
    /// Exit code 2 where it cannot be opened or started, 1 where a part of the daemon ends, it takes too long or nothing is
    /// left to go on with.
    pub(super) fn run(&self, look: &mut dyn FnMut() -> Outcome<()>) -> Outcome<Option<Arc<SessionStatus>>> {
        let style =
            ProgressStyle::with_template("{bar:32} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(1000), progress_target()).with_style(style);
        bar.set_message("waiting for the participant");
        let controls = self.daemon.controls();
        let deadline = self.patience.map(Deadline::after);
        let (mut is_open, mut has_begun) = (false, false);
        loop {
            // a measurement of how samples arrive keeps the output idle
            if !is_open && self.daemon.input().state != InputArrival::Measuring {
                let (preset, participant) = (self.preset.to_owned(), self.participant.clone());
                self.ask(SessionRequest::Open { preset, participant })?;
                is_open = true;
            }
            // a person whose hand is the intent begins by moving it
            if is_open && !has_begun && !controls.awaits_hand() {
                has_begun = true;
                // whoever took the session over meanwhile starts it
                self.ask(SessionRequest::Start)
                    .or_else(|refused| if controls.hands.is_some() { Ok(()) } else { Err(refused) })?;
            }
            if let Some(status) = controls.desk.session().filter(|_| is_open) {
                show(&bar, &status);
                if status.state == SessionState::Done {
                    break;
                }
                self.check(&status)?;
            }
            if self.signals.wait(ROUND) {
                break;
            }
            let whole = self.daemon.is_whole();
            ensure(whole, || "a thread of the daemon ended unexpectedly; see the log".to_owned())?;
            look()?;
            let in_time = deadline.as_ref().is_none_or(|deadline| !deadline.passed());
            ensure(in_time, || {
                format!("it made no progress ({}): is the machine too busy?", shown(controls.hub.state()))
            })?;
        }
        bar.finish_and_clear();
        Ok(controls.desk.session())
    }

    /// Where nobody is there to decide how to go on, there has to be something to go on with.
    ///
    /// # Errors
    /// Exit code 1, with what became of the fit.
    fn check(&self, status: &SessionStatus) -> Outcome<()> {
        let has_nothing = status.fits.failed > 0 && self.daemon.controls().desk.progress().decoder.is_none();
        let is_stuck = self.alone && status.state == SessionState::Paused && has_nothing;
        ensure(!is_stuck, || status.message.clone())
    }

    fn ask(&self, request: SessionRequest) -> Outcome<()> {
        let controls = self.daemon.controls();
        match controls.desk.ask_session(request, self.person.clone(), self.by, controls.stop.stops()) {
            Ok(_) => Ok(()),
            Err(busy @ ControlRefused::Busy(_)) => Err(busy).or_work(),
            Err(refused) => Err(refused).or_usage(),
        }
    }
}

fn ensure(holds: bool, problem: impl FnOnce() -> String) -> Outcome<()> {
    if holds { Ok(()) } else { Err(anyhow::anyhow!(problem())).or_work() }
}

/// The state that clients are shown, with its reason.
fn shown((state, reason): (OutputState, Option<Reason>)) -> String {
    reason.map_or_else(|| format!("state {state}"), |reason| format!("state {state}: {reason}"))
}

fn show(bar: &ProgressBar, status: &SessionStatus) {
    let block = status.block.and_then(|at| status.blocks.get(at));
    let (title, seconds) = block.map_or(("", 1.0), |block| (block.title.as_str(), block.seconds));
    match status.state {
        SessionState::Running => {
            bar.set_position((1000.0 * status.elapsed_s / seconds).clamp(0.0, 1000.0) as u64);
            let score = block.and_then(|block| block.score.as_ref());
            let score = score.map(|score| format!(", {} of {} targets", score.acquired, score.presented));
            let (elapsed, score) = (status.elapsed_s, score.unwrap_or_default());
            bar.set_message(format!("{title}: {elapsed:.0} of {seconds:.0} s{score}"));
        }
        SessionState::Resting => bar.set_message(format!("{title} begins in {:.0} s", status.rest_s)),
        SessionState::Fitting => bar.set_message("fitting"),
        SessionState::Learning => bar.set_message("learning from the rest"),
        SessionState::Closed | SessionState::Ready | SessionState::Paused | SessionState::Done => {
            bar.set_message(status.message.clone());
        }
    }
}

/// The presets that come with Kalmind, and this one before them.
///
/// # Errors
/// None that a test has not seen.
pub(super) fn presets_with(preset: &Preset, configuration: &Configuration) -> Outcome<Vec<Preset>> {
    let mut presets = rendered(configuration.presets())?;
    presets.retain(|known| known.name != preset.name);
    presets.insert(0, preset.clone());
    Ok(presets)
}

/// The newest block with a score that says something of the decoder.
pub(super) fn scored(status: &SessionStatus) -> Option<&BlockStatus> {
    let decoded = |block: &&BlockStatus| block.block != "open_loop" && block.score.is_some();
    status.blocks.iter().rev().find(decoded)
}
