//! Measures one hop: from the push of a sample in this process to the block at the inlet's reader, through LSL's network
//! threads, the data thread, the ring and the wake.
//!
//! `cargo bench --locked -p kalmind-acquisition --bench hop -- [RATE_HZ] [CHANNELS] [SECONDS] [CHUNK]`
//!
//! `CHUNK` samples are sent together, as amplifiers do at high rates.
//!
//! The inlet is compared with the floor: a bare `pull_sample_buf` loop on the same outlet in the same run.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a program that reports to a terminal")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kalmind_acquisition::clock::{self, Deadline};
use kalmind_acquisition::{InletConfig, NumericInlet, StreamSelector, Waker, find_one};
use kalmind_types::Seconds;
use lsl::{ChannelFormat, ExPushable, Pullable, StreamInfo, StreamInlet, StreamOutlet};

fn main() {
    let arguments: Vec<f64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let given = |index: usize, default| arguments.get(index).copied().unwrap_or(default);
    let (rate, channels, seconds) = (given(0, 50.0), given(1, 192.0) as u32, given(2, 10.0));
    let chunk = given(3, 1.0) as usize;
    let name = format!("hop-{}", std::process::id());

    let ready = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicBool::new(false));
    let pushing = {
        let (ready, done, name) = (Arc::clone(&ready), Arc::clone(&done), name.clone());
        std::thread::spawn(move || push(&name, rate, channels, chunk, &ready, &done))
    };
    let description =
        find_one(&StreamSelector::by_name(name.as_str()), Seconds(10.0)).expect("the outlet is found");

    let floor = {
        let (done, name) = (Arc::clone(&done), name.clone());
        std::thread::spawn(move || bare(&name, &done))
    };
    let waker = Waker::new();
    assert!(waker.attach(), "nobody else waits");
    let config = InletConfig::new("hop", StreamSelector::by_name(name.as_str()), description);
    let mut inlet = NumericInlet::spawn(config, waker).expect("the inlet starts");
    let (mut hops, mut pulls, mut samples) = (Vec::new(), Vec::new(), 0);
    ready.store(true, Ordering::Relaxed);
    let deadline = Deadline::after(Seconds(seconds));
    while !deadline.passed() {
        while let Some(block) = inlet.blocks.receive() {
            let now = clock::now();
            samples += block.len();
            if let Some(stamp) = block.stamps.last() {
                hops.push((now.0 - stamp.0) * 1e6);
                pulls.push((now - block.received).0 * 1e6);
            }
            inlet.blocks.give_back(block);
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    done.store(true, Ordering::Relaxed);
    let status = inlet.status.status(clock::now());
    println!("{rate} Hz, {channels} channels, {seconds} s, {samples} samples in {} blocks", hops.len());
    report("push -> block at the reader", hops);
    report("block sent -> reader awake", pulls);
    report("push -> bare pull (floor)", floor.join().expect("the bare loop ends"));
    println!("{:?}, measured {:?} Hz", status.counts, status.measured_rate_hz);
    pushing.join().expect("the outlet ends");
}

fn push(name: &str, rate: f64, channels: u32, chunk: usize, ready: &AtomicBool, done: &AtomicBool) {
    let info = StreamInfo::new(name, "Test", channels, rate, ChannelFormat::Float32, name).expect("a header");
    let outlet = StreamOutlet::new(&info, 0, 10).expect("an outlet");
    let row = vec![1.0_f32; channels as usize];
    while !ready.load(Ordering::Relaxed) {
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let mut due = clock::now();
    while !done.load(Ordering::Relaxed) {
        due = due + Seconds(chunk as f64 / rate);
        let wait = (due - clock::now()).0;
        if wait > 0.0 {
            std::thread::park_timeout(Duration::from_secs_f64(wait));
        }
        for index in 1..=chunk {
            outlet.push_sample_ex(&row, clock::now().0, index == chunk).expect("pushed");
        }
    }
}

fn bare(name: &str, done: &AtomicBool) -> Vec<f64> {
    let infos = lsl::resolve_byprop("name", name, 1, 5.0).expect("LSL searches");
    let inlet = StreamInlet::new(&infos[0], 10, 0, false).expect("an inlet");
    let (mut row, mut hops) = (Vec::<f32>::new(), Vec::new());
    while !done.load(Ordering::Relaxed) {
        match inlet.pull_sample_buf(&mut row, 0.1) {
            Ok(stamp) if stamp > 0.0 => hops.push((clock::now().0 - stamp) * 1e6),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    hops
}

fn report(what: &str, mut micros: Vec<f64>) {
    micros.sort_by(f64::total_cmp);
    let at = |part: f64| micros.get((micros.len() as f64 * part) as usize).copied().unwrap_or(f64::NAN);
    println!(
        "{what:28} p50 {:7.1}  p99 {:7.1}  max {:8.1} us",
        at(0.5),
        at(0.99),
        micros.last().unwrap_or(&f64::NAN)
    );
}
