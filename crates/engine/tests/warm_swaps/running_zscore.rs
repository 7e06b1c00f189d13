//! Models whose z-score follows the signal: its state goes on over a swap, and the past is decoded with what it was then.

use kalmind_engine::{Engine, History};
use kalmind_filter::{DecoderName, DecoderSpec, Model, ZScore};
use kalmind_signal::FeatureStatistics;
use kalmind_types::{Cause, Command, FeatureSet};

use crate::{
    FEATURES, Incidents, NEW, OLD, Row, SWAP, TICKS, all_along, difference, intents, keep, other,
    preparation, settings, small_models, staged, swapped, tick, warm,
};

/// The model of a decoder whose z-score follows the signal within two seconds, fitted to rows that were z-scored so.
fn running(mut spec: DecoderSpec) -> Model {
    spec.set("running-zscore", "2").unwrap();
    let mut data = small_models::training_data(300, FEATURES);
    let raw = data.features.transpose();
    let FeatureStatistics { mean, deviation } = FeatureStatistics::measure(raw.as_slice(), FEATURES);
    let zscore = ZScore { mean: mean.clone(), standard_deviation: deviation };
    let scored = Model {
        zscore: Some(zscore.clone()),
        ..Model::plain(spec, mean.clone(), 2, small_models::model(&spec, &data).parameters)
    };
    preparation(&scored).over(raw.as_slice().chunks(FEATURES), |row, features| {
        data.features.row_mut(row).copy_from_slice(features);
    });
    Model { training_mean: mean, zscore: Some(zscore), ..small_models::model(&spec, &data) }
}

#[test]
fn with_a_running_z_score_every_decoder_goes_on_as_if_it_had_run_all_along() {
    // what a guard takes for no signal moves nothing, so both have one or none has
    let olds = ["kalman", "kalman:guard=on"].map(|old| running(old.parse().unwrap()));
    for spec in DecoderName::ALL.into_iter().flat_map(small_models::variants) {
        let model = running(spec);
        let expected = all_along(&model, Incidents::default());
        for (bins, behind) in [(250, 0), (500, 2)] {
            // and a bin without what a model selects of the features moves nothing
            let selects = spec.options.select.map(|_| model.clone());
            let old = selects.as_ref().unwrap_or(&olds[usize::from(spec.options.guard == Some(true))]);
            let (outputs, engine) = swapped(&model, old, Incidents::default(), bins, behind);
            assert_eq!(engine.model(), Some(NEW), "{spec}");
            let found = intents(&outputs);
            if model.decoder().unwrap().look_back().fades {
                let difference = difference(&found, &expected);
                let most = if bins == 250 { 1e-8 } else { 1e-9 };
                assert!(difference < most, "{spec} over {bins} bins: {difference:e}");
            } else {
                assert_eq!(found, expected, "{spec}");
            }
        }
    }
}

#[test]
fn a_running_z_score_of_a_model_without_one_before_it_begins_with_the_history() {
    let model = running("wiener:lags=3".parse().unwrap());
    // 250 bins from the training values on, and then as it goes
    let mut alone = preparation(&model);
    let nothing = FeatureSet::none_of(FEATURES);
    for seq in SWAP - 251..TICKS {
        let (input, Row(row)) = tick(seq, Incidents::default());
        if !input.incomplete {
            let mut off = nothing.clone();
            if input.masked.is_masked(0, 1) {
                assert!(off.insert(1));
            }
            alone.prepare(&row, &off);
            alone.adapt(&row, true, &nothing);
        }
    }
    let (_, engine) = swapped(&model, &other(), Incidents::default(), 250, 1);
    assert_eq!(engine.adaptive().unwrap().difference(alone.adaptive().unwrap()), None);
}

#[test]
fn the_history_begins_anew_where_the_adaptive_state_does() {
    let (still, follows) = (other(), running("kalman".parse().unwrap()));
    let mut engine = Engine::new(settings(&still, Incidents::default())).unwrap();
    let mut history = History::new(FEATURES, 40);
    let mut held = Vec::new();
    for seq in 0..100 {
        let (mut input, row) = tick(seq, Incidents::default());
        for (at, model) in [(0, &still), (20, &follows), (30, &follows), (90, &still)] {
            if seq == at {
                assert!(engine.stage(staged(model, NEW)).is_ok());
                input.commands.push(Command::SwapModel(NEW));
            }
        }
        engine.step(&input, &row);
        // what happens on the way from the tick is told as it is: a bin is lost
        if seq != 70 {
            keep(&mut history, &engine, &input);
        }
        held.push(history.held());
        if let Some((oldest, newest)) = history.held().filter(|_| engine.adaptive().is_some() && seq != 70) {
            assert_eq!(history.row(oldest).unwrap().before, history.before(oldest).as_ref());
            let followed = history.before(newest + 1).unwrap();
            assert_eq!(engine.adaptive().unwrap().difference(&followed), None, "tick {seq}");
        }
    }
    for (seq, expected) in [
        (19, Some((0, 19))),
        (20, None),
        (21, Some((21, 21))),
        // the same state goes on with the next model
        (69, Some((30, 69))),
        // told again by the tick after the one that was lost
        (71, None),
        (72, Some((72, 72))),
        (90, None),
        (99, Some((91, 99))),
    ] {
        assert_eq!(held[seq], expected, "tick {seq}");
    }
}

#[test]
fn a_panic_and_a_model_behind_a_change_of_the_state_come_late_instead_of_wrong() {
    let (still, follows) = (other(), running("kalman".parse().unwrap()));
    let mut engine = Engine::new(settings(&still, Incidents::default())).unwrap();
    let mut examiner = engine.examiner();
    let mut history = History::new(FEATURES, 40);
    assert!(engine.stage(staged(&follows, OLD)).is_ok());
    for seq in 0..12 {
        let (mut input, row) = tick(seq, Incidents::default());
        if seq == 0 {
            input.commands.push(Command::SwapModel(OLD));
        }
        if seq == 11 {
            // warmed before the fault of tick 10
            let mut newcomer = staged(&follows, NEW);
            warm(&mut newcomer, &history, (1, 9), &mut examiner);
            assert!(engine.stage(newcomer).is_ok());
            input.commands.push(Command::SwapWarmed { model: NEW, from: 1, through: 9 });
        }
        if seq == 10 {
            engine.fault(&input, Cause::Panicked);
            assert!(engine.bin_facts().turned);
        } else {
            engine.step(&input, &row);
            keep(&mut history, &engine, &input);
        }
    }
    assert_eq!(engine.model(), Some(OLD));
    assert!(engine.take_retired().is_some_and(|model| model.turned_away()));
}
