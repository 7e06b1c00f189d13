//! The desk as the rest of the daemon sees it: what it can be asked, and where its work stands.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender};
use kalmind_acquisition::{NextGeneration, Waker};
use kalmind_engine::StagedModel;
use kalmind_offline::{
    calibration_fit::CalibrationFit,
    model::{IdentifiedModel, ModelInDoubt},
    recorded::StagesDocument,
    session_fits::SessionFits,
};
use kalmind_output::{ControlRefused, DecoderInfo};
use kalmind_session::{Person, ReferenceStatus, SessionRefused, SessionRequest, SessionStatus};
use kalmind_types::{Actor, Cause, EventBody, LslTime, Mode, ModelId};

use super::steered_stages::{NextStages, StagesStatus};
use crate::models::run_models::{Origin, RunModels};

/// Messages that may wait for the desk; more are refused.
const MESSAGES: usize = 256;
/// Models that may wait for a tick to decode; more are refused.
const ACTIVATIONS: usize = 4;

/// How long whoever asks something of the session waits for the answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Why stages are not changed while a block runs in which the decoder moves the cursor.
pub const FROZEN: &str = "a block of the session runs in which the decoder moves the cursor: stages stay as they are until it is over";

/// What becomes of a request to the session.
pub type SessionAnswer = Result<Arc<SessionStatus>, SessionRefused>;

/// What the desk is asked to do.
#[derive(Debug)]
pub enum Message {
    /// Somebody with the right to do so asks for a mode.
    Request {
        /// The mode.
        mode: Mode,
        /// Whether latched states are cleared.
        resume: bool,
        /// Who.
        by: Actor,
        /// How many stops there had been when it was asked for.
        stops: u64,
        /// Whether whoever asks agrees to an input that is slow.
        slow_input: bool,
        /// The model in doubt that whoever asks agrees to.
        model: Option<ModelId>,
    },
    /// The operator wants it measured anew how the streams arrive.
    MeasureArrival,
    /// A task by others tells something (already published as an event).
    Task {
        /// When.
        time: LslTime,
        /// What.
        content: EventBody,
    },
    /// A model of the run is to decode.
    Activate {
        /// Which.
        model: Arc<IdentifiedModel>,
        /// The same, built.
        staged: Box<StagedModel>,
        /// The stream and the number of the generation of its stages that it takes over with; none: from now on.
        at: Option<(usize, u32)>,
        /// Who asks for it.
        by: Actor,
    },
    /// Another generation of a stream's stages is to follow the one in force.
    ChangeStages {
        /// Place of the stream.
        place: usize,
        /// The generation, built.
        next: Box<NextGeneration>,
        /// What it is made from, for recordings.
        document: Box<StagesDocument>,
        /// Who asks for it.
        by: Actor,
    },
    /// Somebody asks something of the session.
    Session {
        /// What.
        request: SessionRequest,
        /// Who, by their own account.
        person: Person,
        /// Who, as far as rights go.
        by: Actor,
        /// How many stops there had been when it was asked for.
        stops: u64,
        /// Where the answer goes: where the session stands after it, or why nothing was done.
        answer: Sender<SessionAnswer>,
    },
    /// A stretch of rest was learnt from, and what was learnt is in force.
    Learnt {
        /// Which.
        number: u64,
        /// What there is to say of it, or why nothing was learnt.
        result: Result<ReferenceStatus, String>,
    },
    /// A fit that the session asked for has ended.
    Fitted {
        /// Which.
        number: u64,
        /// What came of it, or why nothing did.
        result: Result<Box<CalibrationFit>, String>,
        /// What it leaves for the next one.
        fitting: Box<SessionFits>,
    },
}

/// What others may know of the desk's work.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Decoder and training bins of the newest fit.
    pub fit: Option<(String, usize)>,
    /// The model that decodes.
    pub decoder: Option<DecoderInfo>,
    /// That it may not control until somebody confirms it.
    pub doubt: Option<ModelInDoubt>,
    /// While decoders are compared: the models that were known before. Clients are told of no others, nor which one decodes.
    pub hidden: Option<Arc<[ModelId]>>,
    /// The stages of the streams that have some.
    pub stages: Vec<StagesStatus>,
    /// Whether stages stay as they are, as the session says.
    pub frozen: bool,
    /// Where the session stands; none until the desk has begun.
    pub session: Option<Arc<SessionStatus>>,
}

impl Progress {
    /// What awaits confirmation is what the tick shows, which model decodes and whether it is in doubt: a confirmation
    /// that the tick never obeyed has confirmed nothing. A tick from before the swap says nothing of the `newest` one.
    pub(super) fn follow_doubt(&mut self, newest: &ModelInDoubt, decodes: Option<(ModelId, Option<Cause>)>) {
        if let Some((_, cause)) = decodes.filter(|(model, _)| *model == newest.model) {
            self.doubt = cause.map(|_| newest.clone());
        }
    }

    /// Whether nobody is to be told yet which decoder is which.
    ///
    /// # Errors
    /// What is said to whoever asks for something that would tell it, or change what is compared.
    pub fn require_nothing_compared(&self) -> Result<(), ControlRefused> {
        match &self.hidden {
            None => Ok(()),
            Some(_) => Err(ControlRefused::NotNow(
                "decoders are being compared, and which one decodes is the session's to say: end it first"
                    .to_owned(),
            )),
        }
    }
}

/// The desk as the rest of the daemon sees it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DeskHandle {
    messages: Sender<Message>,
    pub(super) waker: Waker,
    progress: Arc<Mutex<Progress>>,
    models: Arc<Mutex<RunModels>>,
    /// Messages refused because the queue was full, and commands that waited too long for a tick.
    pub(super) refused: Arc<AtomicU64>,
    pub(super) ended: Arc<AtomicBool>,
}

impl DeskHandle {
    /// A handle without a desk yet, and the end that the desk takes; `start` is the model that decodes from the start.
    #[must_use]
    pub fn new(start: Option<(&Arc<IdentifiedModel>, Origin)>) -> (Self, Receiver<Message>) {
        let (messages, received) = crossbeam_channel::bounded(MESSAGES);
        let model = start.as_ref().map(|(model, _)| &***model);

        let progress = Progress {
            fit: None,
            decoder: model.map(crate::decoder_info::decoder_info),
            doubt: model.and_then(IdentifiedModel::doubt),
            hidden: None,
            stages: Vec::new(),
            frozen: false,
            session: None,
        };
        let mut models = RunModels::default();
        if let Some((model, origin)) = start {
            models.add(model, origin);
            models.activate(Some(model.id));
        }
        let handle = Self {
            messages,
            models: Arc::new(Mutex::new(models)),
            waker: Waker::new(),
            progress: Arc::new(Mutex::new(progress)),
            refused: Arc::new(AtomicU64::new(0)),
            ended: Arc::new(AtomicBool::new(false)),
        };
        (handle, received)
    }

    /// Hands a message over; `false` (and counted) when too many wait.
    pub fn send(&self, message: Message) -> bool {
        let sent = self.messages.try_send(message).is_ok();
        if !sent {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        self.waker.wake();
        sent
    }

    /// The same, waiting for room for a while: for whoever is read more slowly than it may be written to.
    pub fn send_within(&self, message: Message, patience: Duration) -> bool {
        let sent = self.messages.send_timeout(message, patience).is_ok();
        if !sent {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        self.waker.wake();
        sent
    }

    /// Hands a built model over, to decode from the next tick on, or with a generation of a stream's stages.
    ///
    /// # Errors
    /// [`ControlRefused::Busy`] (and counted) when too many wait.
    pub fn activate(
        &self,
        model: Arc<IdentifiedModel>,
        staged: Box<StagedModel>,
        at: Option<(usize, u32)>,
        by: Actor,
    ) -> Result<(), ControlRefused> {
        let id = model.id;
        // where no tick comes, none of them is ever put in
        let has_room = self.models(|models| {
            let has_room = models.on_their_way() < ACTIVATIONS;
            if has_room {
                models.want(id);
            }
            has_room
        });
        let busy = if !has_room {
            self.refused.fetch_add(1, Ordering::Relaxed);
            "models wait for a tick that puts them in: is the stream there?"
        } else if self.send(Message::Activate { model, staged, at, by }) {
            return Ok(());
        } else {
            self.models(|models| models.settle(id));
            "too many requests wait; ask again"
        };
        Err(ControlRefused::Busy(busy.to_owned()))
    }

    /// Hands a message over and waits for room: for the fit's own thread, whose result must not be lost.
    pub(super) fn send_patiently(&self, message: Message) {
        // without a desk the daemon is ending, and nobody wants the result
        let _desk_is_gone = self.messages.send(message);
        self.waker.wake();
    }

    /// Ends the desk's thread.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Messages refused so far.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// What wakes the desk's thread.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Where the work stands.
    pub fn progress(&self) -> Progress {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The stages of the streams that have some.
    pub fn stages(&self) -> Vec<StagesStatus> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).stages.clone()
    }

    /// Notes that another generation of a stream's stages is to be asked for, so that no second one is meanwhile: `false`
    /// where one is on its way. Ends once it is in force, or with [`release_stages`](Self::release_stages).
    #[must_use]
    pub fn claim_stages(&self, place: usize, next: NextStages) -> bool {
        let mut claimed = false;
        self.update(|progress| {
            let is_changing = progress.stages.iter().any(|status| status.next.is_some());
            let status = progress.stages.iter_mut().find(|status| status.place == place);
            if let Some(status) = status.filter(|_| !is_changing) {
                (status.next, claimed) = (Some(next), true);
            }
        });
        claimed
    }

    /// No other generation of a stream's stages is on its way any more.
    pub fn release_stages(&self, place: usize) {
        self.update(|progress| {
            let status = progress.stages.iter_mut().find(|status| status.place == place);
            if let Some(status) = status {
                status.next = None;
            }
        });
    }

    /// Where the session stands, as the desk said last; none until it has begun.
    pub fn session(&self) -> Option<Arc<SessionStatus>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).session.clone()
    }

    /// Asks something of the session, and waits for what becomes of it; `stops` is how many stops there had been before.
    ///
    /// # Errors
    /// [`ControlRefused`]: it makes no sense, may not be asked for now, or the desk has no time.
    pub fn ask_session(
        &self,
        request: SessionRequest,
        person: Person,
        by: Actor,
        stops: u64,
    ) -> Result<Arc<SessionStatus>, ControlRefused> {
        let (answer, answered) = crossbeam_channel::bounded(1);
        if !self.send(Message::Session { request, person, by, stops, answer }) {
            return Err(ControlRefused::Busy("too many requests wait; ask again".to_owned()));
        }
        let answer = answered.recv_timeout(ANSWER_WITHIN).map_err(|_late| {
            let seconds = ANSWER_WITHIN.as_secs();
            ControlRefused::Busy(format!(
                "no answer within {seconds} s: look at the session's status before you ask again"
            ))
        })?;
        answer.map_err(|refused| match refused {
            SessionRefused::Invalid(why) => ControlRefused::Invalid(why),
            SessionRefused::NotNow(why) => ControlRefused::NotNow(why),
        })
    }

    /// Looks at the models of the run, or changes them.
    pub fn models<T>(&self, look: impl FnOnce(&mut RunModels) -> T) -> T {
        look(&mut self.models.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confirmation_that_the_tick_never_obeyed_is_awaited_still() {
        let mut progress = DeskHandle::new(None).0.progress();
        let newest = ModelInDoubt { model: ModelId([2; 32]), text: "no better than chance".to_owned() };
        progress.doubt = Some(newest.clone());
        let chance = Some(Cause::DecoderAtChance);
        for (decodes, awaited) in [
            (None, true),
            // from before the swap
            (Some((ModelId([1; 32]), None)), true),
            (Some((newest.model, chance)), true),
            (Some((newest.model, None)), false),
            // the same model, put in once more
            (Some((newest.model, chance)), true),
        ] {
            progress.follow_doubt(&newest, decodes);
            assert_eq!(progress.doubt.is_some(), awaited, "{decodes:?}");
        }
    }
}
