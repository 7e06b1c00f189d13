//! Arrays: which channels belong together.

use core::ops::Range;

use super::stage::StageError;

/// Channels that belong together, as runs of neighbours, rising.
pub(super) type Array = Vec<Range<usize>>;

/// The keys by which settings say which arrays there are; one of them at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct ArrayKeys<'a> {
    pub(super) arrays: &'a [[usize; 2]],
    pub(super) array_channels: &'a [Vec<usize>],
    pub(super) maps: &'a [String],
}

impl ArrayKeys<'_> {
    /// Whether arrays are named, by whichever key.
    pub(super) fn are_given(&self) -> bool {
        !(self.arrays.is_empty() && self.array_channels.is_empty() && self.maps.is_empty())
    }

    /// What is wrong with the arrays, whatever the signal.
    pub(super) fn check(&self) -> Result<(), StageError> {
        let keys = [!self.arrays.is_empty(), !self.array_channels.is_empty(), !self.maps.is_empty()];
        if keys.iter().filter(|is_there| **is_there).count() > 1 {
            return Err(StageError::new(
                "`arrays`, `array_channels` and `maps` say the same: one of them will do",
            ));
        }
        if self.arrays.iter().any(|[first, end]| first >= end) {
            return Err(StageError::new(
                "each of `arrays` has to be `[first, end]`, and `end` above `first`",
            ));
        }
        if self.array_channels.iter().any(Vec::is_empty) {
            return Err(StageError::new("each of `array_channels` has to name the channels of an array"));
        }
        let mut all: Vec<[usize; 2]> = self.arrays.to_vec();
        all.extend(self.array_channels.iter().flatten().map(|channel| [*channel, channel.saturating_add(1)]));
        all.sort_unstable();
        if all.windows(2).any(|two| matches!(two, [[_, end], [first, _]] if first < end)) {
            let key = if self.arrays.is_empty() { "array_channels" } else { "arrays" };
            return Err(StageError::new(format!("`{key}` share channels")));
        }
        Ok(())
    }

    /// The arrays, where they are inside the signal.
    pub(super) fn arrays(&self, channels: usize) -> Result<Vec<Array>, StageError> {
        if !self.maps.is_empty() {
            return Err(StageError::of_signal(
                "`maps` name files, which are read where a configuration file is",
            ));
        }
        let lacks = |array: String| {
            Err(StageError::of_signal(format!(
                "there are {channels} channels, so {array} is no array of them"
            )))
        };
        if let Some([first, end]) = self.arrays.iter().find(|[_, end]| *end > channels) {
            return lacks(format!("[{first}, {end}]"));
        }
        for (number, array) in self.array_channels.iter().enumerate() {
            if let Some(channel) = array.iter().find(|channel| **channel >= channels) {
                return lacks(format!(
                    "what has channel {channel}, counted from 0 (number {number} of `array_channels`),"
                ));
            }
        }
        Ok(self.members(channels).iter().map(|array| runs(array)).collect())
    }

    /// The channels of each array, rising; all of them are one where none is named.
    pub(super) fn members(&self, channels: usize) -> Vec<Vec<usize>> {
        let mut members: Vec<Vec<usize>> =
            self.arrays.iter().map(|[first, end]| (*first..*end).collect()).collect();
        members.extend(self.array_channels.iter().cloned());
        if members.is_empty() {
            members.push((0..channels).collect());
        }
        for array in &mut members {
            array.sort_unstable();
        }
        members
    }
}

/// Channels, rising, as runs of neighbours.
fn runs(channels: &[usize]) -> Array {
    let mut runs = Array::new();
    for channel in channels {
        let end = channel.saturating_add(1);
        match runs.last_mut() {
            Some(run) if run.end == *channel => run.end = end,
            _ => runs.push(*channel..end),
        }
    }
    runs
}

/// What there is to say of channels that are in no array.
pub(super) fn left_over(arrays: &[Array], channels: usize) -> Option<String> {
    let is_in = |channel: usize| arrays.iter().flatten().any(|run| run.contains(&channel));
    let others: Vec<usize> = (0..channels).filter(|channel| !is_in(*channel)).collect();
    let named: Vec<String> = runs(&others)
        .into_iter()
        .map(|run| match run.end.saturating_sub(1) {
            last if last == run.start => format!("{last}"),
            last => format!("{} to {last}", run.start),
        })
        .collect();
    match others.as_slice() {
        [] => None,
        [one] => Some(format!("channel {one} (counted from 0) is in no array, and stays as it is")),
        _ => Some(format!(
            "channels {} (counted from 0) are in no array, and stay as they are",
            named.join(", ")
        )),
    }
}
