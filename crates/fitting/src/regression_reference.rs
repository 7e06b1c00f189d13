//! Regression referencing: what the other channels of its array say about each channel, learnt from a stretch of rest.

use core::ops::Range;

use nalgebra::{Cholesky, DMatrix};

/// A neighbour with more than this share of a channel's weight takes most of it.
const MOST: f64 = 0.5;

/// Rows whose products are added up at once.
const ROWS: usize = 1024;

/// Weights of the others in each channel, and whom they lean on.
#[derive(Clone, Debug, PartialEq)]
pub struct RegressionReference {
    /// A row for each channel: what of each other one is taken away from it. The stage `reference` of kind `regression` takes
    /// them as they are.
    pub weights: Vec<Vec<f64>>,
    /// Channels of which one neighbour takes most of the weight, so that spikes which both see would be taken away.
    pub leaning: Vec<Leaning>,
}

/// A channel of which one neighbour takes most of the weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leaning {
    /// The channel.
    pub channel: usize,
    /// The neighbour.
    pub neighbour: usize,
    /// Its share of the weight, by size.
    pub share: f64,
}

impl core::fmt::Display for Leaning {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            formatter,
            "{:.0} % of what is taken away from channel {} is of channel {}: where these see the same units, regression takes \
             their spikes away; use a common average",
            100.0 * self.share,
            self.channel,
            self.neighbour
        )
    }
}

/// Why weights cannot be learnt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegressionReferenceError {
    /// There are no whole rows, or fewer than two.
    #[error("{values} values are no two whole rows of {channels} channels")]
    Rows {
        /// Values given.
        values: usize,
        /// Channels of a row.
        channels: usize,
    },
    /// An array is not inside the channels, or empty.
    #[error("there are {channels} channels, so {}..{} is no array of them", array.start, array.end)]
    Array {
        /// From its first channel to its last one.
        array: Range<usize>,
        /// Channels of a row.
        channels: usize,
    },
    /// A value is not finite, or the channels depend on one another and there is no ridge.
    #[error("the channels of {}..{} cannot be told apart; a ridge above 0 is needed, and finite values", array.start, array.end)]
    Singular {
        /// From its first channel to its last one.
        array: Range<usize>,
    },
}

/// Learns, for each channel of each array (its channels, rising), the ridge regression on its others (Young and others 2018): from rows of `channels`
/// values, filtered as what will be referenced, less their means. The penalty is `ridge` times the mean variance of an
/// array's channels. Channels in `excluded` have no weight, and no weights.
///
/// With the inverse `P` of an array's covariance and penalty, the weight of channel j in channel i is `-P_ij / P_ii`: one
/// inversion serves all channels of an array.
///
/// # Errors
/// See [`RegressionReferenceError`].
pub fn regression_reference(
    rows: &[f64],
    channels: usize,
    arrays: &[Vec<usize>],
    excluded: &[usize],
    ridge: f64,
) -> Result<RegressionReference, RegressionReferenceError> {
    let is_whole = channels > 0 && rows.len().is_multiple_of(channels) && rows.len() / channels >= 2;
    if !is_whole {
        return Err(RegressionReferenceError::Rows { values: rows.len(), channels });
    }
    let mut weights = vec![vec![0.0; channels]; channels];
    let mut leaning = Vec::new();
    for array in arrays {
        let range = array.first().map_or(0, |first| *first)..array.iter().max().map_or(0, |last| last + 1);
        if range.is_empty() || range.end > channels {
            return Err(RegressionReferenceError::Array { array: range, channels });
        }
        let members: Vec<usize> =
            array.iter().copied().filter(|channel| !excluded.contains(channel)).collect();
        if members.is_empty() {
            continue;
        }
        let mut covariance = covariance(rows, channels, &members);
        let penalty = ridge * covariance.trace() / members.len() as f64;
        for at in 0..members.len() {
            covariance[(at, at)] += penalty;
        }
        let singular = || RegressionReferenceError::Singular { array: range.clone() };
        let inverse = Cholesky::new(covariance).ok_or_else(singular)?.inverse();
        if inverse.iter().any(|value| !value.is_finite()) {
            return Err(singular());
        }
        for (i, channel) in members.iter().enumerate() {
            for (j, other) in members.iter().enumerate().filter(|(j, _)| *j != i) {
                weights[*channel][*other] = -inverse[(i, j)] / inverse[(i, i)];
            }
            leaning.extend(leans(&weights[*channel], *channel, members.len()));
        }
    }
    Ok(RegressionReference { weights, leaning })
}

/// The neighbour that takes most of a channel's weight; in an array of three channels or fewer one always may.
fn leans(weights: &[f64], channel: usize, members: usize) -> Option<Leaning> {
    let all: f64 = weights.iter().map(|weight| weight.abs()).sum();
    let (neighbour, most) = weights
        .iter()
        .map(|weight| weight.abs())
        .enumerate()
        .max_by(|(_, one), (_, other)| one.total_cmp(other))?;
    (members > 3 && most > MOST * all).then(|| Leaning { channel, neighbour, share: most / all })
}

/// The covariance of these channels.
fn covariance(rows: &[f64], channels: usize, members: &[usize]) -> DMatrix<f64> {
    let count = (rows.len() / channels) as f64;
    let mean = |channel: &usize| rows.iter().skip(*channel).step_by(channels).sum::<f64>() / count;
    let means: Vec<f64> = members.iter().map(mean).collect();
    let mut sum = DMatrix::zeros(members.len(), members.len());
    for rows in rows.chunks(ROWS * channels) {
        let value = |at: usize, row: usize| rows[row * channels + members[at]] - means[at];
        let centred = DMatrix::from_fn(members.len(), rows.len() / channels, value);
        sum += &centred * centred.transpose();
    }
    sum / count
}
