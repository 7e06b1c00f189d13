//! Stretches of rest that the session wants learnt from: each on a thread of its own, and the stages that come of it on their
//! way into force.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use kalmind_session::{ReferenceStatus, SessionInput};
use kalmind_types::{GenerationId, LslTime};

use super::{
    Desk, Message,
    stretch::{Learner, Learning, Stretch},
};
use crate::process::realtime;

/// Changes of stages that may wait for whoever learns; one is asked for at a time.
const CHANGES: usize = 16;

impl Desk {
    /// Begins to learn from a stretch; the session hears of what comes of it.
    pub(super) fn learn(&mut self, number: u64, times: [LslTime; 2]) {
        if let Err(problem) = self.spawn_learner(number, times) {
            tracing::error!(problem, "nothing is learnt from a rest");
            self.tell_session(SessionInput::Learnt { number, result: Err(problem) });
        }
    }

    fn spawn_learner(&mut self, number: u64, times: [LslTime; 2]) -> Result<(), String> {
        let Some(Learner(learn)) = self.settings.learner.clone() else {
            return Err("nothing is learnt in this run".to_owned());
        };
        let (changes, changed) = crossbeam_channel::bounded(CHANGES);
        let nobody_waits = Arc::<AtomicBool>::default();
        let pool = self.fit_pool()?;
        let stretch = Stretch { times, pool, nobody_waits: Arc::clone(&nobody_waits), changes: changed };
        self.learning = Some(Learning { number, nobody_waits, changes });
        let desk = self.handle.clone();
        let work = move || {
            realtime::low_priority();
            let result = learn(&stretch);
            desk.send_patiently(Message::Learnt { number, result });
        };
        let thread = std::thread::Builder::new().name("kalmind-rest".to_owned()).spawn(work);
        thread.map(|_runs| ()).map_err(|error| format!("no thread to learn on: {error}"))
    }

    pub(super) fn learnt(&mut self, number: u64, result: Result<ReferenceStatus, String>) {
        if self.learning.take_if(|learning| learning.number == number).is_none() {
            // its block was repeated or skipped, or the session has ended
            return;
        }
        match &result {
            Ok(ReferenceStatus { text, streams, warnings, .. }) => {
                for stages in self.settings.stages.iter().filter(|stages| streams.contains(&stages.key)) {
                    if let Some(features) = self.settings.demand.streams.get_mut(stages.place) {
                        features.rest = Some(text.clone());
                    }
                }
                tracing::info!("thresholds and references were learnt from the rest {text}");
                for warning in warnings {
                    tracing::warn!("{warning}");
                }
            }
            Err(problem) => tracing::error!(problem, "nothing was learnt from a rest"),
        }
        self.tell_session(SessionInput::Learnt { number, result });
    }

    pub(super) fn cancel_learning(&mut self) {
        if let Some(learning) = self.learning.take() {
            learning.nobody_waits.store(true, Ordering::Relaxed);
        }
    }

    /// Tells whoever learns what became of a change of stages.
    pub(super) fn tell_learner(&self, generation: GenerationId, result: Result<(), String>) {
        if let Some(learning) = &self.learning {
            // it waits for one at a time
            let _finds_room = learning.changes.try_send((generation, result));
        }
    }

    /// Shows whether stages stay as they are.
    pub(super) fn freeze_or_not(&mut self) {
        let freezes = self.session.freezes_stages();
        self.handle.update(|progress| progress.frozen = freezes);
    }
}
