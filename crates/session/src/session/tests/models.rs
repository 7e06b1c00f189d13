//! Models in doubt, and models that come too late.

use super::*;

#[test]
fn a_model_in_doubt_calibrates_unconfirmed_and_controls_once_the_verdict_lets_it() {
    let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 5.0), block(TaskBlock::ClosedLoop, 40.0)]);
    rig.doubts = true;
    rig.open();
    rig.seconds(5.2);
    rig.fit(Ok(model(1, true)));
    rig.seconds(2.0);
    let confirmed = |rig: &Rig| {
        rig.commands.iter().filter(|command| matches!(command, Command::ConfirmModel { .. })).count()
    };
    assert_eq!((rig.state, confirmed(&rig)), (OutputState::Calibrating, 0));
    rig.seconds(30.0);
    assert_eq!((rig.state, confirmed(&rig)), (OutputState::Control, 1));
}

#[test]
fn a_model_at_chance_does_not_replace_one_that_the_participant_acquires_targets_with() {
    let mut refitted = block(TaskBlock::ClosedLoop, 60.0);
    refitted.refit_every_s = Some(3.0);
    let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 5.0), refitted]);
    rig.doubts = true;
    rig.open();
    rig.seconds(5.2);
    rig.fit(Ok(model(1, true)));
    rig.seconds(40.0);
    assert_eq!(rig.state, OutputState::Control);
    rig.fit(Ok(model(2, true)));
    assert_eq!(rig.decodes.map(|(id, _)| id), Some(model(1, true).id));
    assert_eq!(rig.session.status().fits.kept_out, 1);
}

#[test]
fn a_model_on_its_way_when_the_session_ends_does_not_take_over() {
    let mut rig = Rig::new(vec![block(TaskBlock::OpenLoop, 5.0), block(TaskBlock::ClosedLoop, 30.0)]);
    rig.is_slow = true;
    rig.open();
    rig.seconds(5.2);
    rig.fit(Ok(model(1, false)));
    assert_eq!(rig.on_their_way, [model(1, false).id]);
    rig.ask(SessionRequest::End).unwrap();
    assert_eq!((rig.state(), rig.on_their_way.len()), (SessionState::Done, 0));
    let kept_out = |change: &&SessionChange| matches!(change, SessionChange::ModelKeptOut { why, .. } if why.contains("the session ended"));
    assert_eq!(rig.changes().into_iter().filter(kept_out).count(), 1);
    // and what is said of it afterwards concerns nobody
    rig.handle(SessionInput::PutIn { model: model(1, false).id, result: Ok(()) }).unwrap();
    assert_eq!(rig.session.status().fits.done, 0);
}
