//! Clicks in a session: what selects, what counts as a press, and what is told of them.

use kalmind_types::{Click, ClickTuning, Seconds, SelectBy};

use super::*;

/// A minute of calibration, and a block that is selected by clicking.
fn clicking() -> Rig {
    let mut plan = block(TaskBlock::Evaluation, 30.0);
    plan.options.insert("select".to_owned(), 1.0);
    Rig::new(vec![block(TaskBlock::OpenLoop, 10.0), plan])
}

/// The same, as far as its second block; whether the decoder tells clicks.
fn evaluated(rig: &mut Rig, clicks: bool) {
    rig.seconds(10.2);
    assert!(rig.orders[0].rows.clicks().is_some(), "what clicks are learnt from is gathered");
    rig.click = clicks.then(Click::default);
    rig.fit(Ok(FittedModel { decodes_clicks: clicks, ..model(1, false) }));
    rig.seconds(0.1);
    assert_eq!(rig.session.at, 1);
}

fn press(rig: &mut Rig) {
    rig.click.iter_mut().for_each(|click| click.presses += 1);
}

fn score(rig: &Rig) -> ScoreStatus {
    rig.session.status().blocks[1].score.clone().unwrap()
}

#[test]
fn a_press_selects_what_is_under_the_cursor_once_and_staying_does_not() {
    let mut rig = clicking();
    rig.open();
    evaluated(&mut rig, true);
    rig.seconds(4.0);
    assert_eq!(score(&rig).presented, 0, "it has been in the target for long");
    press(&mut rig);
    rig.seconds(0.2);
    assert_eq!((score(&rig).presented, score(&rig).acquired), (1, 1));
    // one on the way selects nothing in this task, and is told
    press(&mut rig);
    rig.seconds(3.0);
    assert_eq!(score(&rig).presented, 1);
    press(&mut rig);
    rig.tick();
    let clicks = score(&rig).clicks.unwrap();
    assert_eq!((clicks.acts, clicks.pressed, clicks.repeated), (2, 2, 0));
    let moving = clicks.false_per_minute_moving.unwrap();
    assert!(moving.value > 10.0 && moving.interval.is_some(), "{moving:?}");
    assert!(clicks.latency_s.is_some_and(|latency| latency.value > 1.0));
    assert!(score(&rig).figures.is_some_and(|figures| figures.acquired == 2 && figures.assisted == 0));
    assert_eq!(rig.session.status().options.select, Some(SelectBy::Click));
}

#[test]
fn where_clicks_cannot_be_told_staying_selects_and_it_is_said() {
    let mut rig = clicking();
    rig.open();
    evaluated(&mut rig, false);
    assert!(rig.session.status().message.contains("staying selects"), "{}", rig.session.status().message);
    rig.seconds(4.0);
    assert!(score(&rig).acquired >= 2 && score(&rig).clicks.is_none());
}

#[test]
fn what_selects_and_what_counts_as_a_press_can_be_set() {
    let mut rig = clicking();
    rig.open();
    let set = |rig: &mut Rig, options| rig.ask(SessionRequest::Options(options));
    let dwell = SessionOptions { select: Some(SelectBy::Dwell), ..SessionOptions::default() };
    set(&mut rig, dwell).unwrap();
    let (threshold, hold_s) = (Some(0.9), Some(0.1));
    let press = SessionOptions { click_threshold: threshold, click_hold_ms: Some(100.0), ..dwell };
    set(&mut rig, press).unwrap();
    let tuning = ClickTuning { threshold, hold: Some(Seconds(0.1)) };
    assert!(rig.commands.contains(&Command::TuneClick(tuning)));
    let told = SessionChange::ClicksTuned { select: SelectBy::Dwell, threshold, hold_s };
    assert!(rig.changes().contains(&&told));
    evaluated(&mut rig, true);
    rig.seconds(4.0);
    assert!(score(&rig).acquired >= 2, "staying selects");
    let sure = SessionOptions { click_threshold: Some(1.0), ..SessionOptions::default() };
    assert!(refused(set(&mut rig, sure)).contains("click_threshold is 1"));
    // a session that is opened next begins as its preset says
    rig.ask(SessionRequest::End).unwrap();
    rig.open();
    assert_eq!(rig.session.status().options.select, Some(SelectBy::Click));
    assert_eq!(rig.session.status().options.click_threshold, None);
    let mut without = Rig::new(vec![block(TaskBlock::OpenLoop, 10.0)]);
    without.open();
    let click = SessionOptions { select: Some(SelectBy::Click), ..SessionOptions::default() };
    assert!(refused(set(&mut without, click)).contains("nothing in this preset is selected by clicking"));
    assert_eq!(without.session.status().options.select, None);
}
