//! Finding the stream that is meant, and saying what is there instead.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_channel::{bounded, unbounded};
use kalmind_acquisition::clock::Deadline;
use kalmind_acquisition::{
    AtOnce, MarkerConfig, MarkerInlet, ResolveError, SelectorError, StreamMonitor, StreamSelector, clock,
    find_one, list_streams,
};
use kalmind_types::{Seconds, StreamHealth, StreamStatus};
use serde_json::json;

use crate::harness::{Outlet, PATIENCE, in_own_session, stream, with, write_settings};

#[test]
fn two_matches_are_an_error_that_lists_both() {
    in_own_session("selection::two_matches_are_an_error_that_lists_both", || {
        let _first = Outlet::start(&with(stream("Array"), &json!({ "source_id": "left" })));
        let _second = Outlet::start(&with(stream("Array"), &json!({ "source_id": "right" })));
        let error = find_one(&StreamSelector::by_name("Array"), PATIENCE).unwrap_err();
        assert!(matches!(&error, ResolveError::Ambiguous { found, .. } if found.len() == 2), "{error}");
        let text = error.to_string();
        assert!(text.contains("\"left\"") && text.contains("\"right\""), "{text}");
        let narrower = StreamSelector { source_id: Some("right".into()), ..StreamSelector::by_name("Array") };
        assert_eq!(find_one(&narrower, PATIENCE).unwrap().source_id, "right");
    });
}

/// Why a stream is not found, while one other is there: on a busy machine that one may not answer the first search.
fn not_found(selector: &StreamSelector) -> ResolveError {
    let deadline = Deadline::after(PATIENCE);
    loop {
        let error = find_one(selector, Seconds(0.3)).unwrap_err();
        if matches!(&error, ResolveError::NotFound { seen, .. } if seen.len() == 1) {
            return error;
        }
        assert!(matches!(&error, ResolveError::NotFound { seen, .. } if seen.is_empty()), "{error}");
        assert!(!deadline.passed(), "{error}");
    }
}

#[test]
fn no_stream_is_an_error_that_says_what_is_there() {
    in_own_session("selection::no_stream_is_an_error_that_says_what_is_there", || {
        let selector = StreamSelector::by_name("Aray");
        let error = find_one(&selector, Seconds(0.3)).unwrap_err();
        assert!(error.to_string().contains("no stream at all is visible"), "{error}");
        let _outlet = Outlet::start(&stream("Array"));
        let error = not_found(&selector);
        assert!(error.to_string().contains("\"Array\" (type \"Features\", 2 x float32, 50 Hz"), "{error}");
    });
}

#[test]
fn a_stream_that_appears_late_is_found() {
    in_own_session("selection::a_stream_that_appears_late_is_found", || {
        let searching = std::thread::spawn(|| {
            let found = find_one(&StreamSelector::by_name("Late"), PATIENCE);
            (found, clock::now())
        });
        let _outlet = Outlet::start(&stream("Late"));
        let there = clock::now();
        let (found, at) = searching.join().unwrap();
        assert_eq!(found.unwrap().name, "Late");
        println!("measured: found {:.0} ms after the outlet was there", (at - there).as_millis());
    });
}

#[test]
fn every_field_of_a_selector_counts() {
    in_own_session("selection::every_field_of_a_selector_counts", || {
        let name = "it's \"quoted\"";
        let _outlet = Outlet::start(&with(stream(name), &json!({ "type": "EEG", "source_id": "amp" })));
        let all = StreamSelector {
            name: Some(name.into()),
            content_type: Some("EEG".into()),
            source_id: Some("amp".into()),
            hostname: None,
            predicate: Some("channel_count=2 or channel_count=7".into()),
            excluded: None,
        };
        let found = find_one(&all, PATIENCE).unwrap();
        let all = StreamSelector { hostname: Some(found.hostname.clone()), ..all };
        assert_eq!(find_one(&all, PATIENCE).unwrap(), found);
        for wrong in [
            StreamSelector { name: Some("x".into()), ..all.clone() },
            StreamSelector { content_type: Some("x".into()), ..all.clone() },
            StreamSelector { source_id: Some("x".into()), ..all.clone() },
            StreamSelector { hostname: Some("x".into()), ..all.clone() },
            StreamSelector { predicate: Some("channel_count=3".into()), ..all.clone() },
        ] {
            let error = find_one(&wrong, Seconds(0.2)).unwrap_err();
            assert!(matches!(error, ResolveError::NotFound { .. }), "{wrong}: {error}");
        }
    });
}

#[test]
fn a_predicate_that_is_no_xpath_is_refused() {
    in_own_session("selection::a_predicate_that_is_no_xpath_is_refused", || {
        let selector = StreamSelector { predicate: Some("name='A".into()), ..StreamSelector::default() };
        let error = find_one(&selector, PATIENCE).unwrap_err();
        assert!(matches!(error, ResolveError::Selector(SelectorError::Predicate { .. })), "{error}");
    });
}

#[test]
fn sessions_do_not_see_each_other() {
    in_own_session("selection::sessions_do_not_see_each_other", || {
        // the same ports, another session
        let ours = std::fs::read_to_string(std::env::var("LSLAPICFG").unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let other = write_settings(folder.path(), "other");
        let session = ours.lines().find(|line| line.starts_with("SessionID")).unwrap();
        std::fs::write(&other, ours.replace(session, "SessionID = other")).unwrap();
        let _theirs = Outlet::start_with(&stream("Theirs"), Some(&other));
        let _ours = Outlet::start(&stream("Ours"));
        assert_eq!(find_one(&StreamSelector::by_name("Ours"), PATIENCE).unwrap().name, "Ours");
        not_found(&StreamSelector::by_name("Theirs"));
    });
}

#[test]
fn a_survey_lists_numbers_and_texts_with_rates() {
    in_own_session("selection::a_survey_lists_numbers_and_texts_with_rates", || {
        let mut array = Outlet::start(&with(stream("Array"), &json!({ "rate": 200.0 })));
        let texts =
            json!({ "name": "Texts", "type": "Markers", "channels": 1, "rate": 0.0, "format": "string" });
        let _texts = Outlet::start(&texts);
        array.order("run 2000");
        let surveys = list_streams(Seconds(2.0)).unwrap();
        let names: Vec<_> = surveys.iter().map(|survey| survey.description.name.as_str()).collect();
        assert_eq!(names, ["Array", "Texts"]);
        let array = &surveys[0];
        assert!((array.measured_rate_hz.unwrap() / 200.0 - 1.0).abs() < 0.25, "{array:?}");
        assert!(array.age_ms.unwrap() < 1000.0 && array.problem.is_none(), "{array:?}");
        assert!(array.clock_offset_ms.unwrap().abs() < 50.0);
        assert_eq!(array.description.labels, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!((surveys[1].samples, surveys[1].description.format), (0, None));
        let json = serde_json::to_value(&surveys).unwrap();
        assert_eq!(json[0]["name"], "Array");
    });
}

#[test]
fn markers_arrive_with_their_time_and_again_after_a_restart() {
    in_own_session("selection::markers_arrive_with_their_time_and_again_after_a_restart", || {
        let settings =
            json!({ "name": "Task", "type": "Markers", "channels": 1, "rate": 0.0, "format": "string" });
        let (sink, markers) = bounded(16);
        let config = MarkerConfig {
            key: "task".into(),
            selector: StreamSelector::by_name("Task"),
            recorded: None,
            at_once: None,
        };
        let inlet = MarkerInlet::spawn(config, sink).unwrap();
        // numbers under the same name are another stream
        let _numbers = Outlet::start(&stream("Task"));
        for text in ["{\"kind\": \"target\"}", "plain text, ünïcode"] {
            let mut outlet = Outlet::start(&settings);
            outlet.wait_for_consumer();
            let before = clock::now();
            outlet.order(&format!("text {text}"));
            outlet.expect("pushed");
            let marker = markers.recv_timeout(Duration::from_secs_f64(PATIENCE.0)).unwrap();
            assert_eq!((marker.text.as_str(), &*marker.stream), (text, "task"));
            assert!(((marker.time - before).0).abs() < 5.0, "{marker:?}");
            outlet.kill();
        }
        let status = inlet.status.status(clock::now());
        assert_eq!((status.counts.received, status.counts.dropped, status.counts.reconnects), (2, 0, 1));
        assert_ne!(status.health, StreamHealth::Waiting);
    });
}

#[test]
fn whoever_sees_what_a_text_did_finds_it_counted() {
    in_own_session("selection::whoever_sees_what_a_text_did_finds_it_counted", || {
        let status: Arc<OnceLock<Arc<StreamMonitor>>> = Arc::default();
        let (told, seen) = unbounded();
        let shown = Arc::clone(&status);
        let count = move |text: &str| {
            let received = shown.get().map(|status| status.counts().received);
            drop(told.send((text.to_owned(), received)));
        };
        let config = MarkerConfig { at_once: Some(AtOnce(Arc::new(count))), ..marker_config() };
        let inlet = MarkerInlet::spawn(config, None).unwrap();
        assert!(status.set(Arc::clone(&inlet.status)).is_ok());
        let mut outlet = Outlet::start(&marker_stream());
        outlet.wait_for_consumer();
        for (text, count) in [("one", 1), ("two", 2)] {
            outlet.order(&format!("text {text}"));
            let seen = seen.recv_timeout(Duration::from_secs_f64(PATIENCE.0)).unwrap();
            assert_eq!(seen, (text.to_owned(), Some(count)));
            outlet.expect("pushed");
        }
    });
}

fn marker_stream() -> serde_json::Value {
    json!({ "name": "Task", "type": "Markers", "channels": 1, "rate": 0.0, "format": "string" })
}

fn marker_config() -> MarkerConfig {
    MarkerConfig {
        key: "task".into(),
        selector: StreamSelector::by_name("Task"),
        recorded: None,
        at_once: None,
    }
}

/// Waits until the status of a stream is as wanted.
fn wait_until(inlet: &MarkerInlet, what: &str, mut enough: impl FnMut(&StreamStatus) -> bool) {
    let deadline = Deadline::after(PATIENCE);
    loop {
        let status = inlet.status.status(clock::now());
        if enough(&status) {
            return;
        }
        assert!(!deadline.passed(), "waited in vain until {what}: {status:#?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn a_task_whose_machine_died_is_lost_and_left_for_the_one_that_stands_in_for_it() {
    in_own_session(
        "selection::a_task_whose_machine_died_is_lost_and_left_for_the_one_that_stands_in_for_it",
        || {
            let (sink, markers) = bounded(16);
            let inlet = MarkerInlet::spawn(marker_config(), sink).unwrap();
            let mut dead = Outlet::start(&marker_stream());
            dead.wait_for_consumer();
            dead.order("text one");
            dead.expect("pushed");
            let next = || markers.recv_timeout(Duration::from_secs_f64(PATIENCE.0)).unwrap().text;
            assert_eq!(next(), "one");
            // like a machine without power: its connections stay open and nobody answers
            dead.signal("STOP");
            wait_until(&inlet, "it is lost", |status| status.health == StreamHealth::Lost);
            let detail = inlet.status.status(clock::now()).detail.unwrap();
            assert!(detail.contains("gone"), "{detail}");
            let mut outlet = Outlet::start(&marker_stream());
            outlet.wait_for_consumer();
            outlet.order("text two");
            outlet.expect("pushed");
            assert_eq!(next(), "two");
            let counts = inlet.status.counts();
            assert_eq!((counts.received, counts.dropped, counts.reconnects), (2, 0, 1));
            dead.signal("CONT");
        },
    );
}

#[test]
fn markers_that_nobody_takes_are_counted() {
    in_own_session("selection::markers_that_nobody_takes_are_counted", || {
        let (sink, markers) = bounded(1);
        let inlet = MarkerInlet::spawn(marker_config(), sink).unwrap();
        let mut outlet = Outlet::start(&marker_stream());
        outlet.wait_for_consumer();
        for text in ["one", "two", "three"] {
            outlet.order(&format!("text {text}"));
            outlet.expect("pushed");
        }
        wait_until(&inlet, "two found no room", |status| status.counts.dropped == 2);
        assert_eq!(inlet.status.counts().received, 3);
        assert_eq!(markers.try_iter().map(|marker| marker.text).collect::<Vec<_>>(), ["one"]);
        outlet.order("text four");
        outlet.expect("pushed");
        let marker = markers.recv_timeout(Duration::from_secs_f64(PATIENCE.0)).unwrap();
        assert_eq!((marker.text.as_str(), inlet.status.counts().dropped), ("four", 2));
    });
}
