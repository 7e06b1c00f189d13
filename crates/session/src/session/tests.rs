//! The transitions of a session, one by one.

mod clicks;
mod models;
mod rest;
mod rig;

use kalmind_types::{Assistance, CursorDrive, ModelEvent, Phase, Position};

use self::rig::{BIN_S, Rig, block, model, preset, refused};
use super::*;

#[test]
fn a_preset_runs_from_its_first_block_to_control_and_its_end() {
    let mut rig = Rig::new(vec![
        block(TaskBlock::SignalCheck, 2.0),
        block(TaskBlock::OpenLoop, 10.0),
        block(TaskBlock::ClosedLoop, 30.0),
        block(TaskBlock::Evaluation, 10.0),
    ]);
    assert_eq!(rig.state(), SessionState::Closed);
    rig.open();
    rig.seconds(1.0);
    assert_eq!((rig.state(), rig.state), (SessionState::Running, OutputState::Idle));
    rig.seconds(2.0);
    assert_eq!((rig.session.at, rig.state), (1, OutputState::Calibrating));
    assert_eq!(rig.task.drive, CursorDrive::Label);
    rig.seconds(10.2);
    assert_eq!(rig.state(), SessionState::Fitting);
    let order = &rig.orders[0];
    assert!(order.rows.rows() > 450 && !order.provisional && order.decoder == "kalman-steady");
    rig.fit(Ok(model(1, false)));
    rig.seconds(2.0);
    // the decoder moves the cursor, and nobody else may use it yet
    assert_eq!(
        (rig.session.at, rig.state, rig.task.drive),
        (2, OutputState::Calibrating, CursorDrive::Decoder)
    );
    assert_eq!(rig.session.status().verdict.verdict, VerdictKind::NotYet);
    rig.seconds(20.0);
    assert_eq!(rig.session.status().verdict.verdict, VerdictKind::GoodEnough);
    assert_eq!(rig.state, OutputState::Control);
    rig.seconds(9.0);
    rig.fit(Ok(model(2, false)));
    rig.seconds(1.0);
    assert_eq!((rig.session.at, rig.state), (3, OutputState::Control));
    rig.seconds(10.0);
    assert_eq!((rig.state(), rig.state), (SessionState::Done, OutputState::Idle));
    let status = rig.session.status();
    let evaluation = status.blocks[3].score.as_ref().unwrap();
    assert!(evaluation.acquired >= 4 && evaluation.assistance <= 0.0, "{evaluation:?}");
    assert_eq!(status.blocks.iter().filter(|block| block.state == "done").count(), 4);
    let told = rig.changes();
    assert!(matches!(told[0], SessionChange::Opened { .. }));
    assert_eq!(told.iter().filter(|change| matches!(change, SessionChange::BlockStarted { .. })).count(), 4);
    let said: Vec<&str> = told
        .iter()
        .filter_map(|change| match change {
            SessionChange::Verdict { verdict, .. } => Some(verdict.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(said, ["better_than_chance", "not_yet", "good_enough"]);
    assert!(matches!(told.last().unwrap(), SessionChange::Ended { .. }));
}

#[test]
fn the_same_inputs_give_the_same_actions_again() {
    let run = || {
        let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 5.0), block(TaskBlock::ClosedLoop, 10.0)]);
        rig.open();
        rig.seconds(5.5);
        rig.fit(Ok(model(1, false)));
        rig.seconds(3.0);
        rig.ask(SessionRequest::Pause).unwrap();
        rig.seconds(1.0);
        rig.ask(SessionRequest::Start).unwrap();
        rig.seconds(8.0);
        rig.log
    };
    let first = run();
    assert!(first.len() > 40);
    assert_eq!(first, run());
}

#[test]
fn a_rapid_calibration_helps_less_and_less_and_fits_while_it_runs() {
    let mut plan = block(TaskBlock::ClosedLoop, 30.0);
    plan.refit_every_s = Some(3.0);
    plan.assistance = vec![
        AssistancePoint { at_s: 5.0, attenuation: 1.0, mixing: 1.0 },
        AssistancePoint { at_s: 15.0, attenuation: 0.0, mixing: 0.0 },
    ];
    let mut rig = Rig::new(vec![plan]);
    rig.open();
    rig.seconds(4.0);
    // before there is a decoder the label law drives
    assert_eq!((rig.state, rig.task.drive), (OutputState::Calibrating, CursorDrive::Label));
    assert_eq!(rig.orders.len(), 1);
    assert!(rig.orders[0].provisional);
    rig.fit(Ok(model(1, false)));
    rig.seconds(6.0);
    assert_eq!(rig.task.drive, CursorDrive::Decoder);
    let Assistance { attenuation, mixing } = rig.task.assistance;
    assert!((attenuation - 0.5).abs() < 0.03 && (mixing - 0.5).abs() < 0.03, "{:?}", rig.task);
    assert_eq!(rig.session.status().verdict.trials, 0, "trials with help say nothing of the decoder");
    rig.fit(Ok(model(2, false)));
    rig.seconds(6.0);
    assert!(rig.task.assistance.is_none());
    rig.seconds(13.0);
    assert_eq!(rig.state, OutputState::Control, "{:?}", rig.session.status().verdict);
    let score = rig.session.status().blocks[0].score.clone().unwrap();
    assert!((score.assistance - 1.0).abs() < 1e-12, "said beside the figure");
    // an operator takes help away
    rig.ask(SessionRequest::Options(SessionOptions { assistance: Some(0.0), ..SessionOptions::default() }))
        .unwrap();
    assert!(rig.changes().contains(&&SessionChange::AssistanceScaled { scale: 0.0 }));
}

#[test]
fn a_stop_holds_the_block_and_nothing_but_somebody_with_the_right_goes_on() {
    let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 10.0)]);
    rig.open();
    rig.seconds(4.0);
    rig.state = OutputState::Hold;
    let before = rig.commands.len();
    rig.seconds(20.0);
    assert_eq!(rig.commands.len(), before, "the session does nothing against a stop");
    let status = rig.session.status();
    assert!((status.elapsed_s - 3.96).abs() < 0.1, "{}", status.elapsed_s);
    assert!(status.message.contains("press Resume"), "{}", status.message);
    rig.ask(SessionRequest::Start).unwrap();
    let on = Command::Request { mode: Mode::Calibrating, resume: true, by: Actor::Operator };
    assert_eq!(rig.commands.last(), Some(&on));
    rig.seconds(6.2);
    assert_eq!(rig.state(), SessionState::Fitting);
}

#[test]
fn a_lost_stream_lets_the_block_wait() {
    let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 10.0)]);
    rig.open();
    rig.seconds(4.0);
    rig.state = OutputState::Stale;
    rig.seconds(5.0);
    assert!(rig.session.status().message.contains("no usable signal"));
    rig.state = OutputState::Calibrating;
    rig.seconds(1.0);
    assert_eq!(rig.session.status().message, "open_loop");
    assert!((rig.session.status().elapsed_s - 4.96).abs() < 0.1);
}

#[test]
fn a_signal_check_that_finds_nothing_waits_for_somebody_to_look() {
    let mut rig = Rig::new(vec![block(TaskBlock::SignalCheck, 2.0), block(TaskBlock::OpenLoop, 10.0)]);
    // in the rig features are what moves the cursor, and in a signal check nothing does
    rig.lively = false;
    rig.open();
    rig.seconds(2.2);
    let status = rig.session.status();
    assert_eq!(status.state, SessionState::Paused);
    assert!(status.message.contains("2 never change: check the array"), "{}", status.message);
    rig.lively = true;
    rig.ask(SessionRequest::Repeat).unwrap();
    rig.seconds(2.2);
    assert!(rig.session.status().signal_check.unwrap().is_good);
    assert_eq!((rig.state(), rig.session.at), (SessionState::Running, 1));
}

#[test]
fn a_fit_that_fails_leaves_somebody_to_decide_and_a_repeated_block_begins_anew() {
    let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 5.0), block(TaskBlock::ClosedLoop, 5.0)]);
    rig.open();
    rig.seconds(5.2);
    rig.fit(Err("too few rows".to_owned()));
    let status = rig.session.status();
    assert_eq!(status.state, SessionState::Paused);
    assert!(
        status.message.contains("too few rows") && status.message.contains("repeat the block"),
        "{status:?}"
    );
    assert!(rig.events.iter().any(|event| matches!(event, EventBody::Model(ModelEvent::FitFailed { .. }))));
    assert!(refused(rig.ask(SessionRequest::Start)).contains("repeat the block"));
    rig.ask(SessionRequest::Repeat).unwrap();
    rig.seconds(5.3);
    assert_eq!(rig.state(), SessionState::Fitting);
    rig.fit(Ok(model(1, false)));
    rig.seconds(1.0);
    assert_eq!(rig.session.at, 1);
}

#[test]
fn a_model_that_is_worse_than_the_one_that_decodes_is_kept_out() {
    let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 5.0), block(TaskBlock::ClosedLoop, 5.0)]);
    rig.open();
    rig.seconds(5.2);
    rig.fit(Ok(model(1, false)));
    rig.seconds(5.3);
    rig.fit(Ok(model(2, true)));
    assert_eq!(rig.decodes.unwrap().0, ModelId([1; 32]));
    assert!(rig.changes().iter().any(|change| matches!(change, SessionChange::ModelKeptOut { .. })));
    assert_eq!(rig.session.status().fits.kept_out, 1);
    rig.seconds(0.2);
    assert_eq!(rig.state(), SessionState::Done);
}

#[test]
fn only_what_is_legal_may_be_asked_for_and_the_rest_says_why() {
    let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 5.0)]);
    assert!(refused(rig.ask(SessionRequest::Start)).contains("choose participant and preset"));
    assert!(refused(rig.ask(SessionRequest::Pause)).contains("nothing runs"));
    assert!(refused(rig.ask(SessionRequest::End)).contains("no session"));
    assert!(refused(rig.ask(SessionRequest::Override)).contains("no decoder"));
    assert!(refused(rig.ask(SessionRequest::AnswerCall)).contains("nobody calls"));
    let open = |preset: &str, participant: Option<&str>| SessionRequest::Open {
        preset: preset.to_owned(),
        participant: participant.map(str::to_owned),
    };
    assert!(refused(rig.ask(open("q", None))).contains("one of p"));
    assert!(refused(rig.ask(open("p", Some("P2")))).contains("[subject] code"));
    assert!(refused(rig.ask(open("p", Some("Jo Doe")))).contains("never a name"));
    let nobody = Person::default();
    let asked = SessionInput::Asked { request: open("p", None), person: nobody, by: Actor::Operator };
    assert!(refused(rig.handle(asked)).contains("names the person present"));
    rig.open();
    rig.seconds(1.0);
    assert!(refused(rig.ask(SessionRequest::Start)).contains("runs already"));
    assert!(refused(rig.ask(open("p", None))).contains("end it first"));
    let note = |text: String| SessionRequest::Note { text };
    assert!(rig.ask(note(" ".to_owned())).is_err() && rig.ask(note("x".repeat(5000))).is_err());
    rig.ask(note("he is tired".to_owned())).unwrap();
    let gain =
        |gain| SessionRequest::Options(SessionOptions { gain: Some(gain), ..SessionOptions::default() });
    assert!(refused(rig.ask(gain(50.0))).contains("from 0.1 to 10"));
    assert!(rig.ask(gain(f64::NAN)).is_err());
    rig.ask(gain(1.5)).unwrap();
    assert!(rig.commands.iter().any(|command| matches!(command, Command::TuneCursor(t) if t.gain > 1.4)));
    for action in rig.session.status().actions {
        assert_eq!(action.allowed, action.why.is_none(), "{action:?}");
    }
}

#[test]
fn a_preset_whose_targets_lie_outside_the_workspace_is_not_opened() {
    for (task, option, value, height, why) in [
        ("radial8", "distance", 0.5, 1.0, "from -0.06 to 1.06 across"),
        ("radial8", "centre_y", 0.3, 1.0, "from -0.06 to 0.66 up"),
        ("mfitts", "distance_long", 0.45, 1.0, "from -0.04 to 1.04 across"),
        ("mfitts", "diameter_large", 0.3, 1.0, "outside the workspace"),
        ("radial8", "distance", 0.3, 0.8, "it is 1 wide and 0.8 high"),
        ("grid", "columns", 6.0, 0.5, "from 0.00 to 1.00 up"),
        ("random", "width", 1.5, 1.0, "from 0.00 to 1.50 across"),
    ] {
        let mut plan = block(TaskBlock::OpenLoop, 5.0);
        plan.task = Some(task.to_owned());
        plan.options.insert(option.to_owned(), value);
        let mut rig = Rig::new(vec![plan]);
        rig.session.settings.height = height;
        let open = SessionRequest::Open { preset: "p".to_owned(), participant: None };
        let said = refused(rig.ask(open));
        assert!(said.contains("outside the workspace") && said.contains(why), "{task}: {said}");
        assert_eq!(rig.state(), SessionState::Closed);
    }
}

#[test]
fn one_page_is_in_charge_until_another_takes_over() {
    let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 5.0)]);
    rig.open();
    rig.seconds(1.0);
    assert!(refused(rig.ask_as("other", SessionRequest::Pause)).contains("AB is in charge"));
    // the participant's call passes
    rig.ask_as("participant", SessionRequest::Call).unwrap();
    rig.ask_as("participant", SessionRequest::Call).unwrap();
    assert!(rig.session.status().called.is_some());
    assert_eq!(rig.changes().iter().filter(|change| matches!(change, SessionChange::Called)).count(), 1);
    rig.ask_as("other", SessionRequest::Note { text: "seen from the door".to_owned() }).unwrap();
    let nobody = Person { operator: None, console: Some("third".to_owned()) };
    let asked =
        SessionInput::Asked { request: SessionRequest::TakeOver, person: nobody, by: Actor::Operator };
    assert!(refused(rig.handle(asked)).contains("state your code"));
    rig.ask_as("other", SessionRequest::TakeOver).unwrap();
    assert!(rig.ask(SessionRequest::Pause).is_err());
    rig.ask_as("other", SessionRequest::Pause).unwrap();
    assert_eq!(rig.state(), SessionState::Paused);
    rig.ask_as("other", SessionRequest::AnswerCall).unwrap();
    assert_eq!(rig.session.status().called, None);
}

#[test]
fn control_that_is_asked_for_past_the_session_waits_for_the_verdict() {
    let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 5.0), block(TaskBlock::ClosedLoop, 40.0)]);
    assert_eq!(rig.session.granted(Mode::Control), Mode::Control, "no block runs");
    rig.open();
    rig.seconds(1.0);
    assert_eq!(rig.session.granted(Mode::Control), Mode::Calibrating);
    assert_eq!(rig.session.granted(Mode::Idle), Mode::Idle);
    rig.seconds(4.2);
    rig.fit(Ok(model(1, false)));
    rig.seconds(2.0);
    assert_eq!(rig.session.granted(Mode::Control), Mode::Calibrating);
    rig.seconds(30.0);
    assert_eq!(rig.session.granted(Mode::Control), Mode::Control);
}

#[test]
fn what_other_programs_tell_beside_a_preset_is_counted() {
    let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 20.0)]);
    rig.open();
    rig.seconds(1.0);
    let target = Target { position: Position([0.8, 0.5]), radius: 0.06 };
    for event in [
        EventBody::Target(Some(target)),
        EventBody::Trial { trial: 0, phase: Phase::Start, result: None },
        EventBody::task_asks(kalmind_types::OperatorAction::Control),
        // what it may ask for is done, and is nothing that is not shown
        EventBody::task_asks(kalmind_types::OperatorAction::Resume),
    ] {
        let time = LslTime(rig.tick as f64 * BIN_S);
        rig.handle(SessionInput::Told { time, event: &event }).unwrap();
    }
    let status = rig.session.status();
    assert_eq!(status.told_by_others, 3);
    assert!(status.message.contains("another program"), "{}", status.message);
}

#[test]
fn a_signal_that_is_lost_without_a_tick_is_said_and_what_to_do() {
    let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 20.0)]);
    rig.open();
    rig.seconds(2.0);
    let before = rig.session.status();
    assert!(!before.message.contains("no usable signal"), "{}", before.message);
    rig.handle(SessionInput::Silent(OutputState::Stale)).unwrap();
    let silent = rig.session.status();
    assert!(silent.message.contains("no usable signal"), "{}", silent.message);
    assert!((silent.elapsed_s - before.elapsed_s).abs() < 1e-9);
    rig.seconds(0.1);
    assert_eq!(rig.session.status().message, before.message);
}

#[test]
fn an_override_names_who_and_lets_the_decoder_control() {
    let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 5.0), block(TaskBlock::ClosedLoop, 30.0)]);
    rig.is_good = false;
    rig.open();
    rig.seconds(5.2);
    rig.fit(Ok(model(1, false)));
    rig.seconds(5.0);
    assert_eq!(rig.state, OutputState::Calibrating);
    rig.ask(SessionRequest::Override).unwrap();
    rig.seconds(0.1);
    assert_eq!(rig.state, OutputState::Control);
    let control = rig.session.status().control;
    assert_eq!((control.allowed, control.overridden_by.as_deref()), (true, Some("AB")));
    assert!(rig.changes().iter().any(|change| matches!(change, SessionChange::Overridden { .. })));
}

#[test]
fn a_block_can_be_skipped_and_a_session_ended() {
    let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 5.0), block(TaskBlock::ClosedLoop, 30.0)]);
    rig.open();
    rig.seconds(2.0);
    rig.ask(SessionRequest::Skip).unwrap();
    assert_eq!(rig.state(), SessionState::Fitting, "what was gathered is fitted");
    rig.fit(Ok(model(1, false)));
    rig.seconds(2.0);
    rig.ask(SessionRequest::End).unwrap();
    assert_eq!((rig.state(), rig.state), (SessionState::Done, OutputState::Idle));
    let blocks = rig.session.status().blocks;
    assert_eq!(blocks.iter().map(|block| block.state).collect::<Vec<_>>(), ["skipped", "skipped"]);
    let ends =
        rig.events.iter().filter(|event| matches!(event, EventBody::TaskBlock { phase: Phase::End, .. }));
    assert_eq!(ends.count(), 2, "blocks begin and end in pairs");
}

#[test]
fn compared_decoders_are_fitted_to_the_same_rows_and_told_apart_only_at_the_end() {
    let mut rig = Rig::new(Vec::new());
    let mut compared = preset(vec![block(TaskBlock::OpenLoop, 5.0)]);
    let evaluation = block(TaskBlock::Evaluation, 6.0);
    let decoders = ["kalman-steady".to_owned(), "dkf-nw".to_owned()].to_vec();
    compared.compare = Some(ComparePlan { decoders, rounds: 2, block: evaluation });
    rig.session.settings.presets = vec![compared];
    rig.open();
    rig.seconds(5.2);
    rig.fit(Ok(model(9, false)));
    assert_eq!((rig.state(), rig.session.status().blocks.len()), (SessionState::Fitting, 5));
    let mut fitted = Vec::new();
    for number in 1..=2 {
        fitted.push(rig.orders[0].decoder.clone());
        rig.fit(Ok(FittedModel { decoder: fitted[number - 1].clone(), ..model(number as u8, false) }));
    }
    fitted.sort();
    assert_eq!(fitted, ["dkf-nw", "kalman-steady"]);
    let mut order = Vec::new();
    for _ in 0..4 {
        rig.seconds(1.0);
        order.push(rig.decodes.unwrap().0.0[0]);
        assert!(rig.session.hides_decoder());
        let shown = format!("{:?}", rig.session.status());
        assert!(!shown.contains("dkf-nw") && !shown.contains("kalman"), "{shown}");
        rig.seconds(5.1);
    }
    assert_eq!(order[..2].iter().rev().collect::<Vec<_>>(), order[2..].iter().collect::<Vec<_>>());
    rig.seconds(1.0);
    assert!(!rig.session.hides_decoder());
    let told = rig.session.status().comparison.unwrap();
    assert!(told.decoders.iter().all(|one| one.decoder.is_some() && one.figures.len() == 2));
    assert_eq!(told.differences[0].rounds, 2);
}

#[test]
fn a_task_by_others_calibrates_as_it_always_did() {
    let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 5.0)]);
    let target = Target { position: Position([0.8, 0.5]), radius: 0.06 };
    let told = |rig: &mut Rig, event: EventBody| {
        let time = LslTime(rig.tick as f64 * BIN_S);
        rig.handle(SessionInput::Told { time, event: &event }).unwrap();
    };
    let open_loop = |phase| EventBody::TaskBlock { block: TaskBlock::OpenLoop, phase };
    told(&mut rig, open_loop(Phase::Start));
    assert_eq!(rig.state, OutputState::Calibrating);
    for trial in 0..4 {
        told(&mut rig, EventBody::Trial { trial, phase: Phase::Start, result: None });
        told(&mut rig, EventBody::Target(Some(target)));
        rig.seconds(1.0);
    }
    told(&mut rig, open_loop(Phase::End));
    assert_eq!((rig.state, rig.orders.len()), (OutputState::Idle, 1));
    assert!(rig.orders[0].rows.rows() > 150);
    told(&mut rig, EventBody::task_asks(kalmind_types::OperatorAction::Control));
    rig.fit(Ok(model(1, false)));
    assert_eq!(rig.state, OutputState::Control, "asked for while there was no model yet");
}
