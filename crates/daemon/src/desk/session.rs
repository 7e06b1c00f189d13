//! The session's place at the desk: what it is told, and how what it wants done is carried out.

use std::sync::{Arc, atomic::Ordering};

use kalmind_acquisition::clock;
use kalmind_session::{SessionAction, SessionInput, SessionRefused, SessionStatus, SessionTick};
use kalmind_types::{EventBody, Seconds};

use super::{Desk, SessionAnswer};
use crate::tick::{QueuedCommand, TickRecord};

/// The session's status is computed no more often than this, but for whoever asks something of it.
const SHOWN_EVERY: Seconds = Seconds(0.1);
/// After so long without a tick, what clients are shown is what heartbeats say.
const SILENT_AFTER: Seconds = Seconds(0.25);

impl Desk {
    /// Tells the session of a tick.
    pub(super) fn follow_tick(&mut self, record: &TickRecord) {
        let mut features = core::mem::take(&mut self.features);
        features.clear();
        features.extend(self.settings.layout.in_use(&record.input.masked, &record.features));
        let tick = SessionTick {
            start: record.input.start,
            output: &record.published.output,
            features: &features,
            model: record.model.map(|(model, doubt)| (model, doubt.is_some())),
        };
        self.tell_session(SessionInput::Tick(tick));
        self.features = features;
    }

    /// Tells the session what happened, and does what it wants done.
    pub(super) fn tell_session(&mut self, input: SessionInput<'_>) {
        if let Err(refused) = self.pass_on(input) {
            tracing::warn!("the session: {refused}");
        }
    }

    /// Asks something of the session; gives where it stands then.
    pub(super) fn ask_session(&mut self, input: SessionInput<'_>) -> SessionAnswer {
        self.pass_on(input)?;
        Ok(self.show_session_now())
    }

    fn pass_on(&mut self, input: SessionInput<'_>) -> Result<(), SessionRefused> {
        let mut wanted = Vec::new();
        let done = self.session.handle(clock::now(), input, &mut wanted);
        self.session_changed = true;
        self.hide_or_show();
        self.freeze_or_not();
        self.actions.extend(wanted);
        // what is done may tell the session something, which wants more done: after what it wanted before, in order
        if !core::mem::replace(&mut self.carries_out, true) {
            while let Some(action) = self.actions.pop_front() {
                self.carry_out(action);
            }
            self.carries_out = false;
        }
        done
    }

    /// Tells clients no more which model is which, before there are others than those that they know, or tells them again.
    fn hide_or_show(&mut self) {
        let hides = self.session.hides_decoder();
        if core::mem::replace(&mut self.hid_decoder, hides) == hides {
            return;
        }
        let known = self.handle.models(|models| models.ids());
        self.handle.update(|progress| progress.hidden = hides.then_some(known));
        let decodes = self.put_in.or(self.decodes);
        let model = decodes.and_then(|id| self.handle.models(|models| models.get(id)));
        self.show_decoder(model.as_deref());
    }

    fn carry_out(&mut self, action: SessionAction) {
        match action {
            // a stop that came after somebody asked to go on stands
            SessionAction::Command(command) => match self.asked_after {
                Some(stops) => self.queue(QueuedCommand { command, stops }),
                None => self.command(command),
            },
            SessionAction::Publish { time, event } => {
                if let EventBody::Session(event) = &event {
                    self.keep_session(&event.change);
                }
                self.events.publish(time, event);
            }
            SessionAction::Fit(order) => self.start_fit(*order),
            // what comes of it all the same is in the ledger, and the session does not take it
            SessionAction::CancelFit { .. } => {
                self.fitted = None;
                // it leaves nothing for the next one, nor anything in the folder
                (self.fits_asked, self.fit_saved) = (None, None);
                self.nobody_waits.store(true, Ordering::Relaxed);
            }
            SessionAction::Learn { number, from, to } => self.learn(number, [from, to]),
            SessionAction::CancelLearning { .. } => self.cancel_learning(),
            SessionAction::PutIn(model) => self.put_in(model),
            SessionAction::TakeBack(model) => self.take_back_waiting(model),
            SessionAction::MeasureArrival => self.measure_arrival(),
        }
    }

    /// Tells the session what clients are shown of the output while no ticks come.
    pub(super) fn follow_silence(&mut self) {
        let is_silent = self.ticked.is_some_and(|ticked| (clock::now() - ticked).0 >= SILENT_AFTER.0);
        let state = self.events.shown();
        if is_silent && self.silent != Some(state) {
            self.silent = Some(state);
            self.tell_session(SessionInput::Silent(state));
        }
    }

    /// Shows where the session stands, a few times a second.
    pub(super) fn show_session(&mut self) {
        let now = clock::now();
        let is_due = self.session_shown.is_none_or(|shown| (now - shown).0 >= SHOWN_EVERY.0);
        if self.session_changed && is_due {
            // a stream may have gone silent, or come back
            self.tell_what_comes();
            self.show_session_now();
        }
    }

    fn show_session_now(&mut self) -> Arc<SessionStatus> {
        let now = clock::now();
        let status = Arc::new(self.session.status());
        (self.session_shown, self.session_changed) = (Some(now), false);
        self.handle.update(|progress| progress.session = Some(Arc::clone(&status)));
        status
    }
}
