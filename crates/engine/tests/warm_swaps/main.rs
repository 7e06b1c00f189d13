//! A model that takes over warmed decodes as the same model that ran all along: every decoder of the registry, over bins
//! that are incomplete, masked, lost for long, and decoded anew after a fault.
#![expect(clippy::unwrap_used, clippy::panic, reason = "functions that tests share fail like tests")]

mod clicks;
mod running_zscore;
#[path = "../../../fitting/tests/small_models/mod.rs"]
mod small_models;

use std::sync::LazyLock;

use arrayvec::ArrayVec;
use kalmind_engine::{
    CursorSettings, Engine, EngineSettings, Examiner, History, HistoryRow, SampleSource, StagedModel,
};
use kalmind_filter::{DecoderName, DecoderSpec, KernelPath, LabelLaw, Model};
use kalmind_signal::{FeatureStatistics, Preparation};
use kalmind_types::{
    Actor, BinClose, Cause, ChannelMask, Command, IndexRange, Intent, LslTime, Mode, ModelId, Position,
    SampleRows, Seconds, StreamHealth, StreamTick, StreamTime, TickInput, TickOutput,
};

const FEATURES: usize = 6;
const WIDTH: f64 = 0.02;
/// The tick of the swap, and ticks in all.
const SWAP: u64 = 900;
const TICKS: u64 = 1000;
const NEW: ModelId = ModelId([1; 32]);
const OLD: ModelId = ModelId([2; 32]);

/// What happens to the bins of a run.
#[derive(Clone, Copy, Default)]
struct Incidents {
    /// 0.8 s without a complete bin, shortly before the swap.
    gap: bool,
    /// A fault that somebody resumes from, shortly before the swap.
    fault: bool,
    /// In control an array that dies for 0.3 s, long enough to be found out.
    dead: bool,
}

/// The row of a tick, as its samples.
struct Row(Vec<f64>);

impl SampleSource for Row {
    fn rows(&self, _stream: usize, _range: IndexRange, visit: &mut dyn FnMut(SampleRows<'_>)) {
        visit(SampleRows::Double64(&self.0));
    }

    fn stamp(&self, _stream: usize, _index: u64) -> Option<StreamTime> {
        None
    }
}

/// Rows as those that the models are fitted to, so that no channel is taken for a bad one.
static ROWS: LazyLock<Vec<Vec<f64>>> = LazyLock::new(|| {
    let data = small_models::training_data(TICKS as usize, FEATURES);
    data.features.row_iter().map(|row| row.iter().copied().collect()).collect()
});

/// The input of a tick and its row: the same for every engine.
fn tick(seq: u64, incidents: Incidents) -> (TickInput, Row) {
    let mut row = ROWS[seq as usize].clone();
    if seq % 31 == 5 {
        row[2] = f64::NAN;
    }
    if incidents.dead && (800..815).contains(&seq) {
        row.fill(0.0);
    }
    let mut input = TickInput::empty();
    let start = 100.0 + seq as f64 * WIDTH;
    (input.seq, input.start, input.time) = (seq, LslTime(start), LslTime(start + WIDTH));
    let missing = seq % 7 == 3 || (incidents.gap && (840..880).contains(&seq));
    input.incomplete = missing;
    input.closed_by = if missing { BinClose::Deadline } else { BinClose::Sample };
    let range = IndexRange { first: seq, end: seq + 1 };
    input.streams.push(StreamTick {
        ranges: if missing { ArrayVec::new() } else { ArrayVec::from_iter([range]) },
        offset: Seconds(0.0),
        health: StreamHealth::Live,
        lost: 0,
        late: 0,
        generation: 0,
        settling: None,
    });
    if (880..890).contains(&seq) {
        assert!(input.masked.mask(0, 1));
    }
    let angle = seq as f64 / 50.0;
    input.commands.push(Command::PlaceCursor(Position([0.5 + 0.3 * angle.sin(), 0.5 + 0.3 * angle.cos()])));
    if incidents.fault && seq == 860 {
        input.commands.push(Command::Fault(Cause::TickSilent));
    }
    if incidents.fault && seq == 870 {
        let (mode, by) = (Mode::Idle, Actor::Operator);
        input.commands.push(Command::Request { mode, resume: true, by });
    }
    (input, Row(row))
}

fn settings(model: &Model, incidents: Incidents) -> EngineSettings {
    EngineSettings {
        features: model.streams.clone(),
        max_masked: 0.25,
        restart_after: Seconds(0.5),
        stale_after: Seconds(0.1),
        auto_resume: Seconds(2.0),
        start: if incidents.dead { Mode::Control } else { Mode::Idle },
        cursor: CursorSettings::default(),
        label_law: LabelLaw::default(),
        plausibility: true,
        fallback_stale: Seconds(0.3),
        doubted_calibrates: true,
    }
}

fn staged(model: &Model, id: ModelId) -> Box<StagedModel> {
    let staged = StagedModel::new(
        id,
        model.decoder_with(false, KernelPath::detect()).unwrap(),
        preparation(model),
        model.screen(model.decoder.options.guard == Some(true)),
        None,
    );
    Box::new(staged.with_click(model.click_decoder()))
}

fn preparation(model: &Model) -> Preparation {
    let statistics = model.zscore.as_ref().map(|zscore| FeatureStatistics {
        mean: zscore.mean.clone(),
        deviation: zscore.standard_deviation.clone(),
    });
    Preparation::new(model.training_mean.clone(), statistics).unwrap().running(model.running_weight())
}

/// The bin of the newest tick, as the slow side keeps it.
fn keep(history: &mut History, engine: &Engine, input: &TickInput) {
    let row = HistoryRow::of(input, engine.bin_facts(), engine.raw_features());
    history.follow(&row.moved(engine.moved()), engine.adaptive());
}

/// Intents from the tick of the swap on, where the model decoded all along.
fn all_along(model: &Model, incidents: Incidents) -> Vec<Option<Intent>> {
    intents(&outputs_all_along(model, incidents))
}

/// Outputs, the same.
fn outputs_all_along(model: &Model, incidents: Incidents) -> Vec<TickOutput> {
    let mut engine = Engine::new(settings(model, incidents)).unwrap();
    assert!(engine.stage(staged(model, NEW)).is_ok());
    let outputs = (0..TICKS).map(|seq| {
        let (mut input, row) = tick(seq, incidents);
        if seq == 0 {
            input.commands.push(Command::SwapModel(NEW));
        }
        engine.step(&input, &row)
    });
    outputs.skip(SWAP as usize).collect()
}

/// Outputs from the tick of the swap on, where it takes over from another, warmed with the `bins` bins that end `behind`
/// the newest; and the engine.
fn swapped(
    model: &Model,
    old: &Model,
    incidents: Incidents,
    bins: u64,
    behind: u64,
) -> (Vec<TickOutput>, Engine) {
    let mut engine = Engine::new(settings(model, incidents)).unwrap();
    let mut examiner = engine.examiner();
    assert!(engine.stage(staged(old, OLD)).is_ok());
    let mut history = History::new(FEATURES, 600);
    let mut outputs = Vec::new();
    for seq in 0..TICKS {
        let (mut input, row) = tick(seq, incidents);
        if seq == 0 {
            input.commands.push(Command::SwapModel(OLD));
        }
        if seq == SWAP {
            let mut newcomer = staged(model, NEW);
            let through = SWAP - 1 - behind;
            let from = through + 1 - bins;
            warm(&mut newcomer, &history, (from, through), &mut examiner);
            assert!(engine.stage(newcomer).is_ok());
            input.commands.push(Command::SwapWarmed { model: NEW, from, through });
        }
        outputs.push(engine.step(&input, &row));
        keep(&mut history, &engine, &input);
    }
    (outputs.split_off(SWAP as usize), engine)
}

/// Shows a model the bins of these ticks.
fn warm(newcomer: &mut StagedModel, history: &History, (from, through): (u64, u64), examiner: &mut Examiner) {
    let before = history.before(from);
    for seq in from..=through {
        let row = history.row(seq).unwrap();
        let before = before.as_ref().filter(|_| seq == from).or(row.before);
        newcomer.warm(&HistoryRow { before, ..row }, examiner);
    }
}

fn intents(outputs: &[TickOutput]) -> Vec<Option<Intent>> {
    outputs.iter().map(|output| output.intent).collect()
}

/// The largest difference of two runs, beside the largest value in each.
fn difference(found: &[Option<Intent>], expected: &[Option<Intent>]) -> f64 {
    let values = |intent: &Intent| [intent.mean(), intent.covariance()].map(<[f64]>::to_vec);
    let mut most = 0.0_f64;
    for (found, expected) in found.iter().zip(expected) {
        match (found, expected) {
            (None, None) => {}
            (Some(found), Some(expected)) => {
                for (found, expected) in values(found).iter().zip(values(expected)) {
                    let size = expected.iter().fold(0.0_f64, |size, value| size.max(value.abs()));
                    for (found, expected) in found.iter().zip(&expected) {
                        most = most.max((found - expected).abs() / size.max(1e-3));
                    }
                }
            }
            _ => return f64::INFINITY,
        }
    }
    most
}

fn models() -> impl Iterator<Item = Model> {
    let data = small_models::training_data(300, FEATURES);
    let specs = DecoderName::ALL.into_iter().flat_map(small_models::variants);
    specs.map(move |spec| small_models::model(&spec, &data))
}

fn other() -> Model {
    let spec: DecoderSpec = "kalman".parse().unwrap();
    small_models::model(&spec, &small_models::training_data(200, FEATURES))
}

#[test]
fn every_decoder_that_was_warmed_decodes_as_if_it_had_run_all_along() {
    let old = other();
    for model in models() {
        let decoder = model.decoder().unwrap();
        // in control each model has a cursor of its own
        let runs = if decoder.takes_cursor() { 1 } else { 2 };
        for incidents in
            [false, true].map(|dead| Incidents { dead, ..Incidents::default() }).into_iter().take(runs)
        {
            let expected = all_along(&model, incidents);
            for (bins, behind) in [(250, 0), (250, 2), (500, 1)] {
                let (outputs, engine) = swapped(&model, &old, incidents, bins, behind);
                assert_eq!(engine.model(), Some(NEW), "{}", model.decoder);
                let found = intents(&outputs);
                let difference = difference(&found, &expected);
                if decoder.look_back().fades {
                    // what five seconds have not forgotten, ten have
                    let most = if bins == 250 { 1e-8 } else { 1e-9 };
                    assert!(difference < most, "{} over {bins} bins: {difference:e}", model.decoder);
                } else {
                    assert_eq!(found, expected, "{}", model.decoder);
                }
            }
        }
    }
}

#[test]
fn a_dead_array_is_not_decoded_in_the_history_either() {
    let model = other();
    let (idle, control) = (Incidents::default(), Incidents { dead: true, ..Incidents::default() });
    let steps = |incidents: Incidents| {
        let mut engine = Engine::new(settings(&model, incidents)).unwrap();
        assert!(engine.stage(staged(&model, NEW)).is_ok());
        let ticks = (0..820).map(|seq| {
            let (mut input, row) = tick(seq, incidents);
            if seq == 0 {
                input.commands.push(Command::SwapModel(NEW));
            }
            engine.step(&input, &row)
        });
        ticks.filter(|output| output.incomplete).count()
    };
    assert!(steps(control) > steps(idle), "it was found out");
}

#[test]
fn across_a_gap_in_the_history_every_decoder_is_the_same_to_the_bit() {
    let (old, gap) = (other(), Incidents { gap: true, ..Incidents::default() });
    for model in models() {
        let (outputs, _) = swapped(&model, &old, gap, 250, 1);
        assert_eq!(intents(&outputs), all_along(&model, gap), "{}", model.decoder);
    }
}

#[test]
fn decoding_begins_anew_in_the_history_where_somebody_resumed_after_a_fault() {
    let (old, fault) = (other(), Incidents { fault: true, ..Incidents::default() });
    for model in models() {
        let expected = all_along(&model, fault);
        let (outputs, _) = swapped(&model, &old, fault, 250, 1);
        let difference = difference(&intents(&outputs), &expected);
        assert!(difference < 1e-9, "{}: {difference:e}", model.decoder);
    }
}

#[test]
fn a_decoder_that_fades_not_needs_no_longer_history_than_it_looks_back() {
    let old = other();
    for model in models() {
        let look_back = model.decoder().unwrap().look_back();
        if !look_back.fades {
            let (outputs, _) = swapped(&model, &old, Incidents::default(), look_back.bins as u64, 0);
            let expected = all_along(&model, Incidents::default());
            assert_eq!(intents(&outputs), expected, "{}: {look_back:?}", model.decoder);
        }
    }
}

#[test]
fn a_history_shorter_than_the_look_back_takes_the_belief_of_the_model_before() {
    let (model, old) = (other(), other());
    // the same tensors: with the belief of the one before it goes on as that one would have
    let expected = all_along(&model, Incidents::default());
    let (outputs, _) = swapped(&model, &old, Incidents::default(), 3, 0);
    assert_eq!(intents(&outputs), expected);
    // what a model of other tensors believes is taken over with three bins, and not with enough of them
    let mut data = small_models::training_data(200, FEATURES);
    data.states *= -5.0;
    let strange = small_models::model(&"kalman".parse().unwrap(), &data);
    let enough = model.decoder().unwrap().look_back().settled() as u64;
    let off = |bins| {
        let (outputs, _) = swapped(&model, &strange, Incidents::default(), bins, 0);
        difference(&intents(&outputs), &expected)
    };
    let [few, almost, enough] = [3, enough - 1, enough].map(off);
    assert!(few > 0.1 && almost > 0.1 && enough < 1e-3, "{few:e} {almost:e} {enough:e}");
}

#[test]
fn a_model_that_is_more_than_two_bins_behind_is_handed_back() {
    let (model, old) = (other(), other());
    let (outputs, mut engine) = swapped(&model, &old, Incidents::default(), 250, 3);
    assert_eq!(engine.model(), Some(OLD));
    let mut late = engine.take_retired().unwrap();
    assert!(late.turned_away() && late.id == NEW, "{late:?}");
    assert!(engine.take_retired().is_none());
    let (unswapped, _) = swapped(&model, &old, Incidents::default(), 250, 4);
    assert_eq!(outputs, unswapped, "nothing else changed");
    late.forget();
    assert!(!late.turned_away() && late.warmed_through().is_none());
}

#[test]
fn no_tick_takes_two_warmed_models_in() {
    let model = other();
    let mut engine = Engine::new(settings(&model, Incidents::default())).unwrap();
    let mut examiner = engine.examiner();
    let mut newcomers = [staged(&model, OLD), staged(&model, NEW)];
    for seq in 0..10 {
        let (input, row) = tick(seq, Incidents::default());
        engine.step(&input, &row);
        for newcomer in &mut newcomers {
            newcomer.warm(&HistoryRow::of(&input, engine.bin_facts(), engine.raw_features()), &mut examiner);
        }
    }
    for newcomer in newcomers {
        assert!(engine.stage(newcomer).is_ok());
    }
    let (mut input, row) = tick(10, Incidents::default());
    input.commands.extend([OLD, NEW].map(|model| Command::SwapWarmed { model, from: 0, through: 9 }));
    engine.step(&input, &row);
    assert_eq!(engine.model(), Some(OLD));
    assert!(engine.take_retired().is_some_and(|model| model.id == NEW && model.turned_away()));
    assert!(engine.take_retired().is_none());
}

#[test]
fn a_tick_that_failed_hands_the_model_back_that_it_was_to_put_in() {
    let model = other();
    let mut engine = Engine::new(settings(&model, Incidents::default())).unwrap();
    for command in [Command::SwapModel(NEW), Command::SwapWarmed { model: NEW, from: 0, through: 9 }] {
        assert!(engine.stage(staged(&model, NEW)).is_ok());
        let (mut input, _) = tick(10, Incidents::default());
        input.commands.push(command);
        engine.fault(&input, Cause::Panicked);
        assert_eq!(engine.model(), None);
        assert!(engine.take_retired().is_some_and(|model| model.id == NEW && model.turned_away()));
    }
}

#[test]
fn a_model_that_was_not_shown_what_the_command_names_is_handed_back() {
    let model = other();
    for (warmed, through) in [(None, 9), (Some(8), 9), (Some(9), u64::MAX)] {
        let settings = settings(&model, Incidents::default());
        let mut engine = Engine::new(settings).unwrap();
        let mut examiner = engine.examiner();
        let mut newcomer = staged(&model, NEW);
        for seq in 0..10 {
            let (input, row) = tick(seq, Incidents::default());
            engine.step(&input, &row);
            if warmed.is_some_and(|warmed| seq <= warmed) {
                let facts = engine.bin_facts();
                newcomer.warm(&HistoryRow::of(&input, facts, engine.raw_features()), &mut examiner);
            }
        }
        assert!(engine.stage(newcomer).is_ok());
        let (mut input, row) = tick(10, Incidents::default());
        let swap = Command::SwapWarmed { model: NEW, from: 0, through };
        input.commands.push(swap);
        assert_eq!(engine.preview(&[swap]).shown(), engine.preview(&[]).shown(), "{warmed:?} {through}");
        engine.step(&input, &row);
        assert_eq!(engine.model(), None, "{warmed:?} {through}");
        assert!(engine.take_retired().is_some_and(|model| model.turned_away()));
    }
}

#[test]
fn a_mask_that_the_operator_sets_masks_in_the_history_as_well() {
    let mut history = History::new(FEATURES, 600);
    let mut engine = Engine::new(settings(&other(), Incidents::default())).unwrap();
    for seq in 870..890 {
        let (input, row) = tick(seq, Incidents::default());
        engine.step(&input, &row);
        history.push(&HistoryRow::of(&input, engine.bin_facts(), engine.raw_features()));
    }
    let mut mask = ChannelMask::default();
    assert!(mask.mask(0, 1));
    assert_eq!(history.row(879).unwrap().masked, &ChannelMask::default());
    assert_eq!(history.row(880).unwrap().masked, &mask);
    assert!(history.row(880).unwrap().raw[1].is_finite(), "the value is kept, and the mask with it");
}
