//! Models: swaps, previews, doubt, and decoders that take nothing in.

use super::*;

#[test]
fn a_model_in_doubt_calibrates_and_does_not_control_until_it_is_the_one_that_somebody_confirms() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.stage_in_doubt(1.0, 2, Some(Cause::DecoderAtChance));
    bench.stage_in_doubt(1.0, 3, Some(Cause::DecoderMostlyFallsBack));
    let swap = |id| Command::SwapModel(ModelId([id; 32]));
    let confirm = |id| Command::ConfirmModel { model: ModelId([id; 32]), by: Actor::Operator };
    let operator = |mode| Command::Request { mode, resume: true, by: Actor::Operator };
    let cause = |output: &TickOutput| output.reason.map(|reason| reason.cause);
    assert_eq!(bench.tick(Some(ROW), &[SWAP]).state, OutputState::Control);
    assert_eq!(bench.engine.preview(&[swap(2)]).state(), OutputState::Idle);
    let kept = bench.tick(Some(ROW), &[swap(2)]);
    assert_eq!((kept.state, cause(&kept)), (OutputState::Idle, Some(Cause::DecoderAtChance)));
    assert!(kept.intent.is_some() && kept.velocity.0 == [0.0, 0.0], "it decodes and moves nothing");
    let assisted = bench.tick(Some(ROW), &[operator(Mode::Calibrating)]);
    assert!(assisted.state == OutputState::Calibrating && assisted.velocity.0[0] > 0.0, "{assisted:?}");
    // nobody's request is a confirmation, and one of another model counts for that one
    let kept = bench.tick(Some(ROW), &[operator(Mode::Control), confirm(3)]);
    assert_eq!(cause(&kept), Some(Cause::DecoderAtChance));
    assert_eq!(bench.engine.preview(&[confirm(2)]).state(), OutputState::Control);
    bench.tick(Some(ROW), &[confirm(2)]);
    let moved = bench.tick(Some(ROW), &[]);
    assert!(moved.state == OutputState::Control && moved.velocity.0[0] > 0.0, "{moved:?}");
    // confirmed while it waited
    assert_eq!(bench.tick(Some(ROW), &[swap(3)]).state, OutputState::Control);
    bench.stage_in_doubt(1.0, 2, Some(Cause::DecoderAtChance));
    assert_eq!(bench.tick(Some(ROW), &[swap(2)]).state, OutputState::Idle, "staged anew, asked anew");
}

#[test]
fn in_a_session_recorded_before_there_was_a_choice_a_model_in_doubt_moves_nothing_in_calibrating() {
    let mut settings = settings(Mode::Calibrating);
    settings.doubted_calibrates = false;
    let text = serde_json::to_string(&settings).expect("JSON");
    assert!(!text.contains("doubted"), "{text}");
    let settings = serde_json::from_str(&text).expect("as it was recorded");
    let mut bench = Bench::of(settings);
    bench.stage_in_doubt(1.0, 1, Some(Cause::DecoderAtChance));
    bench.tick(Some(ROW), &[SWAP]);
    let kept = bench.tick(Some(ROW), &[]);
    assert!(kept.intent.is_some());
    assert_eq!((kept.state, kept.velocity.0), (OutputState::Calibrating, [0.0, 0.0]));
}

#[test]
fn a_preview_of_models_is_what_the_tick_then_shows() {
    let swap = |id| Command::SwapModel(ModelId([id; 32]));
    let confirm = |id| Command::ConfirmModel { model: ModelId([id; 32]), by: Actor::Operator };
    for commands in [
        vec![swap(9)],
        vec![swap(4)],
        vec![confirm(2), swap(9)],
        vec![swap(3), confirm(3)],
        vec![confirm(3), swap(3)],
        vec![swap(4), swap(3)],
        vec![swap(3), swap(4)],
        vec![swap(3), swap(3)],
        vec![swap(4), confirm(2)],
        vec![confirm(2), swap(4), swap(3), confirm(3)],
    ] {
        let mut bench = Bench::with_model(Mode::Control);
        bench.stage_in_doubt(1.0, 2, Some(Cause::DecoderAtChance));
        bench.tick(Some(ROW), &[SWAP]);
        assert_eq!(bench.tick(Some(ROW), &[swap(2)]).state, OutputState::Idle);
        bench.stage_in_doubt(1.0, 3, Some(Cause::DecoderMostlyFallsBack));
        bench.stage(1.0, 4);
        let shown = bench.engine.preview(&commands).shown();
        let ticked = bench.tick(Some(ROW), &commands);
        assert_eq!(shown, (ticked.state, ticked.reason), "{commands:?}");
    }
}

#[test]
fn a_confirmation_in_a_tick_that_panics_counts() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.stage_in_doubt(1.0, 2, Some(Cause::DecoderAtChance));
    let model = ModelId([2; 32]);
    bench.tick(Some(ROW), &[Command::SwapModel(model)]);
    assert_eq!(bench.engine.model_and_doubt(), Some((model, Some(Cause::DecoderAtChance))));
    let confirm = Command::ConfirmModel { model, by: Actor::Operator };
    let request = Command::Request { mode: Mode::Control, resume: true, by: Actor::Operator };
    let input = bench.input(Some(ROW), &[confirm, request]);
    assert_eq!(bench.engine.fault(&input, Cause::Panicked).state, OutputState::Fault);
    assert_eq!(bench.engine.model_and_doubt(), Some((model, None)));
    assert_eq!(bench.tick(Some(ROW), &[request]).state, OutputState::Control);
}

#[test]
fn a_preview_knows_of_stops_of_models_and_of_their_want() {
    let mut bench = Bench::new(Mode::Control);
    assert_eq!(bench.engine.preview(&[]).state(), OutputState::Idle, "there is nothing to control with");
    assert_eq!(bench.engine.preview(&[SWAP]).state(), OutputState::Idle, "no such model was staged");
    bench.stage(1.0, 1);
    assert_eq!(bench.engine.preview(&[SWAP]).state(), OutputState::Control);
    bench.tick(Some(ROW), &[SWAP]);
    let stop = Command::Stop { by: Actor::Client };
    let resume = Command::Request { mode: Mode::Control, resume: true, by: Actor::Operator };
    assert_eq!(bench.engine.preview(&[stop]).state(), OutputState::Hold);
    assert_eq!(bench.engine.preview(&[stop, resume]).state(), OutputState::Control);
    assert_eq!(bench.engine.preview(&[resume, stop]).state(), OutputState::Hold);
    assert_eq!(bench.engine.states().state(), OutputState::Control, "a preview changes nothing");
}

#[test]
fn a_swap_carries_the_belief_over_and_hands_the_old_model_back() {
    let mut bench = Bench::with_model(Mode::Control);
    bench.tick(Some(ROW), &[SWAP]);
    bench.tick(Some(ROW), &[]);
    bench.stage(10.0, 2);
    assert!(bench.engine.take_retired().is_none());
    let swapped = bench.tick(Some(ROW), &[Command::SwapModel(ModelId([2; 32]))]);
    assert_eq!((mean(&swapped), steps(&swapped)), (Some(vec![2.0, -1.0]), Some(101.0)));
    assert_eq!(bench.engine.take_retired().map(|model| model.id), Some(ModelId([1; 32])));
    // an earlier model, built again, is swapped in as any other
    bench.stage(1.0, 1);
    let back = bench.tick(Some(ROW), &[Command::SwapModel(ModelId([1; 32]))]);
    assert_eq!(mean(&back), Some(vec![0.2, -0.1]));
    bench.stage(2.0, 2);
    bench.stage(3.0, 3);
    let both = [2, 3].map(|id| Command::SwapModel(ModelId([id; 32])));
    bench.tick(Some(ROW), &both);
    let retired: Vec<ModelId> =
        core::iter::from_fn(|| bench.engine.take_retired()).map(|model| model.id).collect();
    assert_eq!(retired, [2, 1, 2].map(|id| ModelId([id; 32])), "every one of them, to be freed elsewhere");
    bench.tick(Some(ROW), &[Command::SwapModel(ModelId([9; 32]))]);
    assert_eq!(bench.engine.model(), Some(ModelId([3; 32])), "a model that was never staged changes nothing");
}

/// A decoder that takes one feature more.
#[derive(Debug)]
struct Wide(Plain);

impl Decoder for Wide {
    fn features(&self) -> usize {
        CHANNELS + 1
    }
    fn dimension(&self) -> usize {
        2
    }
    fn restart(&mut self) {}
    fn step(&mut self, _features: Option<&[f64]>, _intent: &mut Intent) -> StepReport {
        StepReport::default()
    }
    fn look_back(&self) -> LookBack {
        self.0.look_back()
    }
    fn state(&self) -> Option<FilterState<'_>> {
        self.0.state()
    }
    fn adopt(&mut self, _state: FilterState<'_>) -> bool {
        false
    }
}

#[test]
fn a_model_of_another_width_is_given_back() {
    let mut bench = Bench::new(Mode::Idle);
    let preparation = Preparation::new(vec![0.0; CHANNELS], None).expect("means are finite");
    let screen = Screen::open(vec![0.0; CHANNELS]);
    let decoder = Box::new(Wide(Plain::new(1.0)));
    let model = StagedModel::new(ModelId([1; 32]), decoder, preparation, screen, None);
    let (error, model) = bench.engine.stage(Box::new(model)).expect_err("it does not fit");
    assert!(model.turned_away(), "whoever sent it is told");
    assert_eq!(error, EngineError::FeatureCount { model: CHANNELS + 1, streams: CHANNELS });
}

/// A decoder that takes no measurement in while `broken`.
#[derive(Debug)]
struct Unusing(Plain);

impl Decoder for Unusing {
    fn features(&self) -> usize {
        CHANNELS
    }

    fn dimension(&self) -> usize {
        2
    }

    fn restart(&mut self) {
        self.0.restart();
    }

    fn step(&mut self, features: Option<&[f64]>, intent: &mut Intent) -> StepReport {
        let broken = features.is_some_and(|features| features[3] > 0.0);
        let report = self.0.step(features, intent);
        StepReport { fallback: broken, unused: broken, ..report }
    }

    fn look_back(&self) -> LookBack {
        self.0.look_back()
    }

    fn state(&self) -> Option<FilterState<'_>> {
        self.0.state()
    }

    fn adopt(&mut self, state: FilterState<'_>) -> bool {
        self.0.adopt(state)
    }
}

#[test]
fn a_decoder_that_uses_no_features_for_300_ms_is_stale_until_it_does() {
    for (mode, stale) in [(Mode::Control, true), (Mode::Idle, false)] {
        let mut bench = Bench::new(mode);
        let preparation = Preparation::new(vec![0.25; CHANNELS], None).expect("means are finite");
        let decoder = Box::new(Unusing(Plain::new(1.0)));
        let screen = Screen::open(vec![0.25; CHANNELS]);
        let model = StagedModel::new(ModelId([1; 32]), decoder, preparation, screen, None);
        assert!(bench.engine.stage(Box::new(model)).is_ok());
        bench.tick(Some(ROW), &[SWAP]);
        let before = bench.engine.states().state();
        for bin in 1..=20 {
            let output = bench.tick(Some([0.2, -0.1, 0.0, 1.0]), &[]);
            assert_eq!(output.state == OutputState::Stale, stale && bin >= 15, "bin {bin}");
            if output.state == OutputState::Stale {
                assert_eq!(output.reason.map(|reason| reason.cause), Some(Cause::DecoderFallsBack));
                assert_eq!(output.velocity, Velocity::default());
            }
        }
        assert_eq!(bench.tick(Some(ROW), &[]).state, before);
    }
}

#[test]
fn a_model_takes_over_with_the_first_bin_that_is_wholly_of_the_generation_it_names() {
    let mut bench = Bench::with_model(Mode::Control);
    let model = |id| ModelId([id; 32]);
    let at = |id, generation| Command::SwapAtGeneration { model: model(id), stream: 0, generation };
    let tick = |bench: &mut Bench, generation, commands: &[Command]| {
        let mut input = bench.input(Some(ROW), commands);
        input.streams[0].generation = generation;
        bench.engine.step(&input, &bench.rows);
        bench.engine.model().map(|model| model.0[0])
    };
    for id in [2, 3, 4] {
        bench.stage(1.0, id);
    }
    assert_eq!(tick(&mut bench, 0, &[SWAP, at(2, 1)]), Some(1));
    assert_eq!(tick(&mut bench, 0, &[]), Some(1));
    assert_eq!(tick(&mut bench, 1, &[]), Some(2));
    assert_eq!(tick(&mut bench, 1, &[at(3, 2)]), Some(2));
    assert_eq!(tick(&mut bench, 1, &[Command::SwapModel(model(4))]), Some(4), "another one comes before");
    assert_eq!(tick(&mut bench, 2, &[]), Some(4));
    let retired: Vec<u8> =
        core::iter::from_fn(|| bench.engine.take_retired()).map(|model| model.id.0[0]).collect();
    assert_eq!(retired, [1, 2, 3], "each is handed back");
}

#[test]
fn a_model_that_waits_for_a_generation_is_handed_back_where_it_is_not_to_take_over() {
    let mut bench = Bench::with_model(Mode::Control);
    let model = ModelId([2; 32]);
    let forget = Command::ForgetAwaited { model };
    bench.stage(1.0, 2);
    bench.tick(Some(ROW), &[SWAP, Command::SwapAtGeneration { model, stream: 0, generation: 1 }]);
    bench.tick(Some(ROW), &[Command::ForgetAwaited { model: ModelId([1; 32]) }]);
    assert!(bench.engine.take_retired().is_none(), "that one does not wait");
    bench.tick(Some(ROW), &[forget]);
    assert_eq!(bench.engine.take_retired().map(|model| model.id), Some(model));
    let mut input = bench.input(Some(ROW), &[forget]);
    input.streams[0].generation = 1;
    bench.engine.step(&input, &bench.rows);
    assert_eq!(bench.engine.model(), Some(ModelId([1; 32])));
    // in a tick that fails as well
    bench.stage(1.0, 2);
    bench.tick(Some(ROW), &[Command::SwapAtGeneration { model, stream: 0, generation: 2 }]);
    let input = bench.input(Some(ROW), &[forget]);
    bench.engine.fault(&input, Cause::Panicked);
    assert_eq!(bench.engine.take_retired().map(|model| model.id), Some(model));
}

#[test]
fn a_model_whose_tick_fails_with_the_generation_it_waits_for_is_handed_back() {
    let mut bench = Bench::with_model(Mode::Control);
    let model = ModelId([2; 32]);
    bench.stage(600.0, 2);
    bench.tick(Some(ROW), &[SWAP, Command::SwapAtGeneration { model, stream: 0, generation: 1 }]);
    let mut input = bench.input(Some(ROW), &[]);
    input.streams[0].generation = 1;
    let Bench { engine, rows, .. } = &mut bench;
    let step = std::panic::catch_unwind(core::panic::AssertUnwindSafe(|| engine.step(&input, rows)));
    assert!(step.is_err());
    engine.fault(&input, Cause::Panicked);
    let back = engine.take_retired().expect("it is handed back");
    assert_eq!((back.id, back.turned_away()), (model, true));
    // what decodes goes on, and nothing takes over later
    bench.tick(Some(ROW), &[]);
    let mut input = bench.input(Some(ROW), &[]);
    input.streams[0].generation = 1;
    bench.engine.step(&input, &bench.rows);
    assert_eq!(bench.engine.model(), Some(ModelId([1; 32])));
}
