//! Outlets that die, return, change, pause and hang.

use kalmind_acquisition::clock;
use kalmind_types::StreamHealth;
use serde_json::{Value, json};

use crate::harness::{Outlet, Reader, in_own_session, stream, with};

#[test]
fn a_killed_outlet_is_lost_and_resumes_when_it_returns() {
    in_own_session("faults::a_killed_outlet_is_lost_and_resumes_when_it_returns", || {
        let mut outlet = Outlet::start(&stream("Array"));
        let mut reader = Reader::of("Array");
        outlet.wait_for_consumer();
        outlet.run(20);
        reader.read_until_received(20);
        let killed = clock::now();
        outlet.kill();
        reader.read_until_health(StreamHealth::Lost);
        let noticed = clock::now() - killed;

        let mut outlet = Outlet::start(&stream("Array"));
        let back = clock::now();
        outlet.wait_for_consumer();
        let connected = clock::now() - back;
        outlet.run(20);
        reader.read_until_received(40);
        println!(
            "measured: loss noticed after {:.0} ms, reconnected {:.0} ms after the outlet was back",
            noticed.as_millis(),
            connected.as_millis()
        );
        reader.check_accounts();
        assert_eq!(reader.delivered(), 40);
        assert_eq!(reader.inlet.status.counts().reconnects, 1);
        assert_eq!(reader.inlet.status.counts().missing, 0, "nobody sent while the program was dead");
        let connections: Vec<_> =
            reader.blocks.iter().map(|block| (block.first_index >= 20, block.connection)).collect();
        assert!(
            connections.iter().all(|&(after, connection)| connection == u32::from(after)),
            "{connections:?}"
        );
        reader.read_until("it is well again", |reader| {
            matches!(reader.inlet.status.health(), StreamHealth::Live | StreamHealth::Stalled)
        });
    });
}

#[test]
fn an_outlet_that_is_closed_in_order_is_lost_too() {
    in_own_session("faults::an_outlet_that_is_closed_in_order_is_lost_too", || {
        let mut outlet = Outlet::start(&stream("Array"));
        let mut reader = Reader::of("Array");
        outlet.wait_for_consumer();
        outlet.run(5);
        reader.read_until_received(5);
        outlet.order("close");
        outlet.expect("closed");
        reader.read_until_health(StreamHealth::Lost);
        assert!(reader.status().detail.unwrap().contains("searching for name = \"Array\""));
    });
}

/// The outlet returns changed: refused, counted, named; then as it was: resumed, with the refused ones as a hole.
fn returns_changed(changes: &Value, named: &str) {
    let mut outlet = Outlet::start(&stream("Array"));
    let mut reader = Reader::of("Array");
    outlet.wait_for_consumer();
    outlet.run(10);
    reader.read_until_received(10);
    outlet.kill();
    reader.read_until_health(StreamHealth::Lost);

    let mut changed = Outlet::start(&with(stream("Array"), changes));
    reader.read_until_health(StreamHealth::Mismatch);
    let detail = reader.status().detail.unwrap();
    assert!(detail.contains(named), "{detail}");
    changed.wait_for_consumer();
    changed.burst(7, 0.0);
    reader.read_until_received(17);
    assert_eq!(reader.delivered(), 10, "samples of another stream are refused");
    assert_eq!(reader.inlet.status.health(), StreamHealth::Mismatch);
    changed.kill();
    reader.read_until_health(StreamHealth::Lost);

    let mut outlet = Outlet::start(&stream("Array"));
    outlet.wait_for_consumer();
    outlet.run(10);
    reader.read_until_received(27);
    reader.check_accounts();
    assert_eq!(reader.delivered(), 20);
    let resumed = reader.blocks.iter().find(|block| block.connection == 1).expect("the stream resumed");
    assert_eq!((resumed.first_index, resumed.lost_before), (17, 7));
    assert_eq!(reader.inlet.status.counts().reconnects, 1, "a refused outlet is no reconnect");
}

#[test]
fn another_channel_count_is_refused() {
    in_own_session("faults::another_channel_count_is_refused", || {
        returns_changed(
            &json!({ "channels": 3, "labels": ["a", "b", "c"] }),
            "number of channels 3 instead of 2",
        );
    });
}

#[test]
fn another_rate_is_refused() {
    in_own_session("faults::another_rate_is_refused", || {
        returns_changed(&json!({ "rate": 100.0 }), "nominal rate 100 Hz instead of 50 Hz");
    });
}

#[test]
fn another_format_is_refused() {
    in_own_session("faults::another_format_is_refused", || {
        returns_changed(&json!({ "format": "int16" }), "format int16 instead of float32");
    });
}

#[test]
fn other_labels_are_refused() {
    in_own_session("faults::other_labels_are_refused", || {
        returns_changed(&json!({ "labels": ["a", "z"] }), "label of channel 1 \"z\" instead of \"b\"");
    });
}

#[test]
fn a_paused_outlet_stalls_and_its_old_samples_are_dropped_and_counted() {
    in_own_session("faults::a_paused_outlet_stalls_and_its_old_samples_are_dropped_and_counted", || {
        let mut outlet = Outlet::start(&stream("Array"));
        let mut reader = Reader::with("Array", |config| {
            config.limits.stall_ms = 300.0;
            config.limits.backlog_ms = 300.0;
        });
        outlet.wait_for_consumer();
        // due times go on while it is stopped, so it catches up in one burst of old samples
        outlet.order("run 250");
        reader.read_until("samples arrive", |reader| reader.delivered() >= 10);
        outlet.signal("STOP");
        reader.read_until_health(StreamHealth::Stalled);
        // long enough that the newest samples of the pause are fresh and the oldest are not
        reader.read_until("the pause is longer than the limit", |reader| {
            reader.status().age_ms.is_some_and(|age| age > 1000.0)
        });
        outlet.signal("CONT");
        reader.read_until_health(StreamHealth::Backlog);
        assert!(reader.status().detail.unwrap().contains("older than 300 ms"));
        outlet.expect("pushed");
        reader.read_until_received(250);
        reader.check_accounts();
        let counts = reader.inlet.status.counts();
        assert!(counts.dropped >= 10, "{counts:?}");
        assert_eq!((counts.received, counts.missing, counts.reconnects), (250, 0, 0));
        let gap = reader.blocks.iter().map(|block| block.lost_before).max().unwrap();
        assert!(gap >= 10, "the hole is stamped on the block after it");
        for block in &reader.blocks {
            let age = (block.received - block.stamps[0].corrected(block.clock.offset)).as_millis();
            assert!(age < 1000.0, "a sample {age} ms old was delivered as live");
        }
    });
}

#[test]
fn an_outlet_that_hangs_is_replaced_by_one_that_stands_in_for_it() {
    in_own_session("faults::an_outlet_that_hangs_is_replaced_by_one_that_stands_in_for_it", || {
        let mut hangs = Outlet::start(&stream("Array"));
        let mut reader = Reader::of("Array");
        hangs.wait_for_consumer();
        hangs.run(10);
        reader.read_until_received(10);
        hangs.signal("STOP");
        reader.read_until_health(StreamHealth::Stalled);
        reader.read_until_health(StreamHealth::Lost);
        let mut outlet = Outlet::start(&stream("Array"));
        outlet.wait_for_consumer();
        outlet.run(10);
        reader.read_until_received(20);
        reader.check_accounts();
        assert_eq!(reader.inlet.status.counts().reconnects, 1);
        hangs.signal("CONT");
    });
}

#[test]
fn a_refused_outlet_gives_way_to_the_right_one_beside_it() {
    in_own_session("faults::a_refused_outlet_gives_way_to_the_right_one_beside_it", || {
        let mut outlet = Outlet::start(&stream("Array"));
        let mut reader = Reader::of("Array");
        outlet.wait_for_consumer();
        outlet.run(1);
        reader.read_until_received(1);
        outlet.kill();
        reader.read_until_health(StreamHealth::Lost);
        let _wrong = Outlet::start(&with(stream("Array"), &json!({ "channels": 4, "labels": [] })));
        reader.read_until_health(StreamHealth::Mismatch);
        let mut right = Outlet::start(&stream("Array"));
        right.wait_for_consumer();
        right.run(10);
        reader.read_until("its samples arrive", |reader| reader.delivered() == 11);
    });
}

#[test]
fn an_inlet_ends_while_its_stream_is_dead() {
    in_own_session("faults::an_inlet_ends_while_its_stream_is_dead", || {
        let outlet = Outlet::start(&stream("Array"));
        let mut reader = Reader::of("Array");
        outlet.kill();
        reader.inlet.guard.stop();
        assert!(reader.inlet.blocks.receive().is_none());
    });
}
