//! What a tick costs from samples to cursor: the binner takes a bin's samples in, the engine extracts, decodes, moves.
//!
//! `cargo bench --bench tick [-- FILTER]`
//!
//! Two inputs: one sample a bin that carries features already, and 600 samples a bin (30 kHz) that are summed. The
//! accuracy is that of the intent against the textbook's, over the first bins.
//!
//! And what the step of a bin costs in which a model takes over that is two bins behind, beside one without: their
//! difference has to be below two steps and 50 us.
#![expect(clippy::expect_used, reason = "a benchmark whose models do not build has nothing to measure")]
#![expect(clippy::disallowed_methods, reason = "what is around the step of a swap must not be measured")]

mod example_run;
#[path = "speed_table/measured.rs"]
mod measured;
mod speed_table;
mod textbook;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::Criterion;
use example_run::{BANDWIDTH, WIDTH, binner, dkf, engine, kalman, model, noise, state};
use kalmind_engine::{Binner, Engine, Examiner, HistoryRow, StagedModel};
use kalmind_filter::{KernelPath, NadarayaWatsonRegressor, Regressor};
use kalmind_offline::model::IdentifiedModel;
use kalmind_types::{
    Binning, Command, LslTime, NumberFormat, SampleBlock, Samples, StreamHealth, StreamTime, TickInput,
    TickOutput,
};
use speed_table::Row;
use textbook::{TextbookDkf, TextbookKalman, difference, nadaraya_watson, symmetric};

/// Samples of a block, as amplifiers send them.
const BLOCK: usize = 32;
/// Bins whose intents are compared with the textbook's.
const COMPARED: usize = 64;

fn main() {
    let mut criterion = measured::criterion();
    let mut rows = Vec::new();
    for (channels, samples) in [(96, 1), (192, 1), (96, 600)] {
        for decoder in ["kalman-steady", "dkf-nw"] {
            rows.push(measure(&mut criterion, decoder, channels, samples));
        }
    }
    for features in [192, 1024] {
        for running in ["off", "300"] {
            let decoder = format!("kalman-steady:running-zscore={running}");
            rows.push(measure(&mut criterion, &decoder, features, 1));
        }
    }
    for decoder in ["kalman-steady", "dkf-nw"] {
        rows.push(measure_swap(&mut criterion, decoder, 192));
    }
    let title = "Tick: median time of a bin of 20 ms from samples to cursor, and its part of one core; largest relative \
         difference of the intent from the textbook";
    speed_table::print(title, &rows);
}

/// Blocks, binner and engine of one stream, and the bins that are sent through them over and over.
struct Rig {
    binner: Binner,
    engine: Engine,
    examiner: Examiner,
    model: IdentifiedModel,
    input: TickInput,
    #[expect(clippy::vec_box, reason = "the binner takes boxes and gives them back")]
    free: Vec<Box<SampleBlock>>,
    channels: usize,
    samples: usize,
    next_index: u64,
    /// One bin's values, sample by sample, for each of [`COMPARED`] bins.
    bins: Vec<Vec<f32>>,
}

impl Rig {
    fn new(decoder: &str, channels: usize, samples: usize) -> Self {
        let binning = if samples == 1 { Binning::Sample } else { Binning::Sum };
        let model = model(decoder, channels, binning);
        let mut engine = engine(model.model.streams.clone());
        let staged = model.stage(false, KernelPath::detect()).expect("a decoder");
        assert!(engine.stage(staged).is_ok(), "the model fits");
        let blocks = samples.div_ceil(BLOCK) + 1;
        let binner = binner(binning, samples as f64 / WIDTH, (blocks, BLOCK));
        let values = noise(COMPARED * samples, channels, 3) * (1.7 / (samples as f64).sqrt());
        let bins = (0..COMPARED)
            .map(|bin| {
                let rows = values.rows(bin * samples, samples);
                rows.row_iter()
                    .flat_map(|row| row.iter().map(|value| *value as f32).collect::<Vec<_>>())
                    .collect()
            })
            .collect();
        let id = model.id;
        let mut rig = Self {
            binner,
            examiner: engine.examiner(),
            engine,
            model,
            input: TickInput::empty(),
            free: (0..blocks)
                .map(|_| Box::new(SampleBlock::with_capacity(NumberFormat::Float32, channels, BLOCK)))
                .collect(),
            channels,
            samples,
            next_index: 0,
            bins,
        };
        rig.swap_in(id);
        rig
    }

    /// The first bin swaps the model in; it is not among those that are compared.
    fn swap_in(&mut self, model: kalmind_types::ModelId) {
        self.fill_blocks(None);
        let now = self.time(self.next_index);
        assert!(
            self.binner.close_next(now, &[Command::SwapModel(model)], &mut self.input),
            "the bin is full"
        );
        // without features there is no row one yet
        self.input.incomplete = true;
        self.engine.step(&self.input, &self.binner);
        self.release();
    }

    fn time(&self, index: u64) -> LslTime {
        LslTime(1000.0 + index as f64 * WIDTH / self.samples as f64)
    }

    /// Sends the samples of a bin, block by block; zeros for `None`. What acquisition does to fill a block is a copy.
    fn fill_blocks(&mut self, bin: Option<usize>) {
        let mut sent = 0;
        while sent < self.samples {
            let count = BLOCK.min(self.samples - sent);
            let mut block = self.free.pop().expect("as many blocks as a bin needs");
            block.stamps.clear();
            block.values.clear();
            block.first_index = self.next_index;
            block.health = StreamHealth::Live;
            for at in 0..count as u64 {
                block.stamps.push(StreamTime(self.time(self.next_index + at).0));
            }
            block.received = self.time(self.next_index + count as u64);
            if let Samples::Float32(values) = &mut block.values {
                match bin {
                    Some(bin) => values.extend_from_slice(
                        &self.bins[bin][sent * self.channels..(sent + count) * self.channels],
                    ),
                    None => values.resize(count * self.channels, 0.0),
                }
            }
            self.next_index += count as u64;
            sent += count;
            self.binner.accept(0, block);
        }
    }

    fn release(&mut self) {
        let free = &mut self.free;
        self.binner.release(|_, block| free.push(block));
    }

    /// One bin, from its samples to the output.
    fn tick(&mut self, bin: usize) -> TickOutput {
        self.fill_blocks(Some(bin));
        let now = self.time(self.next_index);
        assert!(self.binner.close_next(now, &[], &mut self.input), "the bin is full");
        let output = self.engine.step(&self.input, &self.binner);
        self.release();
        output
    }

    /// Two bins and a third in which a model takes over that was shown what came before them, or none does: the time that
    /// the step of the third takes. Leaves the model that was put out of use in place of the other.
    fn swap(&mut self, bin: usize, model: &mut Option<Box<StagedModel>>) -> Duration {
        self.tick(bin);
        let mut commands = Vec::new();
        if let Some(mut newcomer) = model.take() {
            newcomer.forget();
            let (facts, raw) = (self.engine.bin_facts(), self.engine.raw_features());
            newcomer.warm(&HistoryRow::of(&self.input, facts, raw), &mut self.examiner);
            let (from, through) = (self.input.seq, self.input.seq);
            commands.push(Command::SwapWarmed { model: newcomer.id, from, through });
            assert!(self.engine.stage(newcomer).is_ok(), "the model fits");
        }
        // other ones each time: an array that stands still is not decoded
        self.tick((bin + 1) % COMPARED);
        self.tick((bin + 2) % COMPARED);
        self.fill_blocks(Some((bin + 3) % COMPARED));
        let now = self.time(self.next_index);
        assert!(self.binner.close_next(now, &commands, &mut self.input), "the bin is full");
        let begin = Instant::now();
        black_box(self.engine.step(&self.input, &self.binner));
        let elapsed = begin.elapsed();
        self.release();
        *model = self.engine.take_retired();
        assert!(commands.is_empty() || model.as_ref().is_some_and(|model| !model.turned_away()));
        elapsed
    }

    /// The features of a bin, added up in 64 bits.
    fn features(&self, bin: usize) -> Vec<f64> {
        let mut sums = vec![0.0; self.channels];
        for row in self.bins[bin].chunks(self.channels) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += f64::from(*value);
            }
        }
        sums
    }
}

/// The largest relative difference of the intent from the textbook's.
fn accuracy(decoder: &str, channels: usize, samples: usize) -> f64 {
    let mut rig = Rig::new(decoder, channels, samples);
    let mut filter = TextbookKalman::new(&kalman(channels), true).expect("matrices with an inverse");
    let mut dkf_filter = TextbookDkf::new(&state()).expect("S has an inverse");
    let dkf = dkf(channels);
    let Regressor::NadarayaWatson(NadarayaWatsonRegressor { points, values, .. }) = &dkf.regressor else {
        return f64::NAN;
    };
    let mut most = 0.0_f64;
    for bin in 0..COMPARED {
        let output = rig.tick(bin);
        assert!(!output.incomplete, "every sample of the bin is in it");
        let intent = output.intent.expect("a decoder at work");
        let features = rig.features(bin);
        let found = if decoder == "dkf-nw" {
            let (f, _) = nadaraya_watson(points, values, BANDWIDTH, &features);
            dkf_filter.step(&f, &symmetric(&[0.5, 0.0, 0.5], 2)).expect("matrices with an inverse");
            difference(&intent, &dkf_filter.mean, &dkf_filter.covariance)
        } else {
            filter.step(Some(&features)).expect("matrices with an inverse");
            difference(&intent, &filter.mean, &filter.covariance)
        };
        most = most.max(found);
    }
    most
}

fn measure(criterion: &mut Criterion, decoder: &str, channels: usize, samples: usize) -> Row {
    let input = if samples == 1 {
        format!("{channels} features a sample")
    } else {
        format!("{channels} channels at {} kHz, sum", samples as f64 / WIDTH / 1e3)
    };
    // the results' folder is named so
    let what = format!("{input}, {}", decoder.replace(':', " "));
    let mut rig = Rig::new(decoder, channels, samples);
    let mut bin = 0;
    measured::forget(&what);
    criterion.bench_function(&what, |bencher| {
        bencher.iter(|| {
            bin = (bin + 1) % COMPARED;
            black_box(rig.tick(bin))
        });
    });
    let median = measured::median_us(&what);
    let share = median.map_or_else(String::new, |us| format!(", {:.2} %", us / (WIDTH * 1e6) * 100.0));
    Row {
        what,
        measured: format!("{}{share}", measured::shown(median)),
        goal: if samples == 1 { String::new() } else { String::from("25 % with reception") },
        // that of the decoder by itself stands beside it already
        accuracy: if decoder.contains(':') {
            String::new()
        } else {
            format!("{:.1e}", accuracy(decoder, channels, samples))
        },
    }
}

fn measure_swap(criterion: &mut Criterion, decoder: &str, channels: usize) -> Row {
    let mut rig = Rig::new(decoder, channels, 1);
    let what = format!("swap 2 bins behind, {channels}, {decoder}");
    let mut step = |what: &str, swaps: bool| {
        let staged = rig.model.stage(false, KernelPath::detect()).expect("a decoder");
        let mut spare = swaps.then_some(staged);
        let mut bin = 0;
        measured::forget(what);
        criterion.bench_function(what, |bencher| {
            bencher.iter_custom(|times| {
                let swap = |_| {
                    bin = (bin + 4) % COMPARED;
                    rig.swap(bin, &mut spare)
                };
                (0..times).map(swap).sum()
            });
        });
        measured::median_us(what)
    };
    let (with, without) = (step(&what, true), step(&format!("{what}, without"), false));
    let added = with.zip(without).map(|(with, without)| with - without);
    Row {
        what,
        measured: format!("{} more than {}", measured::shown(added), measured::shown(without)),
        goal: without
            .map_or_else(String::new, |without| format!("below {:.1} us more", 50.0 + 2.0 * without)),
        accuracy: String::new(),
    }
}
