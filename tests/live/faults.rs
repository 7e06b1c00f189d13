//! What LSL does silently, done on purpose to real outlet processes, and what the daemon makes of it.

use serde_json::Value;

use crate::harness::{Daemon, Laboratory, Process, repository};

/// A daemon in control on one stream that can be disturbed.
struct Session {
    laboratory: Laboratory,
    stream: String,
    outlet: Process,
    daemon: Daemon,
}

impl Session {
    /// `outlet`: arguments of `outlet.py`; `stream` and `more`: see [`Laboratory::controlled`].
    fn start(test: &str, outlet: &[&str], stream: &str, more: &str) -> Self {
        let laboratory = Laboratory::new(test);
        let name = format!("{test}-array");
        let outlet = laboratory.outlet(&name, outlet);
        let configuration = laboratory.controlled(&format!("name = \"{name}\"\n{stream}"), more);
        let daemon = laboratory.daemon(&configuration, "30");
        Self { laboratory, stream: name, outlet, daemon }
    }

    fn in_control(&self) -> Value {
        self.daemon.wait_until("control", |status| status["state"] == "control" && ticks(status) > 10)
    }

    /// Kills the outlet without a word and waits until the daemon knows, and a second and a half more: longer than the
    /// jump that starts a new epoch.
    fn kill(&mut self) {
        let now = |status: &Value| status["clock"]["lsl"].as_f64().expect("a time");
        let killed = now(&self.daemon.status());
        self.outlet.child.kill().expect("it runs");
        self.daemon.wait_until("the stream is lost", |status| {
            status["streams"][0]["health"] == "lost" && now(status) > killed + 1.5
        });
    }

    fn comes_back(&mut self, arguments: &[&str]) {
        self.outlet = self.laboratory.outlet(&self.stream, arguments);
    }

    fn waits_for_health(&self, health: &str) -> Value {
        let status = self.daemon.wait_until(health, |status| status["streams"][0]["health"] == health);
        status["streams"][0].clone()
    }
}

fn ticks(status: &Value) -> u64 {
    status["tick"]["ticks"].as_u64().expect("a count")
}

fn count(value: &Value) -> u64 {
    value.as_u64().expect("a count")
}

/// Every sample that was received was decoded, dropped or late; `status` is one in which nothing waits.
fn assert_all_accounted_for(status: &Value) {
    let stream = &status["streams"][0];
    let decoded = ticks(status) - count(&status["tick"]["incomplete"]);
    assert_eq!(
        count(&stream["received"]),
        decoded + count(&stream["dropped"]) + count(&stream["late"]),
        "{status:#}"
    );
}

#[test]
fn a_killed_stream_that_returns_soon_resumes_by_itself() {
    let mut session = Session::start("returns", &[], "", "safety.auto_resume_ms = 60000");
    session.in_control();
    let (client, hello) = session.laboratory.watch(&session.daemon);
    assert_eq!(hello["streams"][0]["health"], "live");
    client.expect_state("control");
    session.kill();
    let away = client.expect_json("stale in a heartbeat", |line| {
        line["by"] == "heartbeat" && line["message"]["state"] == "stale"
    });
    let reason = away["message"]["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("no usable signal"), "{reason}");
    let last_seq = count(&away["message"]["last_seq"]);
    let before = session.daemon.status();
    assert_eq!(before["state"], "stale");

    session.comes_back(&[]);
    let back = client.expect_json("control in a new epoch", |line| {
        line["by"] == "state" && line["message"]["state"] == "control" && line["message"]["epoch"] == 1
    });
    assert_eq!(count(&back["message"]["seq"]), last_seq + 1, "seq goes on where it stopped");
    // row one again: the covariance is what the first measurement says alone
    let text = std::fs::read_to_string(repository("fixtures/models/kalman.csv")).expect("numpy's rows");
    let first = crate::passage::rows(text.lines().next().expect("a row"), 0).remove(0);
    let covariance = &back["message"]["intent"]["covariance"];
    for (found, expected) in
        [(&covariance[0][0], first[2]), (&covariance[1][0], first[3]), (&covariance[1][1], first[4])]
    {
        assert!((found.as_f64().expect("a number") - expected).abs() < 1e-12, "{covariance}");
    }
    let summary = session.daemon.end();
    assert_eq!(summary["streams"][0]["reconnects"], 1);
    assert_eq!(client.wait().0, Some(0));
}

#[test]
fn a_killed_stream_that_returns_late_waits_for_the_operator() {
    let mut session = Session::start("waits", &[], "", "safety.auto_resume_ms = 700");
    session.in_control();
    session.kill();
    session.comes_back(&[]);
    session.waits_for_health("live");
    let before = ticks(&session.daemon.status());
    let status = session.daemon.wait_until("further ticks", |status| ticks(status) > before + 25);
    assert_eq!(status["state"], "stale", "it decodes, and does not move");
    let body = serde_json::json!({ "state": "control" });
    assert_eq!(session.daemon.http("POST", "/v1/control", Some(&body), false).0, 401);
    assert_eq!(session.daemon.http("POST", "/v1/control", Some(&body), true).0, 200);
    session.daemon.wait_until("control again", |status| status["state"] == "control");
    session.daemon.end();
}

#[test]
fn a_stream_that_returns_different_is_refused_until_it_is_itself_again() {
    let labels = ["--labels", "a,b,c,d,e,f"];
    let mut session = Session::start("changes", &labels, "", "safety.auto_resume_ms = 600000");
    session.in_control();
    for (arguments, named) in [
        (&["--channels", "7"][..], "number of channels 7 instead of 6"),
        (&["--labels", "a,b,c,d,e,f", "--rate", "100"], "nominal rate 100 Hz instead of 50 Hz"),
        (&["--labels", "a,b,X,d,e,f"], "label of channel 2 \"X\" instead of \"c\""),
        (&["--labels", "a,b,c,d,e,f", "--format", "int32"], "format int32 instead of float32"),
    ] {
        session.kill();
        let decoded = ticks(&session.daemon.status());
        session.comes_back(arguments);
        let stream = session.waits_for_health("mismatch");
        let detail = stream["detail"].as_str().expect("a sentence");
        assert!(detail.contains(named), "{detail}");
        let dropped = count(&stream["dropped"]);
        let status = session.daemon.wait_until("its samples are counted as dropped", |status| {
            count(&status["streams"][0]["dropped"]) > dropped + 10
        });
        assert_eq!(ticks(&status), decoded, "nothing of it is decoded");
        assert_eq!(status["state"], "stale");
    }
    session.kill();
    session.comes_back(&labels);
    session.waits_for_health("live");
    session.in_control();
    session.daemon.end();
}

#[test]
fn a_held_outlets_backlog_is_dropped_and_counted_never_decoded_as_live() {
    let mut session = Session::start("backlog", &[], "backlog_ms = 500", "safety.auto_resume_ms = 600000");
    session.in_control();
    let now = |status: &Value| status["clock"]["lsl"].as_f64().expect("a time");
    session.outlet.signal("-STOP");
    let held = now(&session.daemon.status());
    session.daemon.wait_until("stalled or lost for two seconds", |status| {
        let health = &status["streams"][0]["health"];
        (health == "stalled" || health == "lost") && now(status) > held + 2.0
    });
    session.outlet.signal("-CONT");
    session.daemon.wait_until("control, the backlog counted", |status| {
        status["state"] == "control" && count(&status["streams"][0]["dropped"]) > 0
    });
    let pushed = session.outlet.disturb("pause");
    let status = session.daemon.wait_until("everything has arrived", |status| {
        let stream = &status["streams"][0];
        let decoded = ticks(status) - count(&status["tick"]["incomplete"]);
        count(&stream["received"]) == decoded + count(&stream["dropped"]) + count(&stream["late"])
    });
    let dropped = count(&status["streams"][0]["dropped"]);
    assert!(dropped >= 50, "of two seconds at 50 Hz all but the newest half second is old: {dropped}");
    assert!(count(&status["streams"][0]["received"]) <= pushed);
    let summary = session.daemon.end();
    assert_all_accounted_for(&summary);
}

#[test]
fn unix_stamps_are_refused_with_the_remedy_which_works() {
    let laboratory = Laboratory::new("clock");
    let stream = laboratory.name.clone();
    let _outlet = laboratory.outlet(&stream, &["--stamps", "unix"]);
    let configuration = laboratory.controlled(&format!("name = \"{stream}\""), "");
    let daemon = laboratory.daemon(&configuration, "30");
    let status = daemon.wait_until("bad_clock, samples counted as dropped", |status| {
        status["streams"][0]["health"] == "bad_clock" && count(&status["streams"][0]["dropped"]) > 10
    });
    let detail = status["streams"][0]["detail"].as_str().expect("a sentence");
    assert!(detail.contains("clock = \"arrival\""), "{detail}");
    assert_eq!(ticks(&status), 0);
    assert_all_accounted_for(&daemon.end());

    let remedy = format!("name = \"{stream}\"\nclock = \"arrival\"");
    let daemon = laboratory.daemon(&laboratory.controlled(&remedy, "safety.auto_resume_ms = 60000"), "30");
    daemon.wait_until("control", |status| status["state"] == "control" && ticks(status) > 25);
    daemon.end();
}

#[test]
fn samples_that_are_not_finite_are_masked_and_too_many_make_the_bin_incomplete() {
    let mut session = Session::start("finite", &[], "", "safety.auto_resume_ms = 600000");
    session.in_control();
    let (client, _) = session.laboratory.watch(&session.daemon);
    let tick = |status: &Value, name: &str| count(&status["tick"][name]);
    for value in ["nan", "inf"] {
        let before = session.daemon.status();
        // those of bins without a sample are masked as well
        assert!(tick(&before, "masked_features") >= tick(&before, "nonfinite_values"), "{before:#}");
        session.outlet.disturb(&format!("{value} 1"));
        let status = session.daemon.wait_until("values masked", |status| {
            tick(status, "nonfinite_values") > tick(&before, "nonfinite_values") + 20
                && tick(status, "masked_features") > tick(&before, "masked_features") + 20
        });
        // one of six is under a quarter: it goes on (bins skipped on a busy machine are no matter here)
        let incomplete = tick(&status, "incomplete") - tick(&before, "incomplete");
        assert!(incomplete < 20, "{incomplete} of at least 20 bins");

        session.outlet.disturb(&format!("{value} 2"));
        let before = session.daemon.status();
        session.daemon.wait_until("incomplete bins", |status| {
            tick(status, "incomplete") > tick(&before, "incomplete") + 20 && status["state"] == "stale"
        });
        session.outlet.disturb("clean");
        session.daemon.wait_until("control again", |status| status["state"] == "control");
    }
    session.daemon.end();
    // the client has refused every number that is not finite
    assert_eq!(client.wait().0, Some(0));
}

#[test]
fn samples_that_come_in_bunches_are_decoded_one_by_one_in_order() {
    let limits = "backlog_ms = 60000\nstall_ms = 60000";
    let mut session = Session::start("bunches", &["--chunk", "5"], limits, "safety.stale_after_ms = 60000");
    let (client, _) = session.laboratory.watch(&session.daemon);
    session.in_control();
    session.daemon.wait_until("a hundred ticks", |status| ticks(status) > 100);
    session.outlet.disturb("pause");
    session.daemon.wait_until("everything is decoded", |status| {
        count(&status["streams"][0]["received"]) == ticks(status)
    });
    let summary = session.daemon.end();
    for counter in ["missing", "dropped", "late"] {
        assert_eq!(summary["streams"][0][counter], 0, "{summary:#}");
    }
    assert_eq!(summary["tick"]["incomplete"], 0);
    assert_eq!(client.wait().0, Some(0));
}

#[test]
fn a_burst_larger_than_every_queue_is_decoded_or_counted_sample_by_sample() {
    let limits = "backlog_ms = 600000\nstall_ms = 60000\nring_blocks = 4\nblock_samples = 4";
    let mut session = Session::start("burst", &["--paused"], limits, "safety.stale_after_ms = 60000");
    session.daemon.wait_until("connected", |status| status["streams"][0]["description"].is_object());
    session
        .daemon
        .wait_until("its clock is measured", |status| status["streams"][0]["clock_offset_ms"].is_number());
    let (client, _) = session.laboratory.watch(&session.daemon);
    let pushed = session.outlet.disturb("burst 2000");
    let status = session.daemon.wait_until("every sample is accounted for", |status| {
        let stream = &status["streams"][0];
        let decoded = ticks(status) - count(&status["tick"]["incomplete"]);
        count(&stream["received"]) == pushed
            && pushed == decoded + count(&stream["dropped"]) + count(&stream["late"])
    });
    assert_eq!(status["streams"][0]["missing"], 0);
    session.daemon.end();
    assert_eq!(client.wait().0, Some(0));
}
