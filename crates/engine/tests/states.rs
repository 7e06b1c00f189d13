//! What the output states show, and why, as those see it who ask for changes.

use kalmind_engine::OutputStates;
use kalmind_types::{Actor, Cause, Mode, OutputState, Reason};

fn text(states: OutputStates) -> String {
    states.shown().1.map(|reason| reason.to_string()).unwrap_or_default()
}

#[test]
fn a_short_gap_does_not_clear_a_long_one_that_awaits_the_operator() {
    let mut states = OutputStates::new(Mode::Control);
    states.input_not_fresh();
    states.input_fresh(false);
    states.input_not_fresh();
    states.input_fresh(true);
    assert_eq!(states.state(), OutputState::Stale);
    states.request(Mode::Control, true, Actor::Operator);
    assert_eq!(states.state(), OutputState::Control);
}

#[test]
fn a_stop_under_a_stale_state_shows_in_its_reason() {
    let mut states = OutputStates::new(Mode::Control);
    states.input_not_fresh();
    let before = states.shown();
    states.stop(Actor::Client);
    assert_ne!(states.shown(), before);
    assert_eq!(states.state(), OutputState::Stale);
    assert_eq!(text(states), "stopped by a client, and no usable signal");
    states.input_fresh(false);
    assert!(text(states).starts_with("stopped by a client; the signal was lost and has returned"));
}

#[test]
fn a_signal_that_is_back_says_what_is_awaited_and_a_task_that_may_clears_that_alone() {
    let mut states = OutputStates::new(Mode::Control);
    states.input_not_fresh();
    assert_eq!(text(states), "no usable signal: the cursor stands still until it returns");
    states.input_unsteady();
    assert_eq!(states.shown().1.map(|reason| reason.cause), Some(Cause::InputUnsteady));
    states.input_fresh(false);
    assert_eq!(states.state(), OutputState::Stale);
    assert!(text(states).contains("waiting for the operator to continue"), "{}", text(states));
    states.accept_input();
    assert_eq!(states.state(), OutputState::Control);
    let stop = |states: &mut OutputStates| states.stop(Actor::Client);
    let fault = |states: &mut OutputStates| states.fault(Cause::NotFinite);
    let spoils: [&dyn Fn(&mut OutputStates); 2] = [&stop, &fault];
    for spoil in spoils {
        let mut spoilt = states;
        spoil(&mut spoilt);
        let before = spoilt;
        spoilt.accept_input();
        assert_eq!(spoilt, before, "neither a stop nor a fault");
    }
}

#[test]
fn the_first_cause_is_shown_until_the_input_can_be_used_again() {
    let mut states = OutputStates::new(Mode::Control);
    states.input_unusable(Cause::ChannelsConstant);
    states.input_not_fresh();
    let shown = Some(Reason { cause: Cause::ChannelsConstant, by: Actor::Daemon });
    assert_eq!(states.shown(), (OutputState::Stale, shown));
    states.input_fresh(false);
    assert_eq!(states.shown().1.map(|reason| reason.cause), Some(Cause::AwaitsResume));
    states.input_not_fresh();
    assert_eq!(states.shown().1.map(|reason| reason.cause), Some(Cause::InputNotFresh));
    states.request(Mode::Control, true, Actor::Operator);
    states.input_fresh(true);
    assert_eq!(states.state(), OutputState::Control);
}

#[test]
fn the_reason_names_who_stopped_it() {
    let mut states = OutputStates::new(Mode::Control);
    states.stop(Actor::Client);
    assert_eq!(states.shown().1.map(|reason| reason.to_string()).as_deref(), Some("stopped by a client"));
}
