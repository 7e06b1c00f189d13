//! `[reference]`: what a stretch of rest fixed of the stages.

use std::path::{Path, PathBuf};

use kalmind_offline::features::{AverageBy, ReferenceDocument, ReferenceOptions, ScaleBy, unlearnt};
use kalmind_signal::{ChannelName, StageSettings};

use super::{
    input::Stream,
    rule::Rule,
    table::{choices, table},
};

choices!(ScaleBy { Rms => "rms", Mad => "mad" });
choices!(AverageBy { All => "all", Quietest => "quietest", Regression => "regression" });

table! {
    /// What a stretch of rest fixes of the stages: thresholds of spikes, weights, quietest and dead channels, as one generation
    /// apart from any decoder. `kalmind reference` learns it from a recording, a `rest` block of a session while it runs.
    pub struct Reference {
        /// The file; a relative path starts at this file's folder. What it says of thresholds and references takes
        /// the place of what the streams' stages say; all else of these has to be as it was when that was learnt.
        file: Option<PathBuf> = None, or "settings under `stages` count as they stand";
        /// What a `rest` block makes the thresholds of spikes a multiple of: the root mean square, or the median absolute
        /// deviation over 0.6745.
        scale: ScaleBy = ScaleBy::Rms;
        /// What a `rest` block makes of common averages: of all channels but dead ones, of the quietest of each array, or
        /// regressions.
        average: AverageBy = AverageBy::All;
        /// With `average = "quietest"`: how many channels of each array.
        quietest: usize = 32, in Rule::Between(1.0, 65_535.0);
        /// With `average = "regression"`: its penalty, as part of the mean variance of an array's channels.
        ridge: f64 = 1e-3, in Rule::Between(1e-6, 1e3);
    }
    beside {
        /// What is in force of that.
        learnt: Option<Box<Learnt>>
    }
}

/// What was learnt of a stretch of rest, in the place of the streams' own stages.
#[derive(Clone, Debug, PartialEq)]
pub struct Learnt {
    /// Its file.
    pub file: PathBuf,
    /// What it says.
    pub document: ReferenceDocument,
    /// The streams' stages as they were written.
    pub(super) written: Vec<Vec<StageSettings>>,
}

impl Reference {
    /// What a `rest` block learns.
    #[must_use]
    pub fn options(&self) -> ReferenceOptions {
        let Self { scale, average, quietest, ridge, .. } = *self;
        ReferenceOptions { scale, average, quietest, ridge }
    }
}

/// What was learnt, as its file has it.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn read_reference(file: &Path) -> Result<ReferenceDocument, String> {
    let bytes = std::fs::read(file).map_err(|error| error.to_string())?;
    let learnt: ReferenceDocument = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if learnt.format != 1 {
        return Err(format!("it is of version {}, and this program reads version 1", learnt.format));
    }
    Ok(learnt)
}

/// Puts what was learnt in the place of the streams' own stages.
pub(super) fn apply(learnt: &ReferenceDocument, streams: &mut [Stream]) -> Result<(), String> {
    let mut applied = streams.to_vec();
    for of in &learnt.streams {
        let Some(stream) = applied.iter_mut().find(|stream| stream.key() == of.key) else {
            return Err(format!("it is of a stream \"{}\", which is not configured", of.key));
        };
        let names =
            |stages: &[StageSettings]| stages.iter().map(StageSettings::name).collect::<Vec<_>>().join(", ");
        let (configured, known) = (names(&stream.stages), names(&of.stages.0));
        if configured != known {
            return Err(format!(
                "stream \"{}\" has the stages {configured}, and it was learnt for {known}: learn it anew",
                of.key
            ));
        }
        let pairs = stream.stages.iter().zip(&of.stages.0).enumerate();
        for (place, (configured, known)) in pairs {
            if let Some(channel) = no_more_excluded(configured, known) {
                return Err(format!(
                    "stage {} (reference) of stream \"{}\" leaves out channel {channel:?} now, which it did not when this was \
                     learnt: learn it anew",
                    place + 1,
                    of.key
                ));
            }
            if unlearnt(configured) != unlearnt(known) {
                return Err(format!(
                    "stage {} ({}) of stream \"{}\" has other settings than it was learnt for: learn it anew",
                    place + 1,
                    configured.name(),
                    of.key
                ));
            }
        }
        if stream.rate_hz.is_some_and(|rate_hz| (rate_hz - of.rate_hz).abs() > 1e-9 * rate_hz) {
            return Err(format!(
                "stream \"{}\" has another rate than the {} Hz that it was learnt for: learn it anew",
                of.key, of.rate_hz
            ));
        }
        stream.stages.clone_from(&of.stages.0);
    }
    streams.clone_from_slice(&applied);
    Ok(())
}

/// A channel that a reference leaves out as it is configured, and not as it was learnt; a dead one may be left out besides.
fn no_more_excluded<'a>(configured: &'a StageSettings, learnt: &StageSettings) -> Option<&'a ChannelName> {
    let (StageSettings::Reference(configured), StageSettings::Reference(learnt)) = (configured, learnt)
    else {
        return None;
    };
    configured.excluded.iter().find(|channel| !learnt.excluded.contains(channel))
}

#[cfg(test)]
mod tests {
    use kalmind_offline::features::ReferenceStream;
    use kalmind_signal::ChainSettings;

    use super::*;

    fn stages(excluded: &str) -> Vec<StageSettings> {
        let text =
            format!(r#"[{{"stage": "reference", "kind": "common_average", "excluded": [{excluded}]}}]"#);
        serde_json::from_str(&text).expect("stages")
    }

    #[test]
    fn what_was_learnt_leaves_out_what_is_configured_to_be_left_out() {
        let stream = Stream { key: Some("array".to_owned()), stages: stages("3"), ..Stream::default() };
        let with = |excluded: &str| ReferenceDocument {
            format: 1,
            name: "rest".to_owned(),
            made: None,
            recording: "rest.xdf".to_owned(),
            seconds: [0.0, 60.0],
            streams: vec![ReferenceStream {
                key: "array".to_owned(),
                rate_hz: 1000.0,
                samples: None,
                channels: Vec::new(),
                stages: ChainSettings(stages(excluded)),
            }],
            warnings: Vec::new(),
        };
        let mut streams = [stream];
        let refused = apply(&with("5"), &mut streams).expect_err("3 is not left out");
        assert!(refused.contains("leaves out channel") && refused.contains('3'), "{refused}");
        assert_eq!(streams[0].stages, stages("3"), "unchanged");
        apply(&with("3, 5"), &mut streams).expect("5 was dead as well");
        assert_eq!(streams[0].stages, stages("3, 5"));
    }
}
