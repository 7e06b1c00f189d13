//! Which of each stream's samples a stretch of a recording is.

use std::{ops::ControlFlow, path::Path};

use encoding_rs::Encoding;
use kalmind_recording::{
    signals::visit_streams,
    xdf::{
        recording::{Recorded, SampleChunk},
        synchronization::ClockCorrections,
    },
};
use kalmind_types::LslTime;

use super::{FeatureStream, FeaturesError};

/// When a stretch was.
#[derive(Clone, Debug, PartialEq)]
pub enum Stretch {
    /// In seconds from each stream's first sample, by its own stamps.
    Seconds([f64; 2]),
    /// On the recorder's clock, each stream's stamps corrected by its clock offsets.
    Clock([LslTime; 2]),
    /// Of each stream, by its key, the samples from one to before another, counted from its first in the file; and what they are in
    /// seconds.
    Samples {
        /// The samples.
        of: Vec<(String, [u64; 2])>,
        /// The seconds.
        seconds: [f64; 2],
    },
}

/// A stretch as it was found in a recording.
pub(super) struct Found {
    /// Of each stream, the samples from one to before another.
    pub(super) samples: Vec<[u64; 2]>,
    /// The same in seconds from the first sample of the stream that began first.
    pub(super) seconds: [f64; 2],
    /// How long each stream is, as far as it was looked at.
    pub(super) lengths_s: Vec<f64>,
}

/// A stream whose samples are looked for.
struct Search {
    id: u32,
    corrections: ClockCorrections,
    /// Index of the next sample.
    next: u64,
    /// When the first sample was, and the newest.
    first: Option<f64>,
    last: f64,
    samples: [Option<u64>; 2],
}

impl Search {
    /// Looks at a chunk's stamps.
    fn look(&mut self, stamps: &[f64], stretch: &Stretch) {
        for stamp in stamps.iter().copied() {
            if stamp.is_finite() {
                let [from, to] = match stretch {
                    Stretch::Clock(times) => times.map(|time| time.0),
                    Stretch::Seconds(seconds) => *seconds,
                    Stretch::Samples { .. } => return,
                };
                let time = match stretch {
                    Stretch::Clock(_) => stamp + self.corrections.at(stamp),
                    _ => stamp - *self.first.get_or_insert(stamp),
                };
                self.last = time
                    - if matches!(stretch, Stretch::Clock(_)) {
                        *self.first.get_or_insert(time)
                    } else {
                        0.0
                    };
                if time >= from {
                    self.samples[0].get_or_insert(self.next);
                }
                if time >= to && self.samples[0].is_some() {
                    self.samples[1].get_or_insert(self.next);
                }
            }
            self.next += 1;
        }
    }
}

impl Stretch {
    /// Which samples it is of these streams, in one pass over the file.
    pub(super) fn find(
        &self,
        (path, recorded): (&Path, &Recorded),
        streams: &[&FeatureStream],
        encoding: Option<&'static Encoding>,
    ) -> Result<Found, FeaturesError> {
        if let Self::Samples { of, seconds } = self {
            return of_known(of, *seconds, streams);
        }
        let of_stream =
            |stream: &&FeatureStream| recorded.streams.iter().find(|recorded| Some(recorded.id) == stream.id);
        let mut searches: Vec<Option<Search>> = streams
            .iter()
            .map(|stream| {
                let recorded = of_stream(stream)?;
                let corrections = ClockCorrections::of(&recorded.clock_offsets);
                Some(Search {
                    id: recorded.id,
                    corrections,
                    next: 0,
                    first: None,
                    last: 0.0,
                    samples: [None; 2],
                })
            })
            .collect();
        visit_streams(
            path,
            encoding,
            |header| !streams.iter().filter_map(of_stream).any(|recorded| recorded.header == *header),
            |SampleChunk { stream, stamps, .. }| {
                let mut all_found = true;
                for search in searches.iter_mut().flatten() {
                    if search.id == stream {
                        search.look(stamps, self);
                    }
                    all_found &= search.samples[1].is_some();
                }
                if all_found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        )
        .map_err(|source| FeaturesError::Unreadable { path: path.to_owned(), source })?;
        let samples = searches.iter().map(|search| match search {
            None => [0, 0],
            Some(Search { next, samples: [from, to], .. }) => [from.unwrap_or(*next), to.unwrap_or(*next)],
        });
        let samples = samples.collect();
        let lengths_s =
            searches.iter().map(|search| search.as_ref().map_or(0.0, |search| search.last)).collect();
        let seconds = match self {
            Self::Clock(times) => {
                let begin = searches.iter().flatten().filter_map(|search| search.first).reduce(f64::min);
                times.map(|time| ((time.0 - begin.unwrap_or(time.0)) * 1e3).round() / 1e3)
            }
            Self::Seconds(seconds) | Self::Samples { seconds, .. } => *seconds,
        };
        Ok(Found { samples, seconds, lengths_s })
    }
}

/// The samples that are known of each stream.
fn of_known(
    known: &[(String, [u64; 2])],
    seconds: [f64; 2],
    streams: &[&FeatureStream],
) -> Result<Found, FeaturesError> {
    let samples = streams.iter().map(|stream| {
        let known = known.iter().find(|(key, _)| *key == stream.key);
        known.map(|(_, samples)| *samples).ok_or_else(|| FeaturesError::Reference {
            key: stream.called.clone(),
            problem: "the other reference was learnt of no samples of this stream".to_owned(),
        })
    });
    let samples: Vec<[u64; 2]> = samples.collect::<Result<_, _>>()?;
    let lengths_s = vec![seconds[1]; samples.len()];
    Ok(Found { samples, seconds, lengths_s })
}
