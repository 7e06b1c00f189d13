//! A decoder that takes some of the features: which of them it cannot do without.
#![expect(clippy::unwrap_used, reason = "a test that cannot build its subject has failed")]

mod rig;

use kalmind_session::ParticipantOptions;
use kalmind_types::Seconds;
use rig::{Loop, Subject};

const BIN_S: f64 = 0.02;

/// How many of ten bins are incomplete where these features have no value.
fn incomplete(model: &kalmind_filter::Model, subject: &mut Subject, lost: &[usize]) -> usize {
    let mut run = Loop::new(model, BIN_S, false, false);
    let mut row = vec![0.0; model.features()];
    // the tick of the swap is no decoder's
    subject.row(run.time(), kalmind_types::Position([0.5, 0.5]), &mut row);
    run.tick(&row);
    let bins = (0..10).filter(|_| {
        subject.row(run.time(), kalmind_types::Position([0.5, 0.5]), &mut row);
        for feature in lost {
            row[*feature] = f64::NAN;
        }
        run.tick(&row).incomplete
    });
    bins.count()
}

#[test]
fn a_bin_without_what_the_decoder_takes_is_incomplete() {
    let options =
        ParticipantOptions { units: 24, bin: Seconds(BIN_S), seed: 3, ..ParticipantOptions::default() };
    let mut subject = Subject::new(options);
    let rows = subject.calibrate(60.0);
    let model = rig::model("kalman:select=6", &rows, BIN_S);
    let selected = model.reduction.clone().unwrap().selected.unwrap();
    let others: Vec<usize> = (0..24).filter(|feature| !selected.contains(feature)).collect();
    // at most a quarter may be missing: 6 of 24 channels, 1 of 6 selected ones
    assert_eq!(incomplete(&model, &mut subject, &others[..6]), 0);
    assert_eq!(incomplete(&model, &mut subject, &selected[..1]), 0);
    assert_eq!(incomplete(&model, &mut subject, &selected[..2]), 10);
    assert_eq!(incomplete(&model, &mut subject, &others[..7]), 10, "the array as a whole counts too");
    let whole = rig::model("kalman", &rows, BIN_S);
    assert_eq!(incomplete(&whole, &mut subject, &selected), 0, "all features are taken");
}
