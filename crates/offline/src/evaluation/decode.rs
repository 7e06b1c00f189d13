//! Rows of a table through the binner and engine of the live tick.

use std::ops::Range;

use arrayvec::ArrayVec;
use hdrhistogram::Histogram;
use kalmind_engine::{Binner, BinnerSettings, CursorSettings, Engine, EngineSettings, StreamBinning};
use kalmind_filter::{KernelPath, LabelLaw};
use kalmind_fitting::sensitivity;
use kalmind_types::{
    BinClose, Binning, ChannelMask, Intent, LslTime, Mode, NumberFormat, SampleBlock, Samples, Seconds,
    StreamFeatures, StreamHealth, StreamTime, TickInput,
};

use crate::{model::IdentifiedModel, options::LiveSettings, tables::Tables};

/// What decoding a range of rows gave: one entry a row.
#[derive(Debug)]
pub struct Decoded {
    /// Intents.
    pub intents: Vec<Intent>,
    /// What each bin said alone, as means with covariance zero; `None` for decoders that do not know it.
    pub unfiltered: Option<Vec<Intent>>,
    /// Steps in which the filter fell back to another form.
    pub fallback_steps: u64,
    /// Nanoseconds a step.
    pub step_ns: Histogram<u64>,
}

/// What is done to the features of every row before they are decoded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alteration<'a> {
    /// A change of one channel, first.
    pub change: Option<(usize, Change)>,
    /// Limits, then.
    pub saturation: Option<&'a Saturation>,
}

/// A change of one channel in every row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// This much more.
    Add(f64),
    /// This value always.
    Hold(f64),
}

/// Limits around the training mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Saturation {
    /// Training means, n.
    pub mean: Vec<f64>,
    /// Training standard deviations, n.
    pub deviation: Vec<f64>,
    /// How many of them a feature may lie off its mean.
    pub limit: f64,
}

impl Saturation {
    /// Keeps one row within the limits.
    pub fn apply(&self, values: &mut [f64]) {
        sensitivity::saturate(values, &self.mean, &self.deviation, self.limit);
    }
}

impl Alteration<'_> {
    fn apply(&self, values: &mut [f64]) {
        if let Some((channel, change)) = self.change
            && let Some(value) = values.get_mut(channel)
        {
            match change {
                Change::Add(offset) => *value += offset,
                Change::Hold(held) => *value = held,
            }
        }
        if let Some(saturation) = self.saturation {
            saturation.apply(values);
        }
    }
}

/// How rows are decoded.
#[derive(Clone, Copy, Debug)]
pub struct Decoding<'a> {
    /// How a model file would be run.
    pub live: &'a LiveSettings,
    /// A monotonic clock in seconds, for the time that a step takes.
    pub clock: fn() -> f64,
}

impl Decoding<'_> {
    /// Decodes `rows` of the tables' features, altered, with the binner and engine of the live tick, cold from the first.
    ///
    /// # Errors
    /// When the model cannot be built, or gives no finite intent.
    pub fn rows(
        &self,
        model: &IdentifiedModel,
        tables: &Tables,
        rows: Range<usize>,
        alteration: &Alteration<'_>,
    ) -> anyhow::Result<Decoded> {
        let width = tables.features.width;
        let bin = Seconds::from_millis(tables.bin_ms);
        // rows further apart than any live bin have no live counterpart
        let live = self.live.bin_ms.contains(&tables.bin_ms);
        let stream = StreamBinning {
            binning: Binning::Sample,
            rate_hz: Some(1e3 / tables.bin_ms),
            required: true,
            max_age: Seconds(0.0),
            blocks: 2,
            block_samples: 1,
        };
        let settings = BinnerSettings {
            width: bin,
            max_wait: Seconds(f64::INFINITY),
            epoch_jump: if live { self.live.epoch_jump } else { Seconds(10.0 * bin.0) },
            streams: vec![stream],
        };
        let mut binner = Binner::new(settings, ChannelMask::default())?;
        // a decoder that knows the cursor sees the one that the task displayed
        let displayed = |row: usize| Some(tables.task.as_ref()?.rows.get(row)?.cursor);
        let mut cursor = CursorSettings::default();
        if let Some(start) = displayed(rows.start) {
            cursor.start = start;
        }
        // a decoder that is compared with others is judged by itself; a model file is run as the daemon would run it
        let mut engine = Engine::new(EngineSettings {
            features: vec![StreamFeatures::of_channels(Binning::Sample, width, None)],
            max_masked: 0.25,
            restart_after: self.live.restart_after(tables.bin_ms),
            stale_after: Seconds(f64::INFINITY),
            auto_resume: Seconds(f64::INFINITY),
            start: Mode::Idle,
            cursor,
            label_law: LabelLaw::default(),
            plausibility: model.from_file && self.live.plausibility,
            fallback_stale: Seconds(f64::INFINITY),
            doubted_calibrates: true,
        })?;
        let staged = model.stage(model.from_file && self.live.guard, KernelPath::detect())?;
        engine.stage(staged).map_err(|(error, _)| error)?;
        let mut commands = ArrayVec::<_, 2>::new();
        commands.push(kalmind_types::Command::SwapModel(model.id));

        let mut decoded = Decoded {
            intents: Vec::with_capacity(rows.len()),
            unfiltered: Some(Vec::with_capacity(rows.len())),
            fallback_steps: 0,
            step_ns: Histogram::new_with_bounds(1, 60_000_000_000, 3)?,
        };
        let mut input = TickInput::empty();
        let mut spare = Some(Box::new(SampleBlock::with_capacity(NumberFormat::Double64, width, 1)));
        let mut values = vec![0.0; width];
        for row in rows {
            values.copy_from_slice(tables.features.row(row));
            alteration.apply(&mut values);
            let mut block = spare
                .take()
                .unwrap_or_else(|| Box::new(SampleBlock::with_capacity(NumberFormat::Double64, width, 1)));
            fill(&mut block, row as u64, tables.time[row], &values);
            binner.accept(0, block);
            if let Some(next) = displayed(row + 1) {
                commands.push(kalmind_types::Command::PlaceCursor(next));
            }
            while binner.close_next(LslTime(f64::NEG_INFINITY), &commands, &mut input) {
                commands.clear();
                let start = (self.clock)();
                let output = engine.step(&input, &binner);
                decoded.step_ns.saturating_record((((self.clock)() - start) * 1e9) as u64);
                decoded.fallback_steps += u64::from(output.fallback);
                if input.closed_by == BinClose::Sample {
                    let intent = output.intent.ok_or_else(|| {
                        anyhow::anyhow!("row {row}: the decoder gave no finite intent; look for extreme values in the features there")
                    })?;
                    decoded.intents.push(intent);
                    decoded.unfiltered = match (decoded.unfiltered.take(), engine.unfiltered()) {
                        (Some(mut before), Some(mean)) => {
                            let mut unfiltered = Intent::zero(mean.len());
                            unfiltered.mean_mut().copy_from_slice(mean);
                            before.push(unfiltered);
                            Some(before)
                        }
                        _ => None,
                    };
                }
                binner.release(|_, block| spare = Some(block));
            }
        }
        Ok(decoded)
    }
}

fn fill(block: &mut SampleBlock, index: u64, time: f64, values: &[f64]) {
    block.first_index = index;
    block.health = StreamHealth::Live;
    block.received = LslTime(time);
    block.stamps.clear();
    block.stamps.push(StreamTime(time));
    block.values.clear();
    if let Samples::Double64(kept) = &mut block.values {
        kept.extend_from_slice(values);
    }
}
