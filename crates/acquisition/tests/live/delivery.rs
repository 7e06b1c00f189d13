//! Every sample that is pushed comes out, in its own number type, once.

use std::time::Duration;

use kalmind_acquisition::ClockSource;
use kalmind_acquisition::clock::Deadline;
use kalmind_types::{NumberFormat, StreamHealth};
use serde_json::json;

use crate::harness::{Outlet, PATIENCE, Reader, in_own_session, stream, with};

#[test]
fn every_sample_of_every_format_is_delivered() {
    in_own_session("delivery::every_sample_of_every_format_is_delivered", || {
        for (name, format) in [
            ("float32", NumberFormat::Float32),
            ("double64", NumberFormat::Double64),
            ("int8", NumberFormat::Int8),
            ("int16", NumberFormat::Int16),
            ("int32", NumberFormat::Int32),
            ("int64", NumberFormat::Int64),
        ] {
            // one reader a thread: the waker belongs to it
            std::thread::spawn(move || {
                let mut outlet =
                    Outlet::start(&with(stream(name), &json!({ "format": name, "rate": 500.0 })));
                let mut reader = Reader::of(name);
                outlet.wait_for_consumer();
                outlet.run(250);
                reader.read_until_received(250);
                reader.check_accounts();
                let modulus = if name == "int8" { 100 } else { 1 << 30 };
                for channel in 0..2 {
                    let expected: Vec<_> =
                        (0..250).map(|index| f64::from((index + 1000 * channel) % modulus)).collect();
                    assert_eq!(reader.channel(channel as usize), expected, "{name}, channel {channel}");
                }
                let status = reader.status();
                assert_eq!(status.counts.missing, 0, "{name}");
                let description = status.description.unwrap();
                assert_eq!(description.format, Some(format));
                assert_eq!(description.labels, Some(vec!["a".to_owned(), "b".to_owned()]));
                assert_eq!(description.units, Some(vec!["microvolts".to_owned(); 2]));
            })
            .join()
            .expect("the format is delivered");
        }
    });
}

#[test]
fn the_clock_is_measured_beside_the_data() {
    in_own_session("delivery::the_clock_is_measured_beside_the_data", || {
        let mut outlet = Outlet::start(&stream("Array"));
        // there are samples as soon as it is connected
        outlet.order("run 1000");
        let mut reader = Reader::of("Array");
        reader.read_until("its clock is measured", |reader| reader.status().clock_offset_ms.is_some());
        let status = reader.status();
        assert!(status.clock_offset_ms.unwrap().abs() < 50.0, "one machine, one clock: {status:?}");
        assert!(status.clock_uncertainty_ms.unwrap() > 0.0);
        reader.read_until("blocks carry it", |reader| {
            reader.blocks.last().is_some_and(|block| block.clock.uncertainty.0 > 0.0)
        });
        assert_eq!(reader.blocks[0].first_index, 0, "data did not wait for the clock");
        assert!(
            reader.blocks[0].clock.uncertainty.0.abs() < 1e-12,
            "the first block came before the measurement"
        );
    });
}

#[test]
fn nan_passes_through() {
    in_own_session("delivery::nan_passes_through", || {
        let mut outlet = Outlet::start(&with(stream("Array"), &json!({ "nan": [3, 7] })));
        let mut reader = Reader::of("Array");
        outlet.wait_for_consumer();
        outlet.run(10);
        reader.read_until_received(10);
        let values = reader.channel(0);
        let nan: Vec<_> = (0..10).filter(|&index| values[index].is_nan()).collect();
        assert_eq!(nan, [3, 7]);
        assert!(reader.channel(1).iter().all(|value| value.is_finite()));
    });
}

#[test]
fn a_reader_that_falls_behind_is_told_of_every_sample_it_missed() {
    in_own_session("delivery::a_reader_that_falls_behind_is_told_of_every_sample_it_missed", || {
        let mut outlet = Outlet::start(&with(stream("Array"), &json!({ "rate": 10000.0 })));
        let mut reader = Reader::with("Array", |config| {
            config.blocks = 4;
            config.block_samples = 16;
        });
        outlet.wait_for_consumer();
        // nobody reads meanwhile
        outlet.burst(5000, 0.0);
        let deadline = Deadline::after(PATIENCE);
        while reader.inlet.status.counts().received < 5000 {
            assert!(!deadline.passed(), "{:#?}", reader.status());
            std::thread::park_timeout(Duration::from_millis(5));
        }
        reader.read_until_received(5000);
        outlet.burst(10, 0.0);
        reader.read_until_received(5010);
        reader.check_accounts();
        let counts = reader.inlet.status.counts();
        assert!(counts.dropped > 0, "four blocks cannot hold it: {counts:?}");
        let last = reader.blocks.last().unwrap();
        assert_eq!(last.end_index(), 5010);
        let indices: Vec<_> = reader
            .blocks
            .iter()
            .flat_map(|block| (block.first_index..block.end_index()).map(|index| index as f64))
            .collect();
        assert_eq!(reader.channel(0), indices, "the index names the sample, whatever was lost before it");
    });
}

#[test]
fn a_burst_of_fresh_samples_is_delivered_whole() {
    in_own_session("delivery::a_burst_of_fresh_samples_is_delivered_whole", || {
        let mut outlet = Outlet::start(&with(stream("Array"), &json!({ "rate": 10000.0 })));
        // fresh for as long as a busy machine may take to send them
        let mut reader = Reader::with("Array", |config| config.limits.backlog_ms = 60_000.0);
        outlet.wait_for_consumer();
        outlet.burst(20_000, 0.0);
        reader.read_until_received(20_000);
        reader.check_accounts();
        assert_eq!((reader.delivered(), reader.inlet.status.counts().missing), (20_000, 0));
    });
}

#[test]
fn a_burst_of_an_irregular_stream_is_delivered_whole() {
    in_own_session("delivery::a_burst_of_an_irregular_stream_is_delivered_whole", || {
        let mut outlet = Outlet::start(&with(stream("Array"), &json!({ "rate": 0.0, "true_rate": 10000.0 })));
        let mut reader = Reader::with("Array", |config| {
            config.block_samples = 64;
            config.limits.backlog_ms = 60_000.0;
        });
        outlet.wait_for_consumer();
        // three times what LSL queues of an irregular stream where nobody asks for more
        outlet.burst(30_000, 0.0);
        reader.read_until_received(30_000);
        reader.check_accounts();
        let counts = reader.inlet.status.counts();
        assert_eq!((reader.delivered(), counts.dropped, counts.overflows), (30_000, 0, 0));
    });
}

#[test]
fn samples_that_were_never_sent_are_missing() {
    in_own_session("delivery::samples_that_were_never_sent_are_missing", || {
        let mut outlet = Outlet::start(&stream("Array"));
        let mut reader = Reader::with("Array", |config| config.limits.backlog_ms = f64::INFINITY);
        outlet.wait_for_consumer();
        outlet.burst(10, 5.0);
        reader.read_until_received(10);
        // 3 s of stamps, ending now: the second before them was never sent, and nothing made up for it afterwards
        outlet.burst(150, 0.0);
        reader.read_until_received(160);
        let stamps: Vec<_> =
            reader.blocks.iter().flat_map(|block| block.stamps.iter().map(|stamp| stamp.0)).collect();
        let expected = ((stamps[10] - stamps[9]) * 50.0).round() - 1.0;
        assert!(expected > 20.0);
        assert_eq!(reader.inlet.status.counts().missing, expected as u64);
        assert_eq!(reader.inlet.status.counts().dropped, 0, "missing is not dropped");
    });
}

#[test]
fn unix_stamps_are_refused_and_the_remedy_is_named() {
    in_own_session("delivery::unix_stamps_are_refused_and_the_remedy_is_named", || {
        for clock in ["unix", "device"] {
            std::thread::spawn(move || {
                let mut outlet = Outlet::start(&with(stream(clock), &json!({ "clock": clock })));
                let mut reader = Reader::of(clock);
                outlet.wait_for_consumer();
                outlet.run(10);
                reader.read_until_received(10);
                reader.check_accounts();
                assert_eq!(reader.delivered(), 0);
                outlet.order("run 100");
                reader.read_until_health(StreamHealth::BadClock);
                let detail = reader.status().detail.unwrap();
                assert!(detail.contains("clock = \"arrival\""), "{detail}");
            })
            .join()
            .expect("the clock is refused");
        }
    });
}

#[test]
fn unix_stamps_are_used_by_arrival() {
    in_own_session("delivery::unix_stamps_are_used_by_arrival", || {
        let mut outlet = Outlet::start(&with(stream("Array"), &json!({ "clock": "unix" })));
        let mut reader = Reader::with("Array", |config| config.clock = ClockSource::Arrival);
        outlet.wait_for_consumer();
        outlet.run(50);
        reader.read_until_received(50);
        reader.check_accounts();
        assert_eq!(reader.delivered(), 50);
        for block in &reader.blocks {
            assert!(block.stamps[0].0 > 1.5e9, "stamps stay as they were sent");
            let age = (block.received - block.stamps[0].corrected(block.clock.offset)).0;
            assert!((0.0..5.0).contains(&age), "age {age}");
        }
    });
}

#[test]
fn a_rate_that_is_not_what_the_header_says_is_shown() {
    in_own_session("delivery::a_rate_that_is_not_what_the_header_says_is_shown", || {
        let mut outlet = Outlet::start(&with(stream("Array"), &json!({ "true_rate": 100.0 })));
        let mut reader = Reader::of("Array");
        outlet.wait_for_consumer();
        outlet.order("run 1000");
        reader.read_until_health(StreamHealth::Mismatch);
        let status = reader.status();
        assert!(status.measured_rate_hz.unwrap() > 60.0);
        assert!(status.detail.unwrap().contains("nominal 50.0 Hz"));
        let before = reader.delivered();
        reader.read_until("samples are still used", |reader| reader.delivered() > before + 10);
        assert_eq!(reader.inlet.status.counts().dropped, 0);
    });
}

#[test]
fn a_reader_that_keeps_a_bins_blocks_loses_nothing_of_samples_pushed_one_by_one() {
    in_own_session(
        "delivery::a_reader_that_keeps_a_bins_blocks_loses_nothing_of_samples_pushed_one_by_one",
        || {
            let mut outlet = Outlet::start(&with(stream("Array"), &json!({ "rate": 5000.0 })));
            let mut reader = Reader::with("Array", |config| {
                config.blocks = 64;
                config.block_samples = 64;
            });
            outlet.wait_for_consumer();
            outlet.order("run 2500");
            let (mut kept, mut in_bin, mut most) = (Vec::new(), 0, 0);
            let deadline = Deadline::after(PATIENCE);
            while reader.inlet.status.counts().received < 2500 || reader.inlet.blocks.waiting() > 0 {
                assert!(!deadline.passed(), "{:#?}", reader.status());
                while let Some(block) = reader.inlet.blocks.receive() {
                    in_bin += block.len();
                    reader.blocks.push((*block).clone());
                    kept.push(block);
                }
                most = most.max(kept.len());
                if in_bin >= 100 {
                    in_bin = 0;
                    for block in kept.drain(..) {
                        reader.inlet.blocks.give_back(block);
                    }
                }
                std::thread::park_timeout(Duration::from_millis(5));
            }
            outlet.expect("pushed");
            reader.read_until_received(2500);
            reader.check_accounts();
            assert_eq!((reader.delivered(), reader.inlet.status.counts().dropped), (2500, 0));
            println!("measured: at most {most} of 64 blocks were kept for 100 samples");
        },
    );
}
