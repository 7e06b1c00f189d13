//! Windows at events, as they will be cut from the streams that were found.

use kalmind_engine::{Binner, WindowSettings, look_back_rows};
use kalmind_types::{FeatureLayout, LOOK_BACK, Seconds, unlabelled};

use crate::{
    configuration::Window,
    starting::{
        plan::{Plan, PlannedStream},
        plan_error::PlanError,
    },
};

/// The most memory that a stream's samples are kept in, in bytes.
const MOST_BYTES: f64 = 1_073_741_824.0;

/// What becomes of these windows.
///
/// # Errors
/// [`PlanError::Window`].
pub(super) fn planned(
    windows: &[Window],
    streams: &[PlannedStream],
) -> Result<Vec<WindowSettings>, PlanError> {
    windows.iter().map(|window| one(window, streams)).collect()
}

fn one(window: &Window, streams: &[PlannedStream]) -> Result<WindowSettings, PlanError> {
    let wrong = |problem: String| PlanError::Window { name: window.name.clone(), problem };
    let place = streams.iter().position(|stream| stream.inlet.key == window.stream);
    let (place, stream) = place
        .and_then(|place| Some((place, streams.get(place)?)))
        .ok_or_else(|| wrong(format!("there is no stream \"{}\"", window.stream)))?;
    let rate_hz = stream.binning.rate_hz.filter(|rate| *rate > 0.0).ok_or_else(|| {
        wrong(format!("stream \"{}\" is irregular (nominal rate 0); it needs rate_hz there", window.stream))
    })?;
    let count = match window.samples {
        Some(samples) => samples as f64,
        None => (window.length_ms.unwrap_or_default() * rate_hz / 1e3).round().max(1.0),
    };
    if count / rate_hz > LOOK_BACK.0 {
        return Err(wrong(format!(
            "{count} samples of stream \"{}\" are {:.1} s; at most {} s are possible",
            window.stream,
            count / rate_hz,
            LOOK_BACK.0
        )));
    }
    let layout = FeatureLayout::new(core::slice::from_ref(&stream.features))
        .map_err(|error| wrong(error.to_string()))?;
    let count = count as u32;
    let bytes = (look_back_rows(rate_hz, count, Seconds(0.0)) * layout.width() * 8) as f64;
    if bytes > MOST_BYTES {
        return Err(wrong(format!(
            "to keep {} s of stream \"{}\" takes {:.1} GiB of memory, and 1 GiB is the most: give it `stages` that make fewer \
             values of it",
            LOOK_BACK.0,
            window.stream,
            bytes / MOST_BYTES
        )));
    }
    let settings = WindowSettings {
        name: window.name.clone(),
        texts: window.texts.clone(),
        stream: place as u16,
        channels: layout.names(|_, channel| unlabelled(channel)),
        offset: Seconds::from_millis(window.offset_ms),
        count,
        reader: window.reader.clone(),
    };
    match settings.reader() {
        Ok(_) => Ok(settings),
        Err(error) => Err(wrong(error.to_string())),
    }
}

impl Plan {
    /// The binner, cutting the run's windows.
    #[must_use]
    pub fn cut_windows(&self, binner: Binner) -> Binner {
        let width = |place: usize| self.streams.get(place).map_or(0, |stream| stream.features.width());
        binner.with_windows(self.windows.iter().map(WindowSettings::cut).collect(), width)
    }

    /// How many samples of a stream may still be asked for.
    #[must_use]
    pub fn held_samples(&self, place: usize) -> u64 {
        let Some(stream) = self.streams.get(place) else { return 0 };
        let blocks = stream.inlet.blocks * stream.inlet.block_samples;
        let cut = self.windows.iter().filter(|window| usize::from(window.stream) == place);
        let kept = stream.binning.rate_hz.zip(cut.map(|window| window.count).max());
        let wait = self.binner().max_wait;
        (blocks + kept.map_or(0, |(rate_hz, longest)| look_back_rows(rate_hz, longest, wait))) as u64
    }
}
