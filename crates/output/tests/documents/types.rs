//! Every type that is serialised, against its schema.

use super::*;

#[test]
fn every_type_that_is_serialised_fits_its_schema() {
    let document = Document::read("asyncapi.json");
    for state in kalmind_types::OutputState::ALL {
        check(&document.named("State"), &json!(state));
    }
    let change = json!({
        "state": "stale", "previous": "control", "reason": "no usable signal", "cause": "input_not_fresh", "by": "daemon",
        "since": 1.0, "awaits": null, "seq": 3, "channels": [], "message": "no usable signal for 0.1 s",
    });
    let fault = json!({
        "state": "fault", "previous": "control", "reason": "an error inside Kalmind", "cause": "panicked", "by": "daemon",
        "since": 1.0, "awaits": "operator", "seq": null, "channels": ["u1"], "message": "fault",
    });
    let quality = |chance: Value| {
        json!({
            "held_out": {"of": "trials", "count": 5}, "rows": 900, "nrmse": 0.7, "nrmse_of_mean": 1.0, "r2": 0.51,
            "correlation": [0.7, null], "maae": null, "steps": 1000, "fallback_steps": 3, "chance": chance,
        })
    };
    let tested = json!({"result": "better", "test": "a test", "score": 0.3, "p": 0.001, "p_limit": 0.005});
    let untested = json!({"result": "not_tested", "why": "3 trials"});
    let mut earlier = quality(untested.clone());
    earlier["of_earlier_fit"] = json!(true);
    let swapped = |quality: Value| {
        json!({
            "action": "swapped", "decoder": "kalman", "hash": "ab".repeat(32), "train_bins": 900, "quality": quality,
            "covariance": "varying", "warnings": ["a warning"], "poor": false,
        })
    };
    let mut activated = swapped(Value::Null);
    (activated["by"], activated["train_bins"]) = (json!("operator"), Value::Null);
    let added = json!({
        "action": "added", "decoder": "kalman", "hash": "ab".repeat(32), "source": "resumed", "by": "signal",
        "file": "a.safetensors", "poor": true,
    });
    let confirmed = json!({
        "action": "control", "by": "operator", "confirmed": ["slow_input", "poor_decoder"], "model": "ab".repeat(32),
    });
    let by_program = json!({
        "action": "control", "by": "daemon", "program": true, "confirmed": ["poor_decoder"], "model": "ab".repeat(32),
    });
    for (kind, data) in [
        (EventKind::Model, swapped(Value::Null)),
        (EventKind::Model, swapped(quality(tested))),
        (EventKind::Model, swapped(earlier)),
        (EventKind::Model, activated),
        (EventKind::Model, added),
        (EventKind::Operator, confirmed),
        (EventKind::Operator, by_program),
        (EventKind::Target, json!({"position": [0.2, 0.5], "radius": 0.06})),
        (EventKind::Target, json!({"position": null})),
        (EventKind::Trial, json!({"trial": 1, "phase": "end", "result": "timeout"})),
        (EventKind::TaskBlock, json!({"block": "open_loop", "phase": "start"})),
        (EventKind::Operator, json!({"action": "stop", "by": "client"})),
        (EventKind::Operator, json!({"action": "hand", "by": "task", "velocity": [0.25, -0.5]})),
        (EventKind::Operator, json!({"action": "channel_health", "by": "daemon", "channels": ["a"], "fault": "flat", "message": "Channel a is flat", "since": 1.5, "stream": "eeg"})),
        (EventKind::Operator, json!({"action": "channel_health", "by": "daemon", "channels": ["a"], "fault": null, "message": "Channel a is healthy again", "since": 3.5, "stream": "eeg"})),
        (EventKind::Model, json!({"action": "fit_failed", "problem": "too few bins"})),
        (EventKind::Window, serde_json::from_str(r#"{"event":3,"first":1200,"marker":"S1","missing":null,"reader":"mean","samples":100,"stream":"eeg","values":[{"name":"Cz","value":0.5}],"window":"flash"}"#).unwrap()),
        (EventKind::Model, json!({"action": "swap_failed", "hash": "373e", "problem": "its decoder failed"})),
        (EventKind::State, change),
        (EventKind::Fault, fault),
    ] {
        let body = EventBody::read(kind, data.clone());
        assert!(!matches!(body, EventBody::Other { .. }), "{data} is not understood");
        assert_eq!((body.kind(), body.data()), (kind, data));
        check(&document.named("Event"), &json!(Event::new(LslTime(1.0), 0, body)));
        let other = Event::new(LslTime(1.0), 0, EventBody::read(kind, json!({"other": 1})));
        assert!(!document.named("Event").is_valid(&json!(other)), "anything is a {kind:?}");
    }
    // and the schemas are not so wide that anything fits
    assert!(!document.named("State").is_valid(&json!("flying")));
    assert!(!document.named("StateMessage").is_valid(&json!({"type": "state"})));
}

#[test]
fn the_status_of_a_stream_fits_its_schema() {
    let document = Document::read("asyncapi.json");
    let described = kalmind_types::StreamStatus {
        key: String::from("features"),
        description: Some(kalmind_types::StreamDescription {
            name: String::from("Features"),
            content_type: String::from("Features"),
            channels: 2,
            format: Some(kalmind_types::NumberFormat::Double64),
            nominal_rate_hz: 50.0,
            source_id: String::new(),
            hostname: String::from("lab"),
            uid: String::from("u"),
            session_id: String::from("default"),
            labels: Some(vec![String::from("a"), String::from("b")]),
            units: None,
            desc: String::new(),
        }),
        health: kalmind_types::StreamHealth::BadClock,
        detail: None,
        counts: kalmind_types::StreamCounts::default(),
        age_ms: None,
        measured_rate_hz: None,
        clock_offset_ms: None,
        clock_uncertainty_ms: None,
        arrival: Some(kalmind_types::ArrivalStatus {
            measured: Some(kalmind_types::Arrival::default()),
            remarks: 3,
            ..kalmind_types::ArrivalStatus::default()
        }),
        settling_ms: Some(2400.0),
        channels_out: vec![kalmind_types::ChannelOut {
            index: 1,
            channel: String::from("b"),
            fault: kalmind_types::ChannelFault::LineNoise,
            since: LslTime(3.0),
        }],
    };
    check(&document.named("Stream"), &json!(described));
    assert!(!document.named("Stream").is_valid(&json!({"key": "features"})));
}
