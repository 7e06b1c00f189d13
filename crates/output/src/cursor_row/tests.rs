//! Rows as readers of the outlets and of recordings see them.

use kalmind_types::{Intent, LslTime, OutputState, Position, Velocity};

use super::*;

fn layout() -> CursorLayout {
    let component = |name: &str| Component { name: name.to_owned(), unit: String::from("cm/s") };
    CursorLayout {
        bin_ms: 20.0,
        components: vec![component("vx"), component("vy")],
        run: 1_700_000_000,
        session: String::from("session"),
        instance: String::new(),
        participant: String::from("P1"),
        version: String::from("0"),
        height: 0.5,
    }
}

fn output() -> TickOutput {
    let mut intent = Intent::zero(2);
    intent.mean_mut().copy_from_slice(&[1.0, 2.0]);
    intent.covariance_mut().copy_from_slice(&[3.0, 4.0, 5.0]);
    TickOutput {
        newest: Some(LslTime(99.5)),
        incomplete: true,
        state: OutputState::Hold,
        position: Position([0.25, 0.125]),
        velocity: Velocity([0.5, -0.5]),
        free_velocity: Velocity([0.5, -0.75]),
        intent: Some(intent),
        click: Some(Click { pressed: true, presses: 3, ..Click::default() }),
        ..TickOutput::neutral(7, LslTime(100.0))
    }
}

fn row(config: &CursorOutletConfig, output: &TickOutput) -> Vec<f64> {
    let mut writer = RowWriter::new(config, &layout()).unwrap();
    let mut values = vec![f64::NAN; writer.channels.len()];
    writer.write(output, 3.5, &mut |index, value| values[index] = value);
    values
}

#[test]
fn channels_stand_in_the_documented_order() {
    let labels = cursor_channel_labels(&layout().components);
    assert_eq!(
        labels.join(" "),
        "x y vx vy intent_vx intent_vy covariance_vx_vx covariance_vy_vx covariance_vy_vy intent_valid click \
         presses state incomplete newest age_ms seq run"
    );
    assert_eq!(
        row(&CursorOutletConfig::default(), &output()),
        [
            0.25,
            0.125,
            0.5,
            -0.5,
            1.0,
            2.0,
            3.0,
            4.0,
            5.0,
            1.0,
            1.0,
            3.0,
            3.0,
            1.0,
            99.5,
            3.5,
            7.0,
            1_700_000_000.0
        ]
    );
}

#[test]
fn chosen_channels_come_in_the_chosen_order_and_scaled() {
    let config = CursorOutletConfig {
        channels: Some(["vy", "x", "state"].map(String::from).to_vec()),
        scale: PerChannel::Cursor(100.0),
        ..CursorOutletConfig::default()
    };
    assert_eq!(row(&config, &output()), [-50.0, 25.0, 3.0]);
}

#[test]
fn a_reader_that_adds_velocities_up_gets_those_of_before_the_edges_with_y_down() {
    let config = CursorOutletConfig {
        channels: Some(["vx", "vy"].map(String::from).to_vec()),
        scale: PerChannel::Each(vec![100.0, -100.0]),
        counts: Counts::Velocity,
        ..CursorOutletConfig::default()
    };
    assert_eq!(row(&config, &output()), [50.0, 75.0]);
}

#[test]
fn a_screen_whose_y_goes_down_has_an_offset() {
    let config = CursorOutletConfig {
        channels: Some(["x", "y"].map(String::from).to_vec()),
        scale: PerChannel::Each(vec![1920.0, -1920.0]),
        offset: PerChannel::Each(vec![0.0, 960.0]),
        ..CursorOutletConfig::default()
    };
    assert_eq!(row(&config, &output()), [480.0, 720.0]);
    let wrong = CursorOutletConfig { scale: PerChannel::Each(vec![1.0]), ..config };
    let text = RowWriter::new(&wrong, &layout()).unwrap_err().to_string();
    assert!(text.contains("one for each of its 2 channels"), "{text}");
}

#[test]
fn an_outlet_without_the_state_gates_its_intents_unless_it_is_told_not_to() {
    let labels = ["intent_vx", "covariance_vy_vy", "intent_valid"];
    let given = [1.0, 5.0, 1.0];
    let read = |more: &[&str], gated, state| {
        let labels: Vec<String> = labels.iter().chain(more).map(|label| String::from(*label)).collect();
        let config = CursorOutletConfig { channels: Some(labels), gated, ..CursorOutletConfig::default() };
        row(&config, &TickOutput { state, ..output() })[..3].to_vec()
    };
    for state in OutputState::ALL {
        let gates = if state.moves() { given } else { [0.0; 3] };
        assert_eq!(read(&[], None, state), gates, "{state}");
        assert_eq!(read(&[], Some(true), state), gates);
        assert_eq!(read(&["state"], Some(true), state), gates);
        assert_eq!(read(&["state"], None, state), given, "whoever reads the state can tell");
        assert_eq!(read(&[], Some(false), state), given);
    }
}

#[test]
fn a_heartbeat_stands_still_whatever_the_outlet() {
    let heartbeat = CursorHeartbeat {
        time: LslTime(101.0),
        state: OutputState::Stale,
        position: Position([0.25, 0.125]),
        last_seq: Some(7),
        presses: 3,
        age_ms: 250.0,
    };
    for (scale, gated) in [(1.0, None), (-1920.0, Some(false))] {
        let scales = PerChannel::Cursor(scale);
        let config = CursorOutletConfig { scale: scales, gated, ..CursorOutletConfig::default() };
        let mut writer = RowWriter::new(&config, &layout()).unwrap();
        let mut values = vec![f64::NAN; writer.channels.len()];
        writer.write_heartbeat(&heartbeat, &mut |index, value| values[index] = value);
        let mut expected = vec![0.25 * scale, 0.125 * scale];
        expected.extend([0.0; 9]);
        expected.extend([3.0, 4.0, 1.0, NO_NEWEST, 250.0, 7.0, 1_700_000_000.0]);
        assert_eq!(values, expected);
        let unstarted = CursorHeartbeat { last_seq: None, ..heartbeat };
        writer.write_heartbeat(&unstarted, &mut |index, value| values[index] = value);
        assert_eq!(values[16].to_bits(), NO_SEQ.to_bits());
    }
}

#[test]
fn a_channel_that_does_not_exist_is_an_error_that_lists_those_that_do() {
    let config =
        CursorOutletConfig { channels: Some(vec![String::from("z")]), ..CursorOutletConfig::default() };
    let text = RowWriter::new(&config, &layout()).unwrap_err().to_string();
    assert!(text.contains("\"z\"") && text.contains("covariance_vy_vx"), "{text}");
}

#[test]
fn without_an_intent_its_channels_are_zero_and_say_so() {
    let values = row(
        &CursorOutletConfig::default(),
        &TickOutput { intent: None, newest: None, click: None, ..output() },
    );
    assert_eq!(values[4..12], [0.0; 8]);
    assert_eq!(values[14].to_bits(), NO_NEWEST.to_bits());
}

#[test]
fn an_intent_of_another_dimension_is_none() {
    let values =
        row(&CursorOutletConfig::default(), &TickOutput { intent: Some(Intent::zero(3)), ..output() });
    assert_eq!(values[4..10], [0.0; 6]);
}

#[test]
fn numbers_that_are_not_finite_never_leave() {
    let mut broken = output();
    broken.position = Position([f64::NAN, 0.1]);
    broken.velocity = Velocity([f64::INFINITY, 0.1]);
    broken.newest = Some(LslTime(f64::NAN));
    broken.intent.as_mut().unwrap().covariance_mut()[1] = f64::NAN;
    let values = row(&CursorOutletConfig::default(), &broken);
    assert!(values.iter().all(|value| value.is_finite()), "{values:?}");
    assert_eq!(values[..10], [0.5, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}
