//! Channels of a raw stream that break in front of every decoder: masked, or `stale`, within half a second, and never a number
//! that is not finite.
#![expect(clippy::unwrap_used, reason = "a test that cannot build its subject has failed")]

mod rig;

use core::f64::consts::TAU;

use kalmind_filter::{DecoderName, TaskSample};
use kalmind_signal::{
    Chain, ChainSettings, DerivedStream, FilterKind, FilterSettings, Frequencies, PowerSettings,
    ReferenceKind, ReferenceSettings, Rows as SignalRows, Signal, StageSettings,
};
use kalmind_types::{GenerationId, Intent, OutputState, Position, SampleRows, TickOutput, Velocity};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rig::{Loop, Rows, model_with_task};

const CHANNELS: usize = 20;
const RATE_HZ: f64 = 1000.0;
const BIN_MS: f64 = 20.0;
/// Bins before channels break, in which they are broken, and after which that has to show.
const SOUND: usize = 80;
const BROKEN: usize = 35;
const HALF_A_SECOND: usize = 25;

/// How a channel breaks: what becomes of its value of about 1 in size at a time, where its neighbour has another.
#[derive(Clone, Copy)]
struct Pattern {
    name: &'static str,
    value: fn(f64, f64, f64, &mut ChaCha8Rng) -> f64,
    is_found: bool,
}

fn normal(random: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0
}

const PATTERNS: [Pattern; 12] = [
    Pattern { name: "flat", value: |_, _, _, _| 0.0, is_found: true },
    Pattern { name: "rail high", value: |_, _, _, _| 3e3, is_found: true },
    Pattern { name: "rail low", value: |_, _, _, _| -3e3, is_found: true },
    Pattern { name: "NaN", value: |_, _, _, _| f64::NAN, is_found: true },
    Pattern { name: "infinite", value: |_, _, _, _| f64::INFINITY, is_found: true },
    Pattern {
        name: "sine at 50 Hz",
        value: |_, time, _, _| 300.0 * (TAU * 50.0 * time).sin(),
        is_found: true,
    },
    Pattern {
        name: "white noise",
        value: |value, _, _, random| value + 100.0 * normal(random),
        is_found: true,
    },
    Pattern { name: "steps", value: |value, time, _, _| value + 1e3 * (20.0 * time).floor(), is_found: true },
    Pattern {
        name: "comes and goes",
        value: |value, time, _, _| if (5.0 * time).fract() < 0.6 { 0.0 } else { value },
        is_found: true,
    },
    // two electrodes that touch look healthy, each by itself
    Pattern { name: "a copy of its neighbour", value: |_, _, neighbour, _| neighbour, is_found: false },
    Pattern {
        name: "square wave",
        value: |_, time, _, _| if (37.0 * time).fract() < 0.5 { 300.0 } else { -300.0 },
        is_found: true,
    },
    Pattern {
        name: "random spikes",
        value: |value, _, _, random| if random.random::<f64>() < 0.1 { 500.0 } else { value },
        is_found: true,
    },
];

fn settings() -> ChainSettings {
    ChainSettings(vec![
        StageSettings::Filter(FilterSettings {
            kind: FilterKind::HighPass,
            hz: Frequencies::One(20.0),
            order: 2,
            quality: 30.0,
            harmonics: 1,
            zero_phase_ms: None,
        }),
        StageSettings::Reference(ReferenceSettings {
            kind: ReferenceKind::CommonAverage,
            arrays: Vec::new(),
            array_channels: Vec::new(),
            maps: Vec::new(),
            average_of: Vec::new(),
            excluded: Vec::new(),
            channels: Vec::new(),
            weights: Vec::new(),
        }),
        StageSettings::Power(PowerSettings {
            output_ms: BIN_MS,
            over_ms: None,
            relative_to: Vec::new(),
            log: false,
        }),
    ])
}

/// Where a hand goes.
fn velocity(time: f64) -> Velocity {
    Velocity([0.3 * (TAU * 0.37 * time).sin(), 0.3 * (TAU * 0.53 * time).cos()])
}

/// Features of so many bins, where the first channels break as the pattern says behind `SOUND` bins.
fn features(bins: usize, broken: Option<(Pattern, usize)>) -> Rows {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let raw = Signal::raw(RATE_HZ, (0..CHANNELS).map(|channel| (channel.to_string(), String::new())));
    let settings = settings();
    let chain = Chain::new(&settings, GenerationId([0; 32]), &raw, 64).unwrap();
    let mut stream = DerivedStream::new(chain, CHANNELS, RATE_HZ).with_channel_health(&settings);
    let samples = (BIN_MS * 1e-3 * RATE_HZ) as usize;
    let mut values = Vec::new();
    for index in 0..bins * samples {
        let time = index as f64 / RATE_HZ;
        let Velocity([x, y]) = velocity(time);
        let size = |channel: usize| {
            let angle = TAU * channel as f64 / CHANNELS as f64;
            1.0 + 2.0 * (angle.cos() * x + angle.sin() * y)
        };
        let sound: Vec<f64> = (0..CHANNELS).map(|channel| size(channel) * normal(&mut random)).collect();
        values.extend(sound.iter().enumerate().map(|(channel, value)| match broken {
            Some((pattern, broken)) if channel < broken && index >= SOUND * samples => {
                let neighbour = sound[(channel + broken) % CHANNELS];
                (pattern.value)(*value, time, neighbour, &mut random)
            }
            _ => *value,
        }));
    }
    let mut output = SignalRows::with_capacity(CHANNELS, 0);
    stream.take(0, 0, SampleRows::Double64(&values), &mut output);
    let mut rows = Rows::new(CHANNELS);
    for (bin, row) in output.iter().enumerate() {
        let valid = row.values.iter().zip(row.invalid);
        let row: Vec<f64> = valid.map(|(value, invalid)| if *invalid { f64::NAN } else { *value }).collect();
        rows.push(&row, velocity((bin as f64 + 0.5) * BIN_MS * 1e-3));
    }
    rows
}

/// A decoder that is fitted in no time.
fn short(decoder: DecoderName) -> String {
    let options = [
        ("epochs", "2"),
        ("hidden", "4"),
        ("layers", "1"),
        ("networks", "2"),
        ("steps", "2"),
        ("inducing", "20"),
        ("points", "200"),
    ];
    let has = |(option, _): &(&str, &str)| decoder.option_names().contains(option);
    let options: Vec<String> =
        options.into_iter().filter(has).map(|(option, value)| format!("{option}={value}")).collect();
    match options.len() {
        0 => decoder.to_string(),
        _ => format!("{decoder}:{}", options.join(",")),
    }
}

fn is_finite(output: &TickOutput) -> bool {
    let numbers = output.velocity.0.iter().chain(&output.position.0);
    let intent = output.intent.iter().flat_map(Intent::mean);
    let click = output.click.iter().map(|click| &click.probability);
    numbers.chain(intent).chain(click).all(|value| value.is_finite())
}

#[test]
fn channels_that_break_are_masked_or_stale_in_half_a_second_whatever_decodes() {
    // the first bins are not valid yet
    let sound = features(320, None);
    let mut training = Rows::new(CHANNELS);
    for (row, state) in sound.features.chunks(CHANNELS).zip(sound.states.chunks(2)).skip(20) {
        training.push(row, Velocity([state[0], state[1]]));
    }
    // a target a second, away from where the cursor is
    let task: Vec<TaskSample> = (0..training.states.len() / 2)
        .map(|row| TaskSample {
            trial: (row / 50) as u64,
            target: Some(Position([0.9, (row / 50 % 7) as f64 / 7.0])),
            cursor: Position([0.3 + 0.001 * (row % 50) as f64, 0.5]),
            hold: false,
        })
        .collect();
    let models: Vec<_> = DecoderName::ALL
        .into_iter()
        .map(|decoder| {
            let model = model_with_task(&short(decoder), &training, BIN_MS * 1e-3, Some(task.clone()));
            (decoder, model)
        })
        .collect();
    for pattern in PATTERNS {
        for broken in [CHANNELS / 10, CHANNELS / 2, CHANNELS] {
            let rows = features(SOUND + BROKEN, Some((pattern, broken)));
            for (decoder, model) in &models {
                let mut running = Loop::new(model, BIN_MS * 1e-3, true, true);
                for (bin, row) in rows.features.chunks(CHANNELS).enumerate() {
                    let output = running.tick(row);
                    let shown = format!("{} in {broken}, {decoder}, bin {bin}", pattern.name);
                    assert!(is_finite(&output), "{shown}");
                    if bin < SOUND + HALF_A_SECOND || !pattern.is_found {
                        continue;
                    }
                    let (masked, is_stale) =
                        (output.masked_features as usize, output.state == OutputState::Stale);
                    // what a jump did to the references before it was found may make it stale for a moment as well
                    assert!(masked >= broken || is_stale, "{shown}: {masked} masked, {:?}", output.reason);
                    assert!(is_stale || broken <= CHANNELS / 4, "{shown}: {:?}", output.state);
                    assert!(!is_stale || output.velocity.0.iter().all(|value| *value == 0.0), "{shown}");
                }
            }
        }
    }
}
