//! A desk without threads: what becomes of models and of stages that cannot be put in.

use kalmind_acquisition::{NextGeneration, ring::ring};
use kalmind_engine::{CursorSettings, Engine, EngineSettings};
use kalmind_filter::{CovarianceScale, KernelPath, LabelLaw, Model, Parameters, WienerParameters};
use kalmind_offline::recorded::{RecordedAs, StagesDocument};
use kalmind_session::CalibrationOptions;
use kalmind_signal::{Chain, ChainSettings, IdentitySettings, Signal, StageSettings};
use kalmind_types::{
    Binning, EventBody, GenerationId, Mode, ModelEvent, ModelSource, RenderedEvent, StagesAction,
    StreamFeatures,
};
use nalgebra::{DMatrix, DVector};

use super::*;
use crate::{event_bus, models::run_models::Origin, running::arrival::ArrivalRules, tick::RecordLane};

pub(super) fn engine() -> Engine {
    let features = vec![StreamFeatures::of_channels(Binning::Sample, 1, None)];
    let engine = Engine::new(EngineSettings {
        features,
        max_masked: 0.25,
        restart_after: Seconds(0.5),
        stale_after: Seconds(0.1),
        auto_resume: Seconds(2.0),
        start: Mode::Idle,
        cursor: CursorSettings::default(),
        label_law: LabelLaw::default(),
        plausibility: true,
        fallback_stale: Seconds(0.3),
        doubted_calibrates: true,
    });
    engine.expect("an engine")
}

/// One for each participant.
pub(super) fn model(participant: &str) -> Arc<IdentifiedModel> {
    let wiener = WienerParameters {
        lags: 3,
        weights: DMatrix::from_element(1, 3, 0.5),
        intercept: DVector::zeros(1),
        residual_covariance: DMatrix::identity(1, 1),
        state_covariance: DMatrix::identity(1, 1),
        covariance_scale: CovarianceScale::constant(1.0),
    };
    let spec = "wiener:lags=3".parse().expect("a decoder");
    let participant = Some(participant.to_owned());
    let model = Model { participant, ..Model::plain(spec, vec![0.0], 1, Parameters::Wiener(wiener)) };
    Arc::new(IdentifiedModel::of(model).expect("a model"))
}

pub(super) fn staged(model: &IdentifiedModel) -> Box<StagedModel> {
    model.stage(false, KernelPath::detect()).expect("it can be built")
}

/// A desk, and what it does.
struct Bench {
    desk: Desk,
    commands: Consumer<QueuedCommand>,
    models: Consumer<Box<StagedModel>>,
    events: Receiver<RenderedEvent>,
    /// The other ends of its queues.
    _kept: (Producer<Box<StagedModel>>, RecordLane),
}

impl Bench {
    fn new(recorder: Option<RecorderHandle>) -> Self {
        let (events, heard) = event_bus::heard();
        let engine = engine();
        let rules = ArrivalRules {
            measured: false,
            max_wait_ms: 20.0,
            stages_ms: 0.0,
            fixed_wait: false,
            fixed_stale_ms: None,
            slow_allowed: false,
        };
        let settings = DeskSettings {
            demand: Demand {
                streams: vec![StreamFeatures::of_channels(Binning::Sample, 1, None)],
                bin_ms: 20.0,
                components: Vec::new(),
                participant: None,
            },
            guard: false,
            session: SessionSettings {
                presets: Vec::new(),
                participant: None,
                simulated: false,
                seed: 0,
                decoder: None,
                calibration: CalibrationOptions::default(),
                features: 1,
                smoothing: Seconds(0.0),
                max_speed: 1.0,
                height: 1.0,
                task_may_resume: false,
                reference: None,
                cannot_learn: None,
            },
            interrupted: None,
            shuffled_labels: None,
            recorder,
            position: PositionSlot::default(),
            save: None,
            layout: Arc::new(engine.layout().clone()),
            arrivals: InputArrivals::new(rules, Vec::new()),
            stages: Vec::new(),
            learner: None,
            windows: Vec::new(),
        };
        let (to_tick, commands) = ring(4);
        let (models_to_tick, models) = ring(4);
        let (retired, retired_out) = ring(4);
        let (lane, records) = RecordLane::new(4, 1, 0, Waker::new());
        let queues = DeskQueues {
            commands: to_tick,
            models: models_to_tick,
            retired: retired_out,
            records,
            tick: Waker::new(),
        };
        let (handle, messages) = DeskHandle::new(None);
        let stop = Arc::new(StopLatch::new(Waker::new()));
        let desk = Desk::new(settings, queues, engine.examiner(), handle, messages, events, stop);
        // a stream whose stages are steered elsewhere
        let status = StagesStatus {
            place: 0,
            stream: "array".to_owned(),
            generation: GenerationId::default(),
            number: 0,
            next: None,
        };
        desk.handle.update(|progress| progress.stages = vec![status]);
        Self { desk, commands, models, events: heard, _kept: (retired, lane) }
    }

    /// Somebody wants this model, from now on or at a generation of the stream.
    fn activate(&mut self, model: &Arc<IdentifiedModel>, at: Option<(usize, u32)>) {
        self.desk.handle.models(|models| models.want(model.id));
        self.desk.activate(model, staged(model), at, Actor::Client);
        while self.desk.warm() {}
    }

    /// What was said of swaps and of stages since the last time.
    fn said(&self) -> Vec<String> {
        let texts = self.events.try_iter().filter_map(|event| match &event.event.body {
            EventBody::Model(ModelEvent::SwapFailed { hash, problem }) => Some(format!("{hash}: {problem}")),
            EventBody::Stages(stages) if stages.action == StagesAction::StagesRefused => {
                stages.refused.clone()
            }
            _ => None,
        });
        texts.collect()
    }

    fn commands(&mut self) -> Vec<Command> {
        core::iter::from_fn(|| self.commands.pop()).map(|queued| queued.command).collect()
    }

    /// Claims the stages for a generation, and has the desk change them.
    fn change_stages(&mut self) -> bool {
        let generation = GenerationId([7; 32]);
        let claimed =
            self.desk.handle.claim_stages(0, NextStages { generation, at: None, by: Actor::Client });
        let raw = Signal::raw(1000.0, [("a".to_owned(), String::new())]);
        let settings = ChainSettings(vec![StageSettings::Identity(IdentitySettings::default())]);
        let chain = Chain::new(&settings, generation, &raw, 64).expect("a chain");
        let document =
            StagesDocument { settings, generation, rate_hz: 1000.0, channels: 1, recorded: RecordedAs::Both };
        let next = NextGeneration { chain: Box::new(chain), at: 0 };
        self.desk.change_stages(0, next, document, Actor::Client);
        claimed
    }
}

#[test]
fn a_swap_beyond_the_commands_that_may_wait_fails_and_says_so() {
    let mut bench = Bench::new(None);
    for _ in 0..WAITING + 10 {
        bench.desk.command(Command::PlaceCursor(kalmind_types::Position([0.5, 0.5])));
    }
    let (now, later) = (model("a"), model("b"));
    bench.desk.handle.update(|progress| progress.stages[0].number = 1);
    bench.activate(&now, None);
    bench.activate(&later, Some((0, 1)));
    let said = bench.said();
    for (model, said) in [now, later].iter().zip(&said) {
        assert!(said.starts_with(&format!("{}: {TOO_MANY}", model.id.to_hex())), "{said}");
    }
    assert_eq!(said.len(), 2);
    assert_eq!(bench.desk.handle.models(|models| models.on_their_way()), 0, "nobody waits for them");
    assert!(bench.models.pop().is_none(), "none was sent without its command");
}

#[test]
fn a_model_that_waits_is_taken_back_and_stays_known() {
    let mut bench = Bench::new(None);
    let model = model("a");
    let origin = Origin {
        source: ModelSource::Fitted,
        by: Actor::Daemon,
        added: LslTime(1.0),
        train_bins: None,
        file: None,
    };
    bench.desk.handle.models(|models| models.add(&model, origin) && models.want(model.id));
    bench.desk.activate(&model, staged(&model), None, Actor::Client);
    bench.desk.take_back_waiting(model.id);
    while bench.desk.warm() {}
    assert_eq!(bench.commands(), []);
    assert!(bench.models.pop().is_none());
    let list = bench.desk.handle.models(|models| models.list());
    assert_eq!((list.models.len(), list.wanted, list.models[0].active), (1, None, false));
    // one that is gone already is none of its
    bench.desk.take_back_waiting(model.id);
}

#[test]
fn stages_that_cannot_be_recorded_are_refused() {
    let mut bench = Bench::new(Some(RecorderHandle::full()));
    assert!(bench.change_stages());
    assert_eq!(bench.said(), ["the recorder is too far behind to note them"]);
    assert_eq!(bench.desk.handle.stages()[0].next, None, "another change may be asked for");
}

#[test]
fn one_change_of_stages_is_under_way_from_the_moment_it_is_asked_for() {
    let bench = Bench::new(None);
    let handle = &bench.desk.handle;
    let next = |number| NextStages { generation: GenerationId([number; 32]), at: None, by: Actor::Client };
    assert!(handle.claim_stages(0, next(1)));
    assert!(!handle.claim_stages(0, next(2)), "before the desk has seen the first");
    assert_eq!(handle.stages()[0].next, Some(next(1)));
    handle.release_stages(0);
    assert!(handle.claim_stages(0, next(2)));
    assert!(!handle.claim_stages(3, next(3)), "there is no such stream");
}

#[test]
fn a_model_that_waits_for_stages_that_are_refused_is_taken_back() {
    let mut bench = Bench::new(None);
    let model = model("a");
    let next = NextStages { generation: GenerationId([7; 32]), at: None, by: Actor::Client };
    assert!(bench.desk.handle.claim_stages(0, next));
    bench.activate(&model, Some((0, 1)));
    bench.desk.handle.release_stages(0);
    // the stream's thread takes none
    assert!(bench.change_stages());
    let at = Command::SwapAtGeneration { model: model.id, stream: 0, generation: 1 };
    assert_eq!(bench.commands(), [at, Command::ForgetAwaited { model: model.id }]);
    let said = bench.said();
    assert!(said.len() == 2 && said[0].starts_with(&model.id.to_hex()), "{said:?}");
    assert_eq!(bench.desk.handle.models(|models| models.on_their_way()), 0);
    // and one that comes after the refusal waits for nothing
    bench.activate(&model, Some((0, 1)));
    assert_eq!(bench.commands(), []);
    assert!(bench.said()[0].contains("come to nothing"));
}

#[test]
fn a_confirmation_that_follows_from_a_swap_is_on_its_way_before_it() {
    let mut bench = Bench::new(None);
    let model = model("P1");
    let confirm = Command::ConfirmModel { model: model.id, by: Actor::Daemon };
    assert!(bench.desk.warm_in(staged(&model), Box::new(move |desk, _sent| desk.command(confirm))));
    while bench.desk.warm() {}
    let commands: Vec<Command> =
        core::iter::from_fn(|| bench.commands.pop()).map(|queued| queued.command).collect();
    assert_eq!(commands, [confirm, Command::SwapModel(model.id)]);
}
