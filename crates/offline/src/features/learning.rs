//! What a stretch of rest fixes of one stage: thresholds, dead and quietest channels, weights.

use kalmind_fitting::regression_reference;
use kalmind_signal::{ChannelName, ReferenceKind, StageSettings};

use super::{
    pieces::{FlatPieces, Pieces},
    reference_document::{AverageBy, ReferenceOptions, ScaleBy},
};

/// A channel whose root mean square is less than this part of the median channel's is dead.
const DEAD: f64 = 1e-3;
/// The median absolute deviation of a normal distribution, as part of its standard deviation: the 0.75 quantile.
const MAD_OF_NORMAL: f64 = 0.674_489_750_196_081_7;

/// Rows that are kept of a longer stretch, at least, evenly over it; up to twice as many.
const KEPT_ROWS: usize = 60_000;

/// What was gathered of the samples that reach a stage.
pub(super) struct Gathered {
    pub(super) channels: usize,
    /// Kept rows, one after the other; NaN where a value is not valid.
    pub(super) rows: Vec<f64>,
    /// The piece of the stretch that each of these is in, and what came in each.
    pieces_of_rows: Vec<usize>,
    pub(super) pieces: Pieces,
    /// Sums of squares, and how many.
    squares: Vec<(f64, u64)>,
    /// Samples so far, of which each `every`th is kept.
    count: u64,
    every: u64,
    /// Whether they are what stages make, which has no values until these have settled.
    made: bool,
}

impl Gathered {
    /// Nothing yet, of so many channels, of a stream as it is received or as stages make it.
    pub(super) fn new(channels: usize, pieces: Pieces, made: bool) -> Self {
        let (rows, squares) = (Vec::new(), vec![(0.0, 0); channels]);
        Self { channels, rows, pieces_of_rows: Vec::new(), pieces, squares, count: 0, every: 1, made }
    }

    /// The same, of which no rows are kept but the first.
    pub(super) fn without_rows(self) -> Self {
        Self { every: u64::MAX, ..self }
    }

    /// Whether no channel has a valid value.
    pub(super) fn is_without_values(&self) -> bool {
        self.squares.iter().all(|(_, count)| *count == 0)
    }

    /// Takes a sample in, which belongs to this one as it was received.
    pub(super) fn take(&mut self, index: u64, values: &[f64]) {
        let piece = self.pieces.of(index);
        self.pieces.take(piece, values, self.made);
        for ((sum, count), value) in
            self.squares.iter_mut().zip(values).filter(|(_, value)| value.is_finite())
        {
            (*sum, *count) = (*sum + value * value, *count + 1);
        }
        if self.count.is_multiple_of(self.every) {
            self.rows.extend_from_slice(values);
            self.pieces_of_rows.push(piece);
        }
        self.count += 1;
        if self.rows.len() >= 2 * KEPT_ROWS * self.channels.max(1) {
            self.thin();
        }
    }

    /// Keeps every second row.
    fn thin(&mut self) {
        let channels = self.channels.max(1);
        let kept = (self.rows.len() / channels).div_ceil(2);
        for row in 1..kept {
            let from = 2 * row * channels;
            self.rows.copy_within(from..from + channels, row * channels);
            self.pieces_of_rows[row] = self.pieces_of_rows[2 * row];
        }
        self.pieces_of_rows.truncate(kept);
        self.rows.truncate(kept * channels);
        self.every *= 2;
    }

    /// The root mean square of each channel, where it was not flat; 0 without a valid value.
    fn root_mean_squares(&self, flat: &FlatPieces) -> Vec<f64> {
        let of = |(channel, (sum, count)): (usize, &(f64, u64))| match count {
            0 => 0.0,
            _ if flat.is_ever(channel) => self.pieces.root_mean_square(channel, flat),
            _ => (sum / *count as f64).sqrt(),
        };
        self.squares.iter().enumerate().map(of).collect()
    }

    /// The median absolute deviation of each channel from its median, where it was not flat, as a standard deviation.
    fn deviations(&self, flat: &FlatPieces) -> Vec<f64> {
        let of = |channel: usize| {
            let values = self.rows.iter().skip(channel).step_by(self.channels).zip(&self.pieces_of_rows);
            let alive = values.filter(|(value, piece)| value.is_finite() && !flat.is(channel, **piece));
            let mut values: Vec<f64> = alive.map(|(value, _)| *value).collect();
            let middle = median(&mut values);
            for value in &mut values {
                *value = (*value - middle).abs();
            }
            median(&mut values) / MAD_OF_NORMAL
        };
        (0..self.channels).map(of).collect()
    }
}

/// The median; 0 of nothing.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let count = values.len();
    match (values.get(count / 2), values.get(count.wrapping_sub(1) / 2)) {
        (Some(upper), Some(lower)) => f64::midpoint(*lower, *upper),
        _ => 0.0,
    }
}

/// A stage without what a stretch of rest fixes of it: what has to be as it was when that was learnt.
#[must_use]
pub fn unlearnt(stage: &StageSettings) -> StageSettings {
    let mut stage = stage.clone();
    match &mut stage {
        StageSettings::Spikes(spikes) => spikes.scales.clear(),
        StageSettings::Reference(reference) => {
            // a common average may have become a regression
            if reference.kind == ReferenceKind::Regression {
                reference.kind = ReferenceKind::CommonAverage;
            }
            reference.excluded.clear();
            reference.average_of.clear();
            reference.weights.clear();
        }
        _ => {}
    }
    stage
}

/// What has to be said where fewer than half of the rows are `left`: the channels that took them.
fn few_rows(
    gathered: &Gathered,
    flat: &FlatPieces,
    excluded: &[usize],
    left: usize,
    name: &dyn Fn(usize) -> String,
) -> Option<String> {
    // before filters have settled there is nothing that a channel could take
    let has_value = |row: &[f64]| !gathered.made || row.iter().any(|value| value.is_finite());
    let known = || {
        let rows = gathered.rows.chunks_exact(gathered.channels.max(1)).zip(&gathered.pieces_of_rows);
        rows.filter(|(row, _)| has_value(row))
    };
    let all = known().count();
    if 2 * left >= all {
        return None;
    }
    let takes = |channel: usize| {
        let takes = |row: &[f64], piece: usize| {
            row.get(channel).is_none_or(|value| !value.is_finite()) || flat.is(channel, piece)
        };
        known().filter(|(row, piece)| takes(row, **piece)).count()
    };
    let took: Vec<String> = (0..gathered.channels)
        .filter(|channel| !excluded.contains(channel))
        .map(|channel| (channel, takes(channel)))
        .filter(|(_, rows)| *rows > 0)
        .map(|(channel, rows)| format!("{} ({:.0} %)", name(channel), 100.0 * rows as f64 / all as f64))
        .collect();
    Some(format!(
        "the regression has {:.0} % of the stretch to learn from, since channels were flat or not valid at different times: {}",
        100.0 * left as f64 / all as f64,
        took.join(", ")
    ))
}

/// Fixes what a stage takes from the stretch; what to know of it, a sentence each.
pub(super) fn learn(
    stage: &mut StageSettings,
    gathered: &Gathered,
    flat: &FlatPieces,
    options: &ReferenceOptions,
    name: &dyn Fn(usize) -> String,
) -> Result<Vec<String>, String> {
    let sizes = gathered.root_mean_squares(flat);
    let usual = median(&mut sizes.clone());
    let is_dead = |channel: &usize| {
        flat.is_dead(*channel) || sizes.get(*channel).is_none_or(|size| *size <= DEAD * usual)
    };
    let dead: Vec<usize> = (0..gathered.channels).filter(is_dead).collect();
    let dead_one = |channel: usize| {
        let how_long = flat.told(channel).map(|told| format!(" ({told})")).unwrap_or_default();
        format!("channel {} is dead{how_long}", name(channel))
    };
    let mut told = Vec::new();
    match stage {
        StageSettings::Spikes(spikes) => {
            let mut scales = match options.scale {
                ScaleBy::Rms => sizes.clone(),
                ScaleBy::Mad => gathered.deviations(flat),
            };
            for channel in &dead {
                scales[*channel] = 0.0;
                told.push(format!("{}: it has no threshold, and no valid count", dead_one(*channel)));
            }
            for channel in (0..gathered.channels).filter(|channel| !dead.contains(channel)) {
                if let Some(how_long) = flat.told(channel) {
                    let name = name(channel);
                    told.push(format!("channel {name} was {how_long}: its threshold is of the rest of them"));
                }
            }
            spikes.scales = scales;
        }
        StageSettings::Reference(reference) => {
            for channel in &dead {
                if !reference.excluded.contains(&ChannelName::Index(*channel)) {
                    reference.excluded.push(ChannelName::Index(*channel));
                    told.push(format!("{}: it is left out of the reference", dead_one(*channel)));
                }
            }
            let arrays = reference.members(gathered.channels);
            let excluded: Vec<usize> = (0..gathered.channels)
                .filter(|channel| {
                    let is_named = |excluded: &ChannelName| match excluded {
                        ChannelName::Index(index) => index == channel,
                        ChannelName::Label(label) => *label == name(*channel),
                    };
                    reference.excluded.iter().any(is_named)
                })
                .collect();
            if reference.kind == ReferenceKind::Regression || options.average == AverageBy::Regression {
                // a row in which a channel is not valid, or flat, says nothing of how they go together
                let whole: Vec<f64> = gathered
                    .rows
                    .chunks_exact(gathered.channels)
                    .zip(&gathered.pieces_of_rows)
                    .filter(|(row, piece)| {
                        row.iter().enumerate().all(|(at, value)| {
                            excluded.contains(&at) || (value.is_finite() && !flat.is(at, **piece))
                        })
                    })
                    .flat_map(|(row, _)| row.iter().map(|value| if value.is_finite() { *value } else { 0.0 }))
                    .collect();
                let few = few_rows(gathered, flat, &excluded, whole.len() / gathered.channels.max(1), name);
                let learnt =
                    regression_reference(&whole, gathered.channels, &arrays, &excluded, options.ridge)
                        .map_err(|error| {
                            few.as_ref().map_or_else(|| error.to_string(), |few| format!("{few}: {error}"))
                        })?;
                told.extend(few);
                let leaning = learnt.leaning.iter().map(|leaning| {
                    let (channel, neighbour) = (name(leaning.channel), name(leaning.neighbour));
                    format!(
                        "{:.0} % of what is taken away from channel {channel} is of channel {neighbour}: where these see the same \
                         units, regression takes their spikes away; use a common average",
                        100.0 * leaning.share
                    )
                });
                told.extend(leaning);
                reference.kind = ReferenceKind::Regression;
                (reference.weights, reference.average_of) = (learnt.weights, Vec::new());
            } else if options.average == AverageBy::Quietest {
                reference.average_of.clear();
                for array in arrays {
                    let mut members: Vec<usize> =
                        array.into_iter().filter(|channel| !excluded.contains(channel)).collect();
                    members.sort_by(|one, other| sizes[*one].total_cmp(&sizes[*other]).then(one.cmp(other)));
                    members.truncate(options.quietest.max(1));
                    members.sort_unstable();
                    reference.average_of.extend(members.into_iter().map(ChannelName::Index));
                }
            }
        }
        _ => {}
    }
    Ok(told)
}
