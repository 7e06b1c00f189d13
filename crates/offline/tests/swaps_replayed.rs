//! A session in which models take over warmed, late and cold, played back from what a recording holds of it: bit for bit.
#![expect(clippy::expect_used, reason = "functions that tests share fail like tests")]

mod recorded_run;

use std::borrow::Cow;

use kalmind_engine::{Engine, History, HistoryRow, StagedModel};
use kalmind_filter::KernelPath;
use kalmind_offline::{
    model::IdentifiedModel,
    recorded::{ModelPart, Playback, RecordedSamples, SessionDocument, TickDocument},
};
use kalmind_signal::AdaptiveState;
use kalmind_types::{
    Command, Samples, Seconds, StageTimes, StreamTime, TickInput, TickOutput, TickPublication,
};
use recorded_run::{WIDTH, input, model, noise, session, stream, time};

const FEATURES: usize = 8;
const TICKS: u64 = 700;

/// The swap of a tick: which model, and how many bins it is behind; cold where it says nothing.
fn swap(seq: u64) -> Option<(usize, Option<u64>)> {
    match seq {
        0 => Some((0, None)),
        270 => Some((1, Some(2))),
        // too late, and once more
        400 => Some((2, Some(7))),
        404 => Some((2, Some(1))),
        // back to the first one
        550 => Some((0, Some(0))),
        620 => Some((1, None)),
        _ => None,
    }
}

/// A tick: its samples, what is recorded of it, as text, its output, and the adaptive state after it.
type Tick = (Vec<f32>, String, TickOutput, Option<AdaptiveState>);

/// Runs the session.
fn live(models: &[IdentifiedModel], session: &SessionDocument) -> Vec<Tick> {
    let mut engine = Engine::new(session.engine.clone()).expect("an engine");
    if let Some(state) = &session.adaptive {
        engine.resume(state.clone());
    }
    let mut examiner = engine.examiner();
    let mut history = History::new(FEATURES, History::rows_of(Seconds(WIDTH)));
    let mut samples = RecordedSamples::new([(FEATURES, 64)].into_iter());
    let mut state = 3;
    let mut ticks = Vec::new();
    for seq in 0..TICKS {
        let raw: Vec<f32> = (0..FEATURES).map(|_| noise(&mut state) as f32).collect();
        samples.add(0, seq, vec![StreamTime(time(seq))], Samples::Float32(raw.clone()));
        let mut input = input(seq, seq % 11 == 4 || (480..515).contains(&seq));
        if (300..320).contains(&seq) {
            assert!(input.masked.mask(0, 3));
        }
        if let Some((at, behind)) = swap(seq) {
            let id = models[at].id;
            let mut staged = models[at].stage(session.guard, KernelPath::detect()).expect("it can be built");
            input.commands.push(match behind {
                None => Command::SwapModel(id),
                Some(behind) => {
                    let (from, newest) = history.held().expect("ticks were before");
                    let through = newest - behind;
                    for seq in from..=through {
                        staged.warm(&history.row(seq).expect("it is held"), &mut examiner);
                    }
                    Command::SwapWarmed { model: id, from, through }
                }
            });
            assert!(engine.stage(staged).is_ok(), "the model fits");
        }
        let output = engine.step(&input, &samples);
        let row = HistoryRow::of(&input, engine.bin_facts(), engine.raw_features());
        history.follow(&row.moved(engine.moved()), engine.adaptive());
        let retired: Vec<Box<StagedModel>> = std::iter::from_fn(|| engine.take_retired()).collect();
        let late = retired.iter().any(|model| model.turned_away());
        assert_eq!(late, seq == 400, "tick {seq}");
        let times = StageTimes { received: output.time, closed: output.time, decoded: output.time };
        let published = TickPublication { output, times, age: Seconds(0.0), late: false };
        let document = TickDocument::of(&input, &published, false, 0);
        let document = serde_json::to_string(&document).expect("JSON");
        ticks.push((raw, document, output, engine.adaptive().cloned()));
    }
    ticks
}

#[test]
fn a_session_with_warm_late_and_cold_swaps_repeats_bit_for_bit() {
    repeats(["kalman-steady", "wiener:lags=15,guard=on", "dkf-nw:lags=3"], &session(stream(FEATURES)));
}

#[test]
fn a_session_of_running_z_scores_repeats_bit_for_bit() {
    let running = [
        "kalman-steady:running-zscore=3",
        "wiener:lags=15,guard=on,running-zscore=3",
        "dkf-nw:lags=3,running-zscore=10",
    ];
    let begun = repeats(running, &session(stream(FEATURES)));
    // from the state of the session before; the document is read as it is written
    let text = serde_json::to_string(&SessionDocument {
        adaptive: Some(begun.clone()),
        ..session(stream(FEATURES))
    });
    let resumed: SessionDocument = serde_json::from_str(&text.expect("JSON")).expect("as it was written");
    let again = repeats(running, &resumed);
    assert!(begun.difference(&again).is_some(), "it went on");
    // one of another shape is none to go on from
    let other = SessionDocument {
        adaptive: Some(AdaptiveState::new("running_zscore", &[2, 3])),
        ..session(stream(FEATURES))
    };
    assert_eq!(repeats(running, &other).difference(&begun), None);
}

#[test]
fn models_with_a_running_z_score_and_without_take_over_from_each_other_and_repeat_bit_for_bit() {
    for running in [
        ["kalman-steady:running-zscore=3", "wiener:lags=15,guard=on", "dkf-nw:lags=3,running-zscore=10"],
        ["kalman-steady", "wiener:lags=15,guard=on,running-zscore=3", "dkf-nw:lags=3,running-zscore=10"],
    ] {
        repeats(running, &session(stream(FEATURES)));
    }
}

/// Runs a session and plays it back; gives the last adaptive state.
fn repeats(models: [&str; 3], session: &SessionDocument) -> AdaptiveState {
    let models = models.map(|decoder| model(decoder, FEATURES, 400));
    let mut playback = Playback::new(session).expect("a session");
    for model in &models {
        for part in ModelPart::all_of(&model.id.to_hex(), "", &model.file) {
            playback.models().part(part);
        }
    }
    let mut decoded = 0;
    let mut last = AdaptiveState::new("none", &[]);
    for (seq, (raw, text, output, state)) in (0..).zip(live(&models, session)) {
        playback.samples(0, seq, vec![StreamTime(time(seq))], Samples::Float32(raw));
        let document: TickDocument<'static> = serde_json::from_str(&text).expect("as it was written");
        let again = playback.tick(&document).expect("nothing is missing");
        assert_eq!(again, output, "tick {seq}");
        assert_eq!(playback.adaptive().is_some(), state.is_some(), "tick {seq}");
        if let (Some(again), Some(state)) = (playback.adaptive(), state) {
            assert_eq!(again.difference(&state), None, "tick {seq}");
            last = state;
        }
        decoded += usize::from(output.intent.is_some());
    }
    assert!(decoded > 600, "{decoded}");
    last
}

#[test]
fn swaps_are_read_as_they_have_been_written_since_there_are_recordings() {
    let old = format!(r#"{{"swap_model":{:?}}}"#, [7_u8; 32]);
    let id = kalmind_types::ModelId([7; 32]);
    assert_eq!(serde_json::from_str::<Command>(&old).expect("as it was"), Command::SwapModel(id));
    let mut input = TickInput::empty();
    input.commands.push(Command::SwapWarmed { model: id, from: 3, through: 9 });
    let written = serde_json::to_string(&Cow::Borrowed(&input)).expect("JSON");
    assert_eq!(serde_json::from_str::<TickInput>(&written).expect("the same"), input);
}
