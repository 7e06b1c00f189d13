//! Stretches of rest: what is learnt of them, and what breaks them off.

use kalmind_types::{Cause, EventBody, Mode, OutputState, Phase, SessionChange, TaskBlock};

use super::rig::{BIN_S, Rig, block, model, refused};
use crate::{ReferenceStatus, SessionInput, SessionRequest, SessionState};

/// A rest of 6 s before an open loop.
fn resting() -> Rig {
    let mut rig = Rig::new(vec![block(TaskBlock::Rest, 6.0), block(TaskBlock::OpenLoop, 10.0)]);
    rig.open();
    rig.seconds(0.04);
    assert_eq!((rig.state(), rig.state), (SessionState::Running, OutputState::Idle));
    rig
}

fn learnt() -> ReferenceStatus {
    let made = Some("2026-01-31T10:32:00+0000".to_owned());
    ReferenceStatus {
        text: "of today".to_owned(),
        made,
        seconds: 60.0,
        streams: vec!["array".to_owned()],
        warnings: vec!["channel 3 is dead".to_owned()],
    }
}

fn failed(rig: &Rig) -> Vec<String> {
    let failed = |change: &&SessionChange| match change {
        SessionChange::ReferenceFailed { why } => Some(why.clone()),
        _ => None,
    };
    rig.changes().iter().filter_map(failed).collect()
}

#[test]
fn a_rest_is_learnt_from_and_the_next_block_waits_for_that() {
    let mut rig = resting();
    rig.seconds(5.8);
    assert!(rig.rests.is_empty());
    rig.seconds(0.3);
    let (number, from, to) = rig.rests[0];
    assert!((to - from).0 >= 6.0 && (to - from).0 < 6.0 + 2.0 * BIN_S, "{from:?} {to:?}");
    assert_eq!((rig.state(), rig.state), (SessionState::Learning, OutputState::Idle));
    let ended = EventBody::TaskBlock { block: TaskBlock::Rest, phase: Phase::End };
    assert!(rig.events.contains(&ended));
    rig.seconds(3.0);
    assert_eq!(rig.state(), SessionState::Learning, "however long it takes");
    assert!(refused(rig.ask(SessionRequest::Start)).contains("being learnt from"));
    assert_eq!(rig.session.status().reference, None);
    rig.handle(SessionInput::Learnt { number: number + 1, result: Ok(learnt()) }).unwrap();
    assert_eq!(rig.state(), SessionState::Learning, "that is another one");
    rig.handle(SessionInput::Learnt { number, result: Ok(learnt()) }).unwrap();
    let status = rig.session.status();
    assert_eq!((status.reference, status.blocks[0].state), (Some(learnt()), "done"));
    rig.seconds(0.1);
    assert_eq!((rig.state(), rig.session.status().block), (SessionState::Running, Some(1)));
    assert!(rig.changes().iter().any(|change| matches!(change, SessionChange::ReferenceLearnt { .. })));
    assert!(rig.orders.is_empty(), "nothing is fitted to a rest");
}

#[test]
fn what_cannot_be_learnt_is_said_and_somebody_decides() {
    let mut rig = resting();
    rig.seconds(6.1);
    let (number, ..) = rig.rests[0];
    rig.handle(SessionInput::Learnt { number, result: Err("the disk is gone".to_owned()) }).unwrap();
    let status = rig.session.status();
    assert_eq!((status.state, status.reference), (SessionState::Paused, None));
    assert!(status.message.contains("the disk is gone") && status.message.contains("Repeat it"));
    rig.ask(SessionRequest::Repeat).unwrap();
    rig.seconds(6.2);
    assert_eq!(rig.rests[1].0, number + 1);
    rig.handle(SessionInput::Learnt { number: number + 1, result: Ok(learnt()) }).unwrap();
    assert_eq!(rig.session.status().reference, Some(learnt()));
}

#[test]
fn a_stream_that_is_lost_in_the_middle_breaks_the_rest_off_and_nothing_is_learnt_of_its_parts() {
    let mut rig = resting();
    rig.seconds(3.0);
    // no ticks for 4 s
    rig.tick += (4.0 / BIN_S) as u64;
    rig.seconds(0.02);
    let status = rig.session.status();
    assert_eq!(status.state, SessionState::Paused);
    assert!(status.message.contains("were away for 4.0 s"), "{}", status.message);
    rig.seconds(10.0);
    assert!(rig.rests.is_empty());
    assert_eq!(failed(&rig).len(), 1);
    rig.ask(SessionRequest::Start).unwrap();
    rig.seconds(0.1);
    assert_eq!(rig.session.status().block, Some(1), "continued all the same");
}

#[test]
fn a_rest_of_incomplete_bins_is_broken_off_before_its_end() {
    let mut rig = resting();
    rig.seconds(2.0);
    rig.is_incomplete = true;
    rig.seconds(0.7);
    let why = failed(&rig);
    // a tenth of the 300 bins, and one more
    assert!(why[0].starts_with("31 of its"), "{why:?}");
    assert!(rig.rests.is_empty());
}

#[test]
fn a_rest_begins_anew_once_filters_have_settled() {
    let mut rig = resting();
    rig.seconds(2.0);
    (rig.is_incomplete, rig.cause) = (true, Some(Cause::StagesSettle));
    rig.seconds(3.4);
    assert!(failed(&rig).is_empty(), "{}", rig.session.status().message);
    (rig.is_incomplete, rig.cause) = (false, None);
    rig.seconds(5.9);
    assert!(rig.rests.is_empty());
    rig.seconds(0.2);
    assert_eq!((rig.rests.len(), failed(&rig).len()), (1, 0));
}

#[test]
fn a_pause_begins_a_rest_anew_and_its_end_takes_nothing_with_it() {
    let mut rig = resting();
    rig.seconds(4.0);
    rig.ask(SessionRequest::Pause).unwrap();
    rig.seconds(5.0);
    rig.ask(SessionRequest::Start).unwrap();
    rig.seconds(5.0);
    assert!(rig.rests.is_empty(), "{}", rig.session.status().elapsed_s);
    rig.seconds(1.2);
    assert_eq!(rig.rests.len(), 1);
    rig.ask(SessionRequest::End).unwrap();
    assert!(rig.rests.is_empty(), "nobody waits for it");
    rig.handle(SessionInput::Learnt { number: 0, result: Ok(learnt()) }).unwrap();
    assert_eq!(rig.session.status().reference, None);
}

#[test]
fn rows_of_before_a_rest_are_not_fitted_on_after_it() {
    let mut rig = Rig::new(vec![
        block(TaskBlock::OpenLoop, 5.0),
        block(TaskBlock::Rest, 2.0),
        block(TaskBlock::OpenLoop, 5.0),
    ]);
    rig.open();
    rig.seconds(5.4);
    let before = rig.orders[0].rows.rows();
    rig.fit(Ok(model(1, false)));
    rig.seconds(2.2);
    let (number, ..) = rig.rests[0];
    rig.handle(SessionInput::Learnt { number, result: Ok(learnt()) }).unwrap();
    rig.seconds(5.6);
    let after = rig.orders[0].rows.rows();
    assert!(after < before + before / 4, "{before} rows before and {after} after");
    assert!(rig.orders[0].anew);
}

#[test]
fn a_rest_has_no_task_and_gathers_and_fits_nothing() {
    let check = |change: &dyn Fn(&mut crate::BlockPlan)| {
        let mut plan = block(TaskBlock::Rest, 60.0);
        change(&mut plan);
        plan.check()
    };
    assert_eq!(check(&|_| {}), Ok(()));
    assert!(check(&|plan| plan.task = Some("radial8".to_owned())).unwrap_err().starts_with("`task`"));
    assert!(check(&|plan| plan.gather = Some(true)).unwrap_err().starts_with("`gather`"));
    assert!(check(&|plan| plan.refit_every_s = Some(3.0)).unwrap_err().starts_with("`refit_every_s`"));
    assert!(check(&|plan| plan.fit_after = Some(true)).unwrap_err().starts_with("`fit_after`"));
    let mut plan = crate::BlockPlan { block: TaskBlock::Rest, ..crate::BlockPlan::default() };
    plan.complete_rest();
    assert_eq!((plan.seconds, plan.instruction.as_str()), (60.0, "Rest, and do nothing."));
}

#[test]
fn stages_are_frozen_while_a_block_runs_in_which_the_decoder_moves_the_cursor() {
    let mut rig = Rig::new(vec![
        block(TaskBlock::Rest, 2.0),
        block(TaskBlock::OpenLoop, 5.0),
        block(TaskBlock::ClosedLoop, 5.0),
    ]);
    assert!(!rig.session.freezes_stages());
    rig.open();
    rig.seconds(1.0);
    assert!(!rig.session.freezes_stages(), "a rest");
    rig.seconds(1.2);
    rig.handle(SessionInput::Learnt { number: 0, result: Ok(learnt()) }).unwrap();
    rig.seconds(5.4);
    rig.fit(Ok(model(1, false)));
    rig.seconds(1.0);
    assert_eq!(rig.session.status().block, Some(2));
    assert!(rig.session.freezes_stages());
    rig.ask(SessionRequest::End).unwrap();
    assert!(!rig.session.freezes_stages());
}

#[test]
fn a_block_in_which_the_decoder_moves_the_cursor_waits_for_stages_that_are_on_their_way() {
    let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 5.0), block(TaskBlock::ClosedLoop, 5.0)]);
    rig.handle(SessionInput::StagesComing(true)).unwrap();
    rig.open();
    rig.seconds(1.0);
    assert_eq!(rig.state(), SessionState::Running, "nothing is decoded in an open loop");
    rig.seconds(4.4);
    rig.fit(Ok(model(1, false)));
    rig.seconds(5.0);
    let status = rig.session.status();
    assert_eq!((status.state, status.block), (SessionState::Resting, Some(1)));
    assert!(status.message.contains("come into force first"), "{status:?}");
    rig.ask(SessionRequest::Pause).unwrap();
    rig.seconds(0.1);
    assert_eq!(rig.session.status().message, "paused by AB: press Continue to go on");
    rig.ask(SessionRequest::Start).unwrap();
    rig.session.say("the fit failed");
    let message = rig.session.status().message;
    assert!(message.starts_with("the fit failed; other stages of a stream come"), "{message}");
    rig.handle(SessionInput::StagesChanged).unwrap();
    rig.handle(SessionInput::StagesComing(false)).unwrap();
    rig.seconds(0.1);
    let status = rig.session.status();
    assert_eq!(status.state, SessionState::Running);
    assert!(!status.message.contains("come into force"), "{status:?}");
}

#[test]
fn stages_that_somebody_else_changes_are_of_no_rest_any_more() {
    let mut rig = resting();
    rig.seconds(6.2);
    rig.handle(SessionInput::Learnt { number: 0, result: Ok(learnt()) }).unwrap();
    assert_eq!(rig.session.status().reference, Some(learnt()));
    rig.handle(SessionInput::StagesChanged).unwrap();
    assert_eq!(rig.session.status().reference, None);
}

#[test]
fn a_run_in_which_nothing_can_be_learnt_refuses_a_preset_with_a_rest() {
    let mut rig = Rig::new(vec![block(TaskBlock::Rest, 2.0)]);
    rig.session.settings.cannot_learn = Some("nothing is recorded".to_owned());
    let request = SessionRequest::Open { preset: "p".to_owned(), participant: None };
    assert!(refused(rig.ask(request)).contains("nothing is recorded"));
}

#[test]
fn nothing_moves_in_a_rest_and_what_somebody_stopped_is_none() {
    let mut rig = resting();
    rig.seconds(3.0);
    for mode in [Mode::Control, Mode::Calibrating, Mode::Idle] {
        assert_eq!(rig.session.granted(mode), Mode::Idle, "{mode:?} is asked for");
    }
    let before = core::mem::replace(&mut rig.state, OutputState::Hold);
    rig.seconds(5.0);
    assert!(rig.rests.is_empty(), "a stop is no rest");
    rig.state = before;
    rig.seconds(5.8);
    assert!(rig.rests.is_empty(), "it began anew");
    rig.seconds(0.4);
    let (_, from, to) = rig.rests[0];
    assert!((to - from).0 < 6.0 + 2.0 * BIN_S, "{from:?} {to:?}");
    assert_eq!(rig.session.granted(Mode::Control), Mode::Idle, "while thresholds change");
}

#[test]
fn whoever_changes_stages_the_decoder_has_to_show_anew_what_it_is_worth() {
    let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 4.0), block(TaskBlock::OpenLoop, 4.0)]);
    rig.open();
    rig.seconds(2.0);
    let rows = |rig: &Rig| rig.session.status().fits.rows;
    let before = rows(&rig);
    assert!(before > 0);
    rig.handle(SessionInput::StagesChanged).unwrap();
    assert_eq!(rows(&rig), 0, "of {before} rows of other features");
}

#[test]
fn a_rest_after_a_long_silence_waits_for_the_operator_and_one_that_nobody_began_before_does_not() {
    let mut rig = resting();
    rig.seconds(3.0);
    (rig.state, rig.cause) = (OutputState::Stale, Some(Cause::AwaitsResume));
    rig.seconds(20.0);
    assert!(rig.rests.is_empty() && rig.session.status().elapsed_s == 0.0, "{:?}", rig.session.status());
    let message = rig.session.status().message;
    assert!(message.contains("press Resume, then the rest begins anew"), "{message}");
    (rig.state, rig.cause) = (OutputState::Idle, None);
    rig.seconds(6.2);
    assert_eq!(rig.rests.len(), 1);

    // filters that take long to settle: nothing was fresh before
    let mut rig = Rig::new(vec![block(TaskBlock::Rest, 6.0)]);
    (rig.state, rig.cause) = (OutputState::Stale, Some(Cause::AwaitsResume));
    rig.ask(SessionRequest::Open { preset: "p".to_owned(), participant: None }).unwrap();
    rig.seconds(1.0);
    rig.ask(SessionRequest::Start).unwrap();
    rig.seconds(1.0);
    assert_eq!((rig.state, rig.session.status().message.as_str()), (OutputState::Stale, "rest"));
    rig.seconds(5.3);
    assert_eq!(rig.rests.len(), 1);
}

#[test]
fn a_stop_while_it_learns_or_between_blocks_is_gone_on_from_and_no_countdown_passes_it() {
    let mut rig = resting();
    rig.seconds(6.1);
    let (number, ..) = rig.rests[0];
    rig.state = OutputState::Hold;
    rig.seconds(0.1);
    let message = rig.session.status().message;
    assert!(message.contains("press Resume") && message.contains("learnt from the rest"), "{message}");
    rig.ask(SessionRequest::Start).unwrap();
    assert_eq!((rig.state(), rig.state), (SessionState::Learning, OutputState::Idle));
    rig.state = OutputState::Hold;
    rig.seconds(0.1);
    rig.handle(SessionInput::Learnt { number, result: Ok(learnt()) }).unwrap();
    rig.seconds(3.0);
    let status = rig.session.status();
    assert_eq!((status.state, status.block), (SessionState::Resting, Some(1)));
    assert_eq!(status.message, "stopped: press Resume, then the session goes on");
    rig.ask(SessionRequest::Start).unwrap();
    rig.seconds(0.1);
    assert_eq!(rig.state(), SessionState::Running);
}

#[test]
fn a_stop_while_it_fits_is_told_and_gone_on_from() {
    let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 5.0), block(TaskBlock::OpenLoop, 5.0)]);
    rig.open();
    rig.seconds(5.4);
    assert_eq!(rig.state(), SessionState::Fitting);
    assert!(refused(rig.ask(SessionRequest::Start)).contains("begins by itself"));
    rig.state = OutputState::Hold;
    rig.seconds(0.1);
    let message = rig.session.status().message;
    assert_eq!(message, "stopped: press Resume, then the session goes on once the decoder is fitted");
    rig.is_slow = true;
    rig.fit(Ok(model(1, false)));
    // its model is on its way
    rig.ask(SessionRequest::Start).unwrap();
    assert_eq!((rig.state(), rig.state), (SessionState::Fitting, OutputState::Idle));
    let id = rig.on_their_way.remove(0);
    rig.handle(SessionInput::PutIn { model: id, result: Ok(()) }).unwrap();
    rig.seconds(0.1);
    assert_eq!((rig.state(), rig.session.status().block), (SessionState::Running, Some(1)));
}

#[test]
fn a_rest_is_said_to_be_broken_off_only_where_the_signal_is_away() {
    let mut rig = resting();
    rig.seconds(1.0);
    for (cause, is_away) in [
        (Cause::InputNotFresh, true),
        (Cause::InputUnsteady, true),
        (Cause::DecoderFallsBack, false),
        (Cause::VarianceUnlikeTraining, false),
    ] {
        (rig.state, rig.cause) = (OutputState::Stale, Some(cause));
        rig.seconds(0.02);
        let message = rig.session.status().message;
        assert_eq!(message.contains("broken off"), is_away, "{cause:?}: {message}");
    }
}

#[test]
fn what_is_said_of_a_stop_in_a_rest_is_what_comes_of_it() {
    let mut rig = resting();
    rig.seconds(3.0);
    rig.state = OutputState::Hold;
    rig.seconds(0.1);
    assert_eq!(rig.session.status().message, "stopped: press Resume, then the rest begins anew");
}

#[test]
fn a_block_that_gathers_while_stages_change_is_fitted_to_what_came_after() {
    let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 10.0), block(TaskBlock::ClosedLoop, 5.0)]);
    rig.open();
    rig.seconds(4.0);
    rig.handle(SessionInput::StagesChanged).unwrap();
    rig.seconds(3.0);
    let rows = rig.session.status().fits.rows;
    assert!(rows > 0, "gathered since");
    rig.seconds(3.5);
    assert_eq!((rig.state(), rig.orders.len()), (SessionState::Fitting, 1));
    assert!(rig.orders[0].anew, "of features as they are now");
    // in the last moment nothing is left to fit, and nobody waits for it
    let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 10.0), block(TaskBlock::ClosedLoop, 5.0)]);
    rig.open();
    rig.seconds(9.96);
    rig.handle(SessionInput::StagesChanged).unwrap();
    rig.seconds(0.5);
    assert!(rig.session.status().fits.running || rig.state() != SessionState::Fitting);
}
