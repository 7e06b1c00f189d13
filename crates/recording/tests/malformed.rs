//! Files that are wrong in every way: an error or a problem that names the byte, never a panic, and memory bounded by the
//! size of the file.
//!
//! This is the fuzzing of the readers as well: `FUZZ_ROUNDS=1000000 cargo test --release -p kalmind-recording --test
//! malformed` goes on for as long as one likes; `FUZZ_SEED` starts elsewhere.

#![expect(
    unsafe_code,
    clippy::unwrap_used,
    reason = "a counting allocator; a test that cannot build its subject has failed"
)]

mod models;
mod xdf_files;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    io::Cursor,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use kalmind_recording::{
    model_from_bytes, model_to_bytes,
    xdf::{check::check_source, recording::read},
};

use xdf_files::{Noise, file};

struct Peak;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Peak {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Peak = Peak;
/// The counter is one for the process, so one test runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// The most memory that a call had at once beyond what there was.
fn peak<T>(call: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = call();
    (result, PEAK.load(Ordering::Relaxed).saturating_sub(before))
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Damages a file in one of the ways that files are damaged, or that somebody means harm.
fn mutate(bytes: &mut Vec<u8>, noise: &mut Noise) {
    let at = noise.below(bytes.len());
    match noise.below(8) {
        0 => bytes.truncate(at),
        1 => bytes[at] ^= 1 << noise.below(8),
        2 => {
            let count = noise.below(64).min(bytes.len() - at);
            for byte in &mut bytes[at..at + count] {
                *byte = noise.next() as u8;
            }
        }
        // a declared length beyond everything, wherever it happens to land
        3 => {
            let end = (at + 9).min(bytes.len());
            let lie = [8, 255, 255, 255, 255, 255, 255, 255, 127];
            bytes[at..end].copy_from_slice(&lie[..end - at]);
        }
        4 => {
            let count = noise.below(200).min(bytes.len() - at);
            bytes.drain(at..at + count);
        }
        5 => {
            let count = noise.below(200).min(bytes.len() - at);
            let copy = bytes[at..at + count].to_vec();
            let to = noise.below(bytes.len());
            bytes.splice(to..to, copy);
        }
        // a text of the header
        6 => {
            let found = bytes.windows(2).skip(at).position(|two| two[0] == b'>' && two[1].is_ascii_digit());
            if let Some(place) = found {
                bytes[at + place + 1] = *b"-9eN."[..].get(noise.below(5)).unwrap_or(&b'x');
            }
        }
        // a sample chunk that says it has more than it can hold
        _ => {
            let found = bytes.windows(2).skip(at).position(|two| two == [3, 0]);
            if let Some(place) = found
                && let Some(count) = bytes.get_mut(at + place + 6..at + place + 8)
            {
                count.copy_from_slice(&[4, 255]);
            }
        }
    }
}

#[test]
fn malformed_recordings_are_errors_or_problems_with_a_place() {
    let _alone = ALONE.lock();
    let good = file(2);
    let mut noise = Noise(number("FUZZ_SEED", 11));
    let (mut errors, mut problems) = (0_u64, 0_u64);
    for round in 0..number("FUZZ_ROUNDS", 5000) {
        let mut bytes = good.clone();
        for _ in 0..=noise.below(3) {
            if !bytes.is_empty() {
                mutate(&mut bytes, &mut noise);
            }
        }
        let length = bytes.len() as u64;
        let (result, used) = peak(|| read(Cursor::new(&bytes), length, |_| false));
        // numbers of one byte grow to stamps of eight and vectors grow by doubling; buffers are a constant
        assert!(used <= 40 * bytes.len() + (4 << 20), "round {round}: {used} bytes for a file of {length}");
        match result {
            Ok(recorded) => {
                problems += u64::from(!recorded.problems.is_empty());
                assert!(recorded.problems.iter().all(|problem| problem.offset <= length), "round {round}");
            }
            Err(error) => {
                errors += 1;
                assert!(error.offset() <= length, "round {round}: {error}");
            }
        }
        let (checked, used) = peak(|| check_source(Cursor::new(&bytes), length, None, |_, _| {}));
        assert!(
            used <= 40 * bytes.len() + (4 << 20),
            "round {round}: {used} bytes to check a file of {length}"
        );
        if let Ok(report) = checked {
            assert!(report.problems.iter().all(|problem| problem.offset <= length), "round {round}");
        }
    }
    let rounds = number("FUZZ_ROUNDS", 5000);
    assert!(
        2 * (problems + errors) > rounds,
        "{problems} files with problems and {errors} that are none, of {rounds}"
    );
}

#[test]
fn malformed_models_are_errors() {
    let _alone = ALONE.lock();
    let good: Vec<Vec<u8>> =
        models::every_decoder().iter().map(|model| model_to_bytes(model).expect("a model file")).collect();
    let mut noise = Noise(number("FUZZ_SEED", 5));
    let mut errors = 0;
    let rounds = number("FUZZ_ROUNDS", 500);
    for round in 0..rounds {
        let mut bytes = good[noise.below(good.len())].clone();
        for _ in 0..=noise.below(3) {
            if !bytes.is_empty() {
                mutate(&mut bytes, &mut noise);
            }
        }
        let (result, used) = peak(|| model_from_bytes(&bytes));
        assert!(
            used <= 40 * bytes.len() + (4 << 20),
            "round {round}: {used} bytes for a model of {}",
            bytes.len()
        );
        if let Err(error) = result {
            errors += 1;
            assert!(!error.to_string().is_empty());
        }
    }
    assert!(errors * 2 > rounds, "{errors} of {rounds} were refused");
}
