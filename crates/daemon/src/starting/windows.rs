//! Windows at events, as they will be cut from the streams that were found.

use kalmind_engine::{WindowSettings, look_back_rows};
use kalmind_types::{FeatureLayout, LOOK_BACK, Seconds, unlabelled};

use crate::{
    configuration::Window,
    starting::{plan_error::PlanError, planned_stream::PlannedStream},
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
    let wrong = |problem: String| PlanError::Window { key: window.key.clone(), problem };
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
        name: window.key.clone(),
        texts: window.texts.clone(),
        stream: place as u16,
        channels: layout.names(|_, channel| unlabelled(channel)),
        offset: Seconds::from_millis(window.offset_ms),
        count,
        reader: window.reader.clone(),
    };
    match settings.reader() {
        Ok(_) => Ok(settings),
        Err(error) => Err(wrong(error.error.to_string())),
    }
}
