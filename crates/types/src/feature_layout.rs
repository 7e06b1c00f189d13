//! The features of a run, one after the other: where each comes from, and which channel masks it.

use core::ops::Range;
use std::collections::HashSet;

use crate::{Binning, ChannelMask, FeatureSet, StreamFeatures};

/// The most features that can be decoded from.
pub const MAX_FEATURES: usize = 16_384;

/// Why streams cannot make a feature vector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// No stream, or only streams without channels: there would be nothing to decode.
    #[error("no features: name at least one stream with at least one channel")]
    NoFeatures,
    /// More features than can be decoded from.
    #[error(
        "{features} features in all, but at most {MAX_FEATURES} can be decoded from; choose fewer channels"
    )]
    TooManyFeatures {
        /// Features of all streams together (saturating).
        features: usize,
    },
    /// A stream names more or fewer labels than it has channels.
    #[error("stream {stream} has {channels} channels but {labels} labels")]
    Labels {
        /// Position of the stream in the configuration, from 0.
        stream: usize,
        /// Its channels.
        channels: usize,
        /// Its labels.
        labels: usize,
    },
    /// A feature is said to come from a channel that its stream does not have, or from an empty run of channels.
    #[error(
        "stream {stream}: feature \"{name}\" cannot come from channels {from} to {end} (end not included) of {channels}"
    )]
    Channels {
        /// Position of the stream in the configuration, from 0.
        stream: usize,
        /// The feature's name.
        name: String,
        /// First channel.
        from: usize,
        /// Channel past the last.
        end: usize,
        /// Channels of the stream.
        channels: usize,
    },
    /// Two features of a stream have one name, or one has none.
    #[error("stream {stream}: \"{name}\" is the name of two features, or of none")]
    Name {
        /// Position of the stream in the configuration, from 0.
        stream: usize,
        /// The name.
        name: String,
    },
}

/// One feature: a number of every bin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// What it is called; `None` where its channel has no label.
    pub name: Option<String>,
    /// Its unit; empty where nobody states one.
    pub unit: String,
    /// Position of its stream in the configuration, from 0.
    pub stream: usize,
    /// Its own channel: the one of its stream whose mask masks it. `None` where no single one does.
    pub channel: Option<usize>,
    /// The channels of its stream that it is made of, as runs.
    pub sources: Vec<Range<usize>>,
}

/// Where one stream stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    binning: Binning,
    features: Range<usize>,
    /// Whether its features are its channels.
    by_channel: bool,
    /// Its first channel, counted over the channels of all streams.
    first_channel: usize,
    labels: Option<Vec<String>>,
}

/// The features of a run in the order of the vector: streams in the configuration's order, and of each its channels, or what
/// is made of them.
///
/// Made here and nowhere else, of the settings that configuration, model and recording carry. Plain data; whoever uses it
/// on the tick has built it before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureLayout {
    features: Vec<Feature>,
    streams: Vec<Place>,
}

impl FeatureLayout {
    /// Lays out the features of these streams.
    ///
    /// # Errors
    /// [`LayoutError`].
    pub fn new(streams: &[StreamFeatures]) -> Result<Self, LayoutError> {
        let width = Self::count(streams);
        if width == 0 {
            return Err(LayoutError::NoFeatures);
        }
        if width > MAX_FEATURES {
            return Err(LayoutError::TooManyFeatures { features: width });
        }
        let mut layout = Self { features: Vec::with_capacity(width), streams: Vec::new() };
        let mut first_channel = 0;
        for (stream, from) in streams.iter().enumerate() {
            check(stream, from)?;
            let first = layout.features.len();
            match &from.outputs {
                None => layout.features.extend((0..from.channels).map(|channel| Feature {
                    name: from.labels.as_ref().and_then(|labels| labels.get(channel)).cloned(),
                    unit: String::new(),
                    stream,
                    channel: Some(channel),
                    sources: alone(channel),
                })),
                Some(outputs) => layout.features.extend(outputs.iter().map(|output| Feature {
                    name: Some(output.name.clone()),
                    unit: output.unit.clone(),
                    stream,
                    channel: output.channel,
                    sources: match output.channel {
                        Some(own) if output.sources.is_empty() => alone(own),
                        _ => output.sources.clone(),
                    },
                })),
            }
            layout.streams.push(Place {
                binning: from.binning,
                features: first..layout.features.len(),
                by_channel: from.outputs.is_none(),
                first_channel,
                labels: from.labels.clone(),
            });
            first_channel = first_channel.saturating_add(from.channels);
        }
        Ok(layout)
    }

    /// How many features these streams have in all (saturating), whether or not they can be laid out.
    #[must_use]
    pub fn count(streams: &[StreamFeatures]) -> usize {
        streams.iter().fold(0, |sum: usize, stream| sum.saturating_add(stream.width()))
    }

    /// Number of features.
    #[must_use]
    pub fn width(&self) -> usize {
        self.features.len()
    }

    /// The features, in order.
    #[must_use]
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// Each stream's binning, and where its features stand.
    pub fn streams(&self) -> impl Iterator<Item = (Binning, Range<usize>)> + '_ {
        self.streams.iter().map(|place| (place.binning, place.features.clone()))
    }

    /// Whether every channel is one feature, and every feature a channel.
    #[must_use]
    pub fn is_by_channel(&self) -> bool {
        self.streams.iter().all(|place| place.by_channel)
    }

    /// The name of every feature; where its channel has no label, what `unnamed` makes of stream and channel.
    pub fn names(&self, unnamed: impl Fn(usize, usize) -> String) -> Vec<String> {
        let name = |feature: &Feature| match (&feature.name, feature.channel) {
            (Some(name), _) => name.clone(),
            (None, channel) => unnamed(feature.stream, channel.unwrap_or_default()),
        };
        self.features.iter().map(name).collect()
    }

    /// The name of every feature, where each has one.
    #[must_use]
    pub fn all_names(&self) -> Option<Vec<String>> {
        self.features.iter().map(|feature| feature.name.clone()).collect()
    }

    /// The channels that these features belong to, each once, as people know them: by label, else by number over all
    /// streams. A feature without a channel of its own has its own name.
    pub fn channel_names(&self, features: impl IntoIterator<Item = usize>) -> Vec<String> {
        let mut told = HashSet::new();
        let name = |feature: &Feature| {
            let Some(channel) = feature.channel else { return feature.name.clone() };
            let place = self.streams.get(feature.stream)?;
            let label = place.labels.as_ref().and_then(|labels| labels.get(channel)).cloned();
            let is_new = told.insert((feature.stream, channel));
            is_new.then(|| label.unwrap_or_else(|| (place.first_channel + channel).to_string()))
        };
        features.into_iter().filter_map(|at| self.features.get(at)).filter_map(name).collect()
    }

    /// Makes `off` the features that a mask switches off: those whose own channel it names. Real-time; one look at every
    /// feature, so for when the mask is another one than before.
    pub fn switch_off(&self, mask: &ChannelMask, off: &mut FeatureSet) {
        off.clear();
        for (at, feature) in self.features.iter().enumerate() {
            if self.is_off(mask, feature) {
                off.insert(at);
            }
        }
    }

    /// The features that a mask switches off.
    #[must_use]
    pub fn switched_off(&self, mask: &ChannelMask) -> FeatureSet {
        let mut off = FeatureSet::none_of(self.width());
        self.switch_off(mask, &mut off);
        off
    }

    /// The values of a bin, but not a number where a mask switches the feature off: what is switched off when the decoder runs
    /// must not teach it either.
    pub fn in_use<'a>(&'a self, mask: &'a ChannelMask, values: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        let features = values.iter().zip(&self.features);
        features.map(|(value, feature)| if self.is_off(mask, feature) { f64::NAN } else { *value })
    }

    fn is_off(&self, mask: &ChannelMask, feature: &Feature) -> bool {
        let Some(channel) = feature.channel else { return false };
        // past the first stream's channels nothing but a mask of format 1 names any, and goes on in the next stream
        let counted_on = || {
            let place = self.streams.get(feature.stream).filter(|place| place.first_channel > 0);
            place.is_some_and(|place| mask.is_masked(0, place.first_channel.saturating_add(channel)))
        };
        mask.is_masked(feature.stream, channel) || counted_on()
    }
}

/// A channel as a run.
fn alone(channel: usize) -> Vec<Range<usize>> {
    core::iter::once(channel..channel + 1).collect()
}

fn check(stream: usize, from: &StreamFeatures) -> Result<(), LayoutError> {
    let channels = from.channels;
    if let Some(labels) = &from.labels
        && labels.len() != channels
    {
        return Err(LayoutError::Labels { stream, channels, labels: labels.len() });
    }
    let mut names = HashSet::new();
    for output in from.outputs.iter().flatten() {
        let name = output.name.clone();
        if name.is_empty() || !names.insert(&output.name) {
            return Err(LayoutError::Name { stream, name });
        }
        let own = output.channel.map(|channel| channel..channel.saturating_add(1));
        if let Some(run) = own.iter().chain(&output.sources).find(|run| run.is_empty() || run.end > channels)
        {
            return Err(LayoutError::Channels { stream, name, from: run.start, end: run.end, channels });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StreamOutput;

    const BANDS: [&str; 5] = ["delta", "theta", "alpha", "beta", "gamma"];

    /// An array of so many channels, five bands each, and one number made of all of them; then three raw channels.
    fn bands(channels: usize) -> Vec<StreamFeatures> {
        let of = |channel: usize| {
            BANDS.map(|band| StreamOutput {
                name: format!("e{channel} {band}"),
                unit: "uV2".to_owned(),
                channel: Some(channel),
                sources: Vec::new(),
            })
        };
        let whole = StreamOutput {
            name: "mean".to_owned(),
            unit: "uV".to_owned(),
            channel: None,
            sources: core::iter::once(0..channels).collect(),
        };
        let array = StreamFeatures {
            outputs: Some((0..channels).flat_map(of).chain([whole]).collect()),
            ..StreamFeatures::of_channels(Binning::Mean, channels, None)
        };
        let labels = ["x", "y", "z"].map(str::to_owned).to_vec();
        vec![array, StreamFeatures::of_channels(Binning::Sum, 3, Some(labels))]
    }

    fn layout(streams: &[StreamFeatures]) -> FeatureLayout {
        FeatureLayout::new(streams).unwrap()
    }

    fn mask(channels: &[(usize, usize)]) -> ChannelMask {
        let mut mask = ChannelMask::default();
        for (stream, channel) in channels {
            assert!(mask.mask(*stream, *channel));
        }
        mask
    }

    fn off(streams: &[StreamFeatures], mask: &ChannelMask) -> Vec<usize> {
        layout(streams).switched_off(mask).features().collect()
    }

    #[test]
    fn the_mask_of_a_channel_masks_its_five_features_and_nothing_made_of_all_channels() {
        let streams = bands(256);
        let layout = layout(&streams);
        assert_eq!(layout.width(), 256 * 5 + 1 + 3);
        let of = |at: usize| &layout.features()[at];
        assert_eq!((of(86).name.as_deref(), of(86).unit.as_str()), (Some("e17 theta"), "uV2"));
        assert_eq!((of(86).sources[0].clone(), of(1280).sources[0].clone()), (17..18, 0..256));
        assert_eq!((of(1282).stream, of(1282).channel, of(1282).name.as_deref()), (1, Some(1), Some("y")));
        assert_eq!(off(&streams, &mask(&[(0, 17), (1, 2)])), [85, 86, 87, 88, 89, 1283]);
        assert!(off(&streams, &ChannelMask::default()).is_empty());
        assert!(!layout.is_by_channel());
    }

    #[test]
    fn what_is_switched_off_is_no_number_for_a_fit() {
        let layout = layout(&[StreamFeatures::of_channels(Binning::Mean, 3, None)]);
        let used: Vec<f64> = layout.in_use(&mask(&[(0, 1)]), &[1.0, 2.0, 3.0]).collect();
        let bits: Vec<u64> = used.iter().map(|value| value.to_bits()).collect();
        assert_eq!(bits, [1.0, f64::NAN, 3.0].map(f64::to_bits));
        assert!(layout.is_by_channel());
    }

    #[test]
    fn words_of_an_older_recording_count_the_channels_of_all_streams_on() {
        let streams = [2, 3, 1].map(|channels| StreamFeatures::of_channels(Binning::Mean, channels, None));
        let words: ChannelMask = serde_json::from_str("[42,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]").unwrap();
        assert_eq!(off(&streams, &words), [1, 3, 5], "0b101010");
        assert_eq!(off(&streams, &mask(&[(0, 1), (1, 1), (2, 0)])), [1, 3, 5]);
    }

    #[test]
    fn channels_are_told_once_by_label_or_number() {
        assert_eq!(layout(&bands(4)).channel_names([5, 6, 7, 12, 20, 22]), ["1", "2", "mean", "y"]);
        let plain = [2, 2].map(|channels| StreamFeatures::of_channels(Binning::Mean, channels, None));
        assert_eq!(layout(&plain).channel_names([1, 3]), ["1", "3"]);
        let names = layout(&plain).names(|stream, channel| format!("{stream}.{channel}"));
        assert_eq!(names, ["0.0", "0.1", "1.0", "1.1"]);
    }

    #[test]
    fn as_many_features_as_can_be_decoded_are_laid_out_and_no_more() {
        let mut streams = vec![StreamFeatures::of_channels(Binning::Mean, 1024, None); 8];
        assert_eq!(layout(&streams).width(), 8192);
        let mut wide = bands(3276);
        assert_eq!(layout(&wide).width(), MAX_FEATURES);
        wide[1].channels += 1;
        wide[1].labels = None;
        assert_eq!(FeatureLayout::new(&wide), Err(LayoutError::TooManyFeatures { features: 16_385 }));
        streams[3].channels = usize::MAX;
        assert_eq!(FeatureLayout::new(&streams), Err(LayoutError::TooManyFeatures { features: usize::MAX }));
        assert_eq!(FeatureLayout::new(&[]), Err(LayoutError::NoFeatures));
    }

    /// How a test makes an output another one.
    type Change = fn(&mut StreamOutput);

    #[test]
    fn impossible_outputs_are_refused_by_name() {
        let refused = |change: Change| {
            let mut streams = bands(4);
            streams[0].outputs.iter_mut().flatten().nth(7).into_iter().for_each(change);
            FeatureLayout::new(&streams).unwrap_err().to_string()
        };
        let wrong: [(Change, &str); 5] = [
            (|output| output.channel = Some(4), "\"e1 alpha\" cannot come from channels 4 to 5"),
            (
                |output| output.sources = core::iter::once(2..9).collect(),
                "channels 2 to 9 (end not included) of 4",
            ),
            (|output| output.sources = core::iter::once(2..2).collect(), "channels 2 to 2"),
            (|output| output.name = "e0 delta".to_owned(), "\"e0 delta\" is the name of two"),
            (|output| output.name.clear(), "or of none"),
        ];
        for (change, expected) in wrong {
            assert!(refused(change).contains(expected), "{}", refused(change));
        }
    }
}
