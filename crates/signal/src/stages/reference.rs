//! References: each channel less what it shares with others, or any other sum of channels.

use core::ops::Range;

use kalmind_types::StreamOutput;
use serde::{Deserialize, Serialize};

use super::arrays::{Array, ArrayKeys, left_over};
use super::channels::ChannelName;
use super::rows::{Row, Rows};
use super::stage::{Signal, Stage, StageError, StageKind};
use super::state::{StateError, StateReader, StateWriter};
use super::weights::{Block, TOGETHER, block, left_out, square, weight_of};

/// What is taken away from a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReferenceKind {
    /// The mean of its array.
    CommonAverage,
    /// The other one of a pair.
    Bipolar,
    /// The mean of its neighbours.
    Laplacian,
    /// The sum of the others of its array, each with its weight.
    Regression,
    /// Whatever a matrix says.
    Matrix,
}

/// How channels are referenced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceSettings {
    /// What is taken away.
    pub kind: ReferenceKind,
    /// Of a common average and a regression: the arrays, each `[first, end]` by place from 0, `end` not included. All channels are
    /// one where it is left out; a channel in none stays as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arrays: Vec<[usize; 2]>,
    /// The arrays, each as all its channels by place from 0, in place of `arrays`: where they are no neighbours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub array_channels: Vec<Vec<usize>>,
    /// In a configuration file, in place of `arrays`: files of electrodes (`.cmp`), which are read when it is. What they come to
    /// stands in `arrays` or `array_channels` from then on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maps: Vec<String>,
    /// Of a common average: the channels that make it, as the quietest ones. All of the array where there is none of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub average_of: Vec<ChannelName>,
    /// Channels that are no part of any reference; what comes of them is not valid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<ChannelName>,
    /// Of bipolar ones: for each channel that comes out, the two whose difference it is. Of a Laplacian: the channel and its
    /// neighbours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Vec<ChannelName>>,
    /// A row for each channel that comes out, with a weight for each that goes in. Of a regression they are those of the other
    /// channels, for whose sum the channel is lessened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<Vec<f64>>,
}

impl ReferenceSettings {
    fn check(&self) -> Result<(), StageError> {
        let has_lists = matches!(self.kind, ReferenceKind::Bipolar | ReferenceKind::Laplacian);
        let has_weights = matches!(self.kind, ReferenceKind::Regression | ReferenceKind::Matrix);
        let has_arrays = matches!(self.kind, ReferenceKind::Regression | ReferenceKind::CommonAverage);
        let wrong = |what: &str| Err(StageError::new(what));
        if has_lists == self.channels.is_empty() {
            return wrong("`channels` belongs to `bipolar` and `laplacian`, and has to be there");
        }
        if has_weights == self.weights.is_empty() {
            return wrong("`weights` belongs to `regression` and `matrix`, and has to be there");
        }
        if self.array_keys().are_given() && !has_arrays {
            return wrong("`arrays` belongs to `common_average` and `regression`");
        }
        if self.kind != ReferenceKind::CommonAverage && !self.average_of.is_empty() {
            return wrong("`average_of` belongs to `common_average`");
        }
        if self.kind == ReferenceKind::Bipolar && self.channels.iter().any(|pair| pair.len() != 2) {
            return wrong("each of `channels` has to be two: `[channel, the one that is taken away from it]`");
        }
        if self.channels.iter().any(|list| list.len() < 2) {
            return wrong("each of `channels` has to be a channel and its neighbours");
        }
        if self.weights.iter().flatten().any(|weight| !weight.is_finite()) {
            return wrong("`weights` holds what is no finite number");
        }
        self.array_keys().check()
    }

    fn array_keys(&self) -> ArrayKeys<'_> {
        ArrayKeys { arrays: &self.arrays, array_channels: &self.array_channels, maps: &self.maps }
    }

    /// The channels of each array, rising; all of them are one where none is named.
    #[must_use]
    pub fn members(&self, channels: usize) -> Vec<Vec<usize>> {
        self.array_keys().members(channels)
    }
}

/// How what comes out is made.
#[derive(Clone, Debug)]
enum Plan {
    /// Each array less the mean of its members.
    Averages(Vec<(Array, Vec<usize>)>),
    /// Each a channel less the mean of others.
    Differences(Vec<(usize, Vec<usize>)>),
    /// Each less the weighted sum of the others that are valid.
    Regression(Vec<Block>),
    /// Weighted sums, which need all that have a weight.
    Matrix(Box<Block>),
}

/// The references.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    signal: Signal,
    plan: Plan,
    /// Of the channels that go in.
    excluded: Vec<bool>,
    /// Which channel of the raw stream each is, and whether that one is left out for now.
    raw: Vec<Option<usize>>,
    left_out: Vec<bool>,
    /// Of each row of a matrix, whether so much of it is left out that what remains is something else: half of its weights, by
    /// their sizes. One of two electrodes, and the one in the middle of a Laplacian, are as much.
    lost: Vec<bool>,
    warning: Option<String>,
}

impl StageKind for Reference {
    type Settings = ReferenceSettings;
    const NAME: &'static str = "reference";
    const ABOUT: &'static str = "each channel less what it shares with others, or other sums of channels";

    fn build(settings: &ReferenceSettings, input: &Signal) -> Result<Self, StageError> {
        settings.check()?;
        let channels = input.outputs.len();
        let find = |names: &[ChannelName]| names.iter().map(|name| name.find(input)).collect::<Result<Vec<_>, _>>();
        let mut excluded = vec![false; channels];
        for channel in find(&settings.excluded)? {
            if let Some(excluded) = excluded.get_mut(channel) {
                *excluded = true;
            }
        }
        let is_in = |channel: &usize| !excluded.get(*channel).copied().unwrap_or(true);
        let (mut outputs, mut warning) = (input.outputs.clone(), None);
        let plan = match settings.kind {
            ReferenceKind::CommonAverage => {
                let of = find(&settings.average_of)?;
                let mut averages = Vec::new();
                let arrays = settings.array_keys().arrays(channels)?;
                warning = left_over(&arrays, channels);
                for array in arrays {
                    let channels: Vec<usize> = array.iter().cloned().flatten().collect();
                    let named: Vec<usize> = of.iter().copied().filter(|channel| channels.contains(channel)).collect();
                    let all = if named.is_empty() { channels.clone() } else { named };
                    let members: Vec<usize> = all.into_iter().filter(is_in).collect();
                    if members.is_empty() {
                        return Err(StageError::of_signal("no channel is left for the average of an array"));
                    }
                    for run in &array {
                        made_of(&mut outputs, run.clone(), &channels, input);
                    }
                    averages.push((array, members));
                }
                Plan::Averages(averages)
            }
            ReferenceKind::Bipolar | ReferenceKind::Laplacian => {
                let (mut lists, mut made) = (Vec::new(), Vec::new());
                for names in &settings.channels {
                    let list = find(names)?;
                    let Some((channel, others)) = list.split_first() else { continue };
                    let (mut output, first) = (input.outputs.get(*channel).cloned(), made.len());
                    if let (ReferenceKind::Bipolar, Some(output), Some(other)) =
                        (settings.kind, &mut output, others.first().and_then(|other| input.outputs.get(*other)))
                    {
                        output.name = format!("{}-{}", output.name, other.name);
                    }
                    made.extend(output);
                    made_of(&mut made, first..first.saturating_add(1), &list, input);
                    lists.push((*channel, others.iter().copied().filter(is_in).collect()));
                }
                outputs = made;
                Plan::Differences(lists)
            }
            ReferenceKind::Regression => {
                let weights = &settings.weights;
                square(weights, channels)?;
                let mut blocks = Vec::new();
                let arrays = settings.array_keys().arrays(channels)?;
                warning = left_over(&arrays, channels);
                for array in arrays {
                    let channels: Vec<usize> = array.iter().cloned().flatten().collect();
                    for run in &array {
                        made_of(&mut outputs, run.clone(), &channels, input);
                    }
                    let weight = |from, to: usize| {
                        if from == to { 1.0 } else { -weight_of(weights, from, to) }
                    };
                    blocks.push(block(channels.clone(), channels, weight));
                }
                Plan::Regression(blocks)
            }
            ReferenceKind::Matrix => {
                let weights = &settings.weights;
                if let Some(row) = weights.iter().find(|row| row.len() != channels) {
                    return Err(StageError::of_signal(format!(
                        "a row of `weights` has {} numbers; one for each channel that goes in: {channels}",
                        row.len()
                    )));
                }
                outputs = Vec::with_capacity(weights.len());
                for (number, row) in weights.iter().enumerate() {
                    let unit = input.outputs.first().map(|output| output.unit.clone()).unwrap_or_default();
                    outputs.push(StreamOutput { name: format!("sum{number}"), unit, channel: None, sources: vec![] });
                    let of = (0..).zip(row).filter(|(_, weight)| **weight != 0.0);
                    let of: Vec<usize> = of.map(|(channel, _)| channel).collect();
                    made_of(&mut outputs, number..number.saturating_add(1), &of, input);
                }
                warning = left_out(&settings.excluded, weights, is_in);
                let weight = |from: usize, to| if is_in(&from) { weight_of(weights, from, to) } else { 0.0 };
                Plan::Matrix(Box::new(block(0..channels, 0..weights.len(), weight)))
            }
        };
        Ok(Self {
            lost: vec![false; outputs.len()],
            signal: Signal { outputs, ..input.clone() },
            excluded,
            raw: input.outputs.iter().map(|output| output.channel).collect(),
            left_out: vec![false; channels],
            warning: [warning, nothing_left(&plan, input)].into_iter().flatten().reduce(|one, next| format!("{one}; {next}")),
            plan,
        })
    }

    fn summary(settings: &ReferenceSettings) -> String {
        let kind = match settings.kind {
            ReferenceKind::CommonAverage if settings.average_of.is_empty() => "common average",
            ReferenceKind::CommonAverage => "average of the quietest",
            ReferenceKind::Bipolar => "bipolar",
            ReferenceKind::Laplacian => "Laplacian",
            ReferenceKind::Regression => "regression",
            ReferenceKind::Matrix => "matrix",
        };
        match settings.arrays.len().saturating_add(settings.array_channels.len()) {
            0 => format!("reference ({kind})"),
            arrays => format!("reference ({kind}, arrays: {arrays})"),
        }
    }

    fn example() -> ReferenceSettings {
        ReferenceSettings {
            kind: ReferenceKind::CommonAverage,
            arrays: Vec::new(),
            array_channels: Vec::new(),
            maps: Vec::new(),
            average_of: Vec::new(),
            excluded: Vec::new(),
            channels: Vec::new(),
            weights: Vec::new(),
        }
    }
}

/// Of which channels nothing is left, since all that is taken away is they themselves.
fn nothing_left(plan: &Plan, input: &Signal) -> Option<String> {
    let (channels, why): (Vec<usize>, _) = match plan {
        Plan::Averages(averages) => {
            let alone = averages.iter().filter(|(array, _)| array.iter().cloned().flatten().count() == 1);
            (alone.filter_map(|(_, members)| members.first().copied()).collect(), "alone in its array: what comes of it")
        }
        Plan::Differences(lists) => {
            let is_own = |(channel, others): &&(usize, Vec<usize>)| {
                others.first() == Some(channel) && others.iter().all(|other| other == channel)
            };
            (lists.iter().filter(is_own).map(|(channel, _)| *channel).collect(), "taken away from itself: what comes out")
        }
        Plan::Regression(_) | Plan::Matrix(_) => return None,
    };
    let told = channels.iter().filter_map(|channel| input.outputs.get(*channel));
    told.map(|output| format!("channel {} is {why} is always 0", output.name)).reduce(|one, next| format!("{one}; {next}"))
}

/// Names the channels that outputs are made of.
fn made_of(outputs: &mut [StreamOutput], which: Range<usize>, from: &[usize], input: &Signal) {
    let from = from.iter().filter_map(|channel| input.outputs.get(*channel));
    let mut all: Vec<Range<usize>> = from
        .flat_map(|output| {
            let own = output.channel.map(|channel| channel..channel.saturating_add(1));
            output.sources.iter().cloned().chain(own)
        })
        .collect();
    all.sort_unstable_by_key(|run| (run.start, run.end));
    let mut runs: Vec<Range<usize>> = Vec::new();
    for run in all {
        match runs.last_mut() {
            Some(last) if run.start <= last.end => last.end = last.end.max(run.end),
            _ => runs.push(run),
        }
    }
    for output in outputs.get_mut(which).unwrap_or_default() {
        output.sources.clone_from(&runs);
    }
}

/// The mean of those of the channels that are valid, and whether there is one; else of all: what follows goes on with that.
fn mean(channels: &[usize], values: &[f64], invalid: &[bool]) -> (f64, bool) {
    let (mut sum, mut count) = (0.0, 0_u32);
    let mut of_all = 0.0;
    for channel in channels {
        if let (Some(value), Some(invalid)) = (values.get(*channel), invalid.get(*channel)) {
            of_all += value;
            if !invalid {
                sum += value;
                count = count.saturating_add(1);
            }
        }
    }
    if count > 0 { (sum / f64::from(count), true) } else { (of_all / channels.len().max(1) as f64, false) }
}

impl Stage for Reference {
    fn signal(&self) -> &Signal {
        &self.signal
    }

    fn delay(&self) -> u64 {
        0
    }

    fn settling(&self) -> u64 {
        0
    }

    fn warning(&self) -> Option<String> {
        self.warning.clone()
    }

    fn restart(&mut self) {}

    fn leave_out(&mut self, channels: &[bool]) {
        for (left_out, raw) in self.left_out.iter_mut().zip(&self.raw) {
            *left_out = raw.and_then(|raw| channels.get(raw)).copied().unwrap_or(false);
        }
        if let Plan::Matrix(block) = &self.plan {
            for (output, lost) in self.lost.iter_mut().enumerate() {
                *lost = block.loses_half(output, &self.left_out);
            }
        }
    }

    fn process(&mut self, input: &Rows, output: &mut Rows) {
        let Self { plan, excluded, left_out, lost, .. } = self;
        let is_excluded = |channel: usize| excluded.get(channel).copied().unwrap_or(true);
        let is_bad = |row: &Row<'_>, channel: usize| {
            row.invalid.get(channel).copied().unwrap_or(true) || is_excluded(channel)
        };
        let mut rows = input.iter();
        match plan {
            Plan::Averages(averages) => {
                for row in rows {
                    let (values, invalid) = output.push_like(row);
                    for (array, members) in &*averages {
                        let (mean, is_valid) = mean(members, row.values, row.invalid);
                        for run in array {
                            let values = values.get_mut(run.clone()).unwrap_or_default();
                            let invalid = invalid.get_mut(run.clone()).unwrap_or_default();
                            for (value, invalid) in values.iter_mut().zip(invalid) {
                                *value -= mean;
                                *invalid |= !is_valid;
                            }
                        }
                    }
                    mark_excluded(invalid, excluded);
                }
            }
            Plan::Differences(lists) => {
                for row in rows {
                    let (values, invalid) = output.push(row.mark);
                    for ((value, invalid), (channel, others)) in values.iter_mut().zip(invalid).zip(&*lists) {
                        let (mean, is_valid) = mean(others, row.values, row.invalid);
                        let given = row.values.get(*channel).copied().unwrap_or(0.0);
                        *value = given - mean;
                        *invalid = is_bad(&row, *channel) || !is_valid;
                    }
                }
            }
            Plan::Regression(blocks) => {
                let width = output.channels();
                while rows.len() > 0 {
                    let together: [_; TOGETHER] = core::array::from_fn(|_| rows.next());
                    for row in together.iter().flatten() {
                        let (_, invalid) = output.push_like(*row);
                        mark_excluded(invalid, excluded);
                    }
                    let (values, invalid) = output.newest(together.iter().flatten().count());
                    let mut invalid = invalid.chunks_exact(width.max(1));
                    let summed = together.map(|row| Some((row?.values, invalid.next()?)));
                    for block in &mut *blocks {
                        block.sum(summed, values, width);
                    }
                }
            }
            Plan::Matrix(block) => {
                let width = output.channels();
                while rows.len() > 0 {
                    let together: [_; TOGETHER] = core::array::from_fn(|_| rows.next());
                    for row in together.iter().flatten() {
                        let (_, invalid) = output.push(row.mark);
                        let columns = block.columns.chunks_exact(block.width().max(1));
                        let counts =
                            row.invalid.iter().zip(&*left_out).map(|(invalid, out)| *invalid && !*out);
                        for (column, _) in columns.zip(counts).filter(|(_, counts)| *counts) {
                            for (invalid, weight) in invalid.iter_mut().zip(column) {
                                *invalid |= *weight != 0.0;
                            }
                        }
                        for (invalid, lost) in invalid.iter_mut().zip(&*lost) {
                            *invalid |= *lost;
                        }
                    }
                    let (values, _) = output.newest(together.iter().flatten().count());
                    block.sum(together.map(|row| Some((row?.values, &**left_out))), values, width);
                }
            }
        }
    }

    fn state_bytes(&self) -> usize {
        0
    }

    fn save(&self, _state: &mut StateWriter<'_>) {}

    fn load(&mut self, _state: &mut StateReader<'_>) -> Result<(), StateError> {
        Ok(())
    }
}

fn mark_excluded(invalid: &mut [bool], excluded: &[bool]) {
    for (invalid, excluded) in invalid.iter_mut().zip(excluded) {
        *invalid |= *excluded;
    }
}
