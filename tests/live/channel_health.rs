//! Channels of a raw stream that break while it runs: left out, named, taken in again, and the same when it is replayed.

use kalmind_offline::recorded::{Item, RecordDocument, SessionReader, Wanted};
use kalmind_signal::Given;
use kalmind_types::{ChannelFault, EventBody};
use serde_json::Value;

use crate::{
    harness::Laboratory,
    recording::{recording, replayed},
};

/// Samples in half a second.
const HALF_A_SECOND: u64 = 500;

fn out(status: &Value) -> usize {
    status["streams"][0]["channels_out"].as_array().map_or(0, Vec::len)
}

/// Samples at which the channels that are left out change, with the bits of those that are.
fn changes(found: &[RecordDocument]) -> Vec<(u64, u32)> {
    let given = found.iter().filter_map(|document| match document {
        RecordDocument::Given { given, .. } => Some(*given),
        _ => None,
    });
    let (mut end, mut changes) = (0, Vec::new());
    for given in given {
        match given {
            Given::Samples(range) => end = range.end,
            Given::LeftOut { channels, .. } => changes.push((end, channels)),
            _ => {}
        }
    }
    changes
}

#[test]
fn channels_that_go_flat_are_left_out_named_and_taken_in_again_and_a_replay_agrees() {
    let laboratory = Laboratory::new("channel-health");
    let labels = "a,b,c,d,e,f,g,h";
    let mut outlet =
        laboratory.outlet(&laboratory.name, &["--rate", "1000", "--noise", "0.2", "--labels", labels]);
    let configuration = laboratory.write(
        "health.toml",
        &format!(
            "instance.name = \"{0}\"\nserver.bind = \"127.0.0.1:0\"\nbins.measure_arrival_s = 0\n[[stream]]\nname = \"{0}\"\n\
             binning = \"mean\"\nstages = [{{ stage = \"reference\", kind = \"common_average\" }}]\n",
            laboratory.name
        ),
    );
    let file = laboratory.path("health.xdf");
    let daemon = recording(&laboratory, &configuration, &file);
    let received = |status: &Value| status["streams"][0]["received"].as_u64().unwrap_or(0);
    daemon.wait_until("what is usual is known", |status| received(status) > 1500);
    let mut broken = Vec::new();
    for channels in [1, 4] {
        // of the samples that the daemon has received
        let before = received(&daemon.status());
        outlet.disturb(&format!("flat {channels}"));
        broken.push(before..received(&daemon.status()));
        let status = daemon.wait_until("it shows", |status| out(status) == channels);
        let first = &status["streams"][0]["channels_out"][0];
        assert_eq!(
            (&first["channel"], &first["fault"]),
            (&Value::from("a"), &Value::from("flat")),
            "{first}"
        );
        outlet.disturb("clean");
        daemon.wait_until("they are back", |status| out(status) == 0);
    }
    let until = received(&daemon.status()) + 200;
    daemon.wait_until("it goes on", |status| received(status) > until);
    daemon.end();

    let session = replayed(&file);
    assert!(session.identical(), "{:?}", session.comparison.first_difference);
    laboratory.recomputes_alike(&file);

    let mut reader = SessionReader::open(&file, Wanted { ticks: true, features: true, ..Wanted::default() })
        .expect("readable");
    let (mut documents, mut told, mut masked, mut incomplete) = (Vec::new(), Vec::new(), 0, 0);
    while let Some(item) = reader.next_item().expect("readable") {
        match item {
            Item::Tick(tick) => {
                masked += u64::from(tick.features.first().is_some_and(|value| value.is_nan()));
                incomplete += u64::from(tick.features.iter().filter(|value| value.is_nan()).count() == 4);
            }
            Item::Event(event) => {
                if let EventBody::ChannelHealth(event) = event.body {
                    told.push((event.fault, event.channels.concat()));
                }
            }
            Item::Document(document) => documents.push(document),
            _ => {}
        }
    }
    let flat = Some(ChannelFault::Flat);
    let expected = [(flat, "a"), (None, "a"), (flat, "abcd")];
    let (before, back) = told.split_at(3);
    assert_eq!(before, expected.map(|(fault, channels)| (fault, String::from(channels))));
    // the one that was out before stays out for longer
    assert!(back.iter().all(|(fault, _)| fault.is_none()), "{back:?}");
    let mut back: Vec<char> = back.iter().flat_map(|(_, channels)| channels.chars()).collect();
    back.sort_unstable();
    assert_eq!(back, ['a', 'b', 'c', 'd']);
    assert!(masked > 50 && incomplete > 25, "{masked} {incomplete}");
    let changes = changes(&documents);
    let bits: Vec<u32> = changes.iter().map(|(_, bits)| *bits).collect();
    assert!(bits.starts_with(&[1, 0, 0b1111]) && bits.ends_with(&[0]), "{bits:?}");
    for (broken, (at, _)) in broken.iter().zip(changes.iter().step_by(2)) {
        assert!(
            *at > broken.start && *at <= broken.end + HALF_A_SECOND,
            "broken in {broken:?}, left out at {at}"
        );
    }
}
