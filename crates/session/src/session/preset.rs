//! What a session is to do: presets, each a list of blocks.

use std::collections::BTreeMap;

use kalmind_types::{Assistance, Position, TaskBlock};
use serde::{Deserialize, Serialize};

use crate::{TaskError, task_named};

/// Blocks that a preset has at most.
const MOST_BLOCKS: usize = 64;
/// Decoders that are compared at least and at most.
const DECODERS: core::ops::RangeInclusive<usize> = 2..=4;
/// Rounds of a comparison at most.
const MOST_ROUNDS: usize = 32;
/// The longest block, and the longest rest, in seconds.
const LONGEST_S: f64 = 4.0 * 3600.0;
/// What a rest is where a preset says nothing else.
const REST_S: f64 = 60.0;
const REST_INSTRUCTION: &str = "Rest, and do nothing.";
/// Sums of lengths may be off by so much.
const ROUNDING: f64 = 1e-9;

/// What a session is to do, as a file says it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// By which requests and the command line call it.
    pub name: String,
    /// What people read.
    pub title: String,
    /// What it is for, in a sentence or two.
    #[serde(default)]
    pub about: String,
    /// Decoder to fit, with options; that of `[task] decoder` where none is stated.
    #[serde(default)]
    pub decoder: Option<String>,
    /// Factor on the configured gain; whoever runs the session may change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain: Option<f64>,
    /// By how much the gain grows for each workspace width per second; 0 where none is stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain_growth: Option<f64>,
    /// The blocks, in order.
    #[serde(rename = "block")]
    pub blocks: Vec<BlockPlan>,
    /// Decoders that are compared after them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<ComparePlan>,
}

/// One block of a preset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockPlan {
    /// What it is for.
    pub block: TaskBlock,
    /// What people read.
    pub title: String,
    /// What the participant is asked to do.
    #[serde(default)]
    pub instruction: String,
    /// The task that it presents; a signal check and a rest have none.
    #[serde(default)]
    pub task: Option<String>,
    /// Options of that task; the others are as they are by default.
    #[serde(default)]
    pub options: BTreeMap<String, f64>,
    /// How long it lasts, in seconds in which the cursor can move.
    pub seconds: f64,
    /// Rest before it, in seconds.
    #[serde(default)]
    pub rest_s: f64,
    /// How much the cursor is helped, from when on: between two points it changes evenly, after the last it stays. None: not
    /// at all.
    #[serde(default)]
    pub assistance: Vec<AssistancePoint>,
    /// Whether its rows are gathered to fit on. By default those of open loop are, and those of closed loop.
    #[serde(default)]
    pub gather: Option<bool>,
    /// Seconds between two fits while it runs. None: no fit while it runs.
    #[serde(default)]
    pub refit_every_s: Option<f64>,
    /// Whether a fit follows its end; by default it does where its rows are gathered.
    #[serde(default)]
    pub fit_after: Option<bool>,
    /// Another decoder to fit after its end, with options (`refit-kalman`).
    #[serde(default)]
    pub fit_decoder: Option<String>,
    /// Whether it ends as soon as the verdict is "good enough for control".
    #[serde(default)]
    pub until_good_enough: bool,
}

/// How much the cursor is helped at a time of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssistancePoint {
    /// Seconds of the block.
    pub at_s: f64,
    /// See [`Assistance::attenuation`].
    #[serde(default)]
    pub attenuation: f64,
    /// See [`Assistance::mixing`].
    #[serde(default)]
    pub mixing: f64,
}

/// A comparison that follows the blocks of a preset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparePlan {
    /// Decoders, with options; all are fitted to the rows that the blocks before gathered.
    pub decoders: Vec<String>,
    /// How often each has a block: in every round each once. Two rounds belong together, the second in the order of the first
    /// turned around, so that each decoder comes early as often as late.
    pub rounds: usize,
    /// The block; its rows are not gathered.
    pub block: BlockPlan,
}

/// Why a preset cannot be run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PresetError {
    /// It does nothing, or far too much.
    #[error("the preset {preset} has {blocks} blocks; 1 to {MOST_BLOCKS} are possible")]
    Blocks {
        /// Which.
        preset: String,
        /// How many.
        blocks: usize,
    },
    /// Its comparison makes no sense.
    #[error("`compare` of the preset {preset}: {problem}")]
    Comparison {
        /// Which.
        preset: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A block of it makes no sense.
    #[error("block {number} ({title}) of the preset {preset}: {problem}")]
    Block {
        /// Which preset.
        preset: String,
        /// Which block, from 1.
        number: usize,
        /// Its title.
        title: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

impl Preset {
    /// Whether it can be run.
    ///
    /// # Errors
    /// [`PresetError`] with the first thing that makes no sense.
    pub fn check(&self) -> Result<(), PresetError> {
        if self.blocks.is_empty() || self.blocks.len() > MOST_BLOCKS {
            return Err(PresetError::Blocks { preset: self.name.clone(), blocks: self.blocks.len() });
        }
        self.check_blocks(BlockPlan::check)?;
        let compared = self.compare.as_ref().map_or(Ok(()), ComparePlan::check);
        compared.map_err(|problem| PresetError::Comparison { preset: self.name.clone(), problem })
    }

    /// Whether all its targets lie wholly in a workspace of this height, in workspace widths.
    ///
    /// # Errors
    /// [`PresetError`] with the first block of which some do not.
    pub fn check_targets(&self, height: f64) -> Result<(), PresetError> {
        self.check_blocks(|block| block.check_targets(height))?;
        let compared = self.compare.as_ref().map_or(Ok(()), |plan| plan.block.check_targets(height));
        compared.map_err(|problem| PresetError::Comparison { preset: self.name.clone(), problem })
    }

    fn check_blocks(&self, check: impl Fn(&BlockPlan) -> Result<(), String>) -> Result<(), PresetError> {
        self.blocks.iter().enumerate().try_for_each(|(place, block)| {
            check(block).map_err(|problem| PresetError::Block {
                preset: self.name.clone(),
                number: place + 1,
                title: block.title.clone(),
                problem,
            })
        })
    }

    /// Whether something in it is selected by clicking: then clicks are decoded, where they can be told.
    #[must_use]
    pub fn selects_by_click(&self) -> bool {
        let mut blocks = self.blocks.iter().chain(self.compare.as_ref().map(|compare| &compare.block));
        blocks.any(BlockPlan::selects_by_click)
    }

    /// Seconds of all its blocks and rests, those of a comparison among them.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        let compared = self.compare.as_ref().map_or(0.0, |compare| {
            let count = (compare.decoders.len() * compare.rounds) as f64;
            count * (compare.block.seconds + compare.block.rest_s)
        });
        compared + self.blocks.iter().map(|block| block.seconds + block.rest_s).sum::<f64>()
    }
}

impl ComparePlan {
    /// Whether it can be run.
    ///
    /// # Errors
    /// A sentence with the first thing that makes no sense.
    pub fn check(&self) -> Result<(), String> {
        if !DECODERS.contains(&self.decoders.len()) {
            return Err(format!("it compares {} decoders; two to four are possible", self.decoders.len()));
        }
        if !(1..=MOST_ROUNDS).contains(&self.rounds) {
            return Err(format!("`rounds` is from 1 to {MOST_ROUNDS}"));
        }
        if let Some(twice) =
            self.decoders.iter().enumerate().find(|(at, name)| self.decoders[..*at].contains(name))
        {
            return Err(format!("{} is there twice", twice.1));
        }
        if self.block.gathers() || !self.block.assistance.is_empty() {
            return Err("its block is an evaluation: nothing is gathered, nothing helps".to_owned());
        }
        self.block.check()
    }
}

impl BlockPlan {
    /// Whether a click selects in it.
    #[must_use]
    pub fn selects_by_click(&self) -> bool {
        self.options.get("select").is_some_and(|select| *select > 0.0)
    }

    /// Whether its rows are fitted on.
    #[must_use]
    pub fn gathers(&self) -> bool {
        self.gather.unwrap_or(matches!(self.block, TaskBlock::OpenLoop | TaskBlock::ClosedLoop))
    }

    /// Whether a fit follows its end.
    #[must_use]
    pub fn fits_after(&self) -> bool {
        self.fit_after.unwrap_or_else(|| self.gathers()) || self.fit_decoder.is_some()
    }

    /// How much the cursor is helped after so many seconds of it.
    #[must_use]
    pub fn assistance_at(&self, seconds: f64) -> Assistance {
        let after = self.assistance.iter().position(|point| point.at_s > seconds);
        let part =
            |point: &AssistancePoint| Assistance { attenuation: point.attenuation, mixing: point.mixing };
        match after.map_or(self.assistance.len(), |at| at).checked_sub(1) {
            // before the first point it is what it is there
            None => self.assistance.first().map_or(Assistance::NONE, part),
            Some(place) => match (self.assistance.get(place), self.assistance.get(place + 1)) {
                (Some(from), Some(to)) => {
                    let share = ((seconds - from.at_s) / (to.at_s - from.at_s)).clamp(0.0, 1.0);
                    let between = |from: f64, to: f64| from + share * (to - from);
                    Assistance {
                        attenuation: between(from.attenuation, to.attenuation),
                        mixing: between(from.mixing, to.mixing),
                    }
                }
                (Some(last), None) => part(last),
                _ => Assistance::NONE,
            },
        }
    }

    /// Gives a rest the length and the instruction that it has where none is stated.
    pub fn complete_rest(&mut self) {
        if self.block != TaskBlock::Rest {
            return;
        }
        if self.seconds <= 0.0 {
            self.seconds = REST_S;
        }
        if self.instruction.is_empty() {
            REST_INSTRUCTION.clone_into(&mut self.instruction);
        }
    }

    /// Whether it can be run.
    ///
    /// # Errors
    /// The first thing that makes no sense and what would be right, in words; the key comes first, where it is one.
    pub fn check(&self) -> Result<(), String> {
        let ensure = |holds: bool, problem: &str| if holds { Ok(()) } else { Err(problem.to_owned()) };
        let within = |value: f64, least: f64| value.is_finite() && value >= least && value <= LONGEST_S;
        ensure(within(self.seconds, 1.0), "`seconds` is from 1 to 14400")?;
        ensure(within(self.rest_s, 0.0), "`rest_s` is from 0 to 14400")?;
        ensure(
            self.refit_every_s.is_none_or(|seconds| within(seconds, 1.0)),
            "`refit_every_s` is at least 1",
        )?;
        let points = &self.assistance;
        ensure(
            points.iter().all(|point| {
                let AssistancePoint { at_s, attenuation, mixing } = *point;
                within(at_s, 0.0) && Assistance { attenuation, mixing }.is_valid()
            }),
            "`assistance`: its parts are from 0 to 1, its times are seconds of the block",
        )?;
        ensure(
            points.windows(2).all(|pair| pair[0].at_s < pair[1].at_s),
            "`assistance`: its times have to grow from point to point",
        )?;
        ensure(
            points.is_empty() || self.block == TaskBlock::ClosedLoop,
            "`assistance`: only a closed loop is helped, an evaluation scores the decoder alone",
        )?;
        if self.block == TaskBlock::Rest {
            ensure(!self.gathers(), "`gather`: of a rest no rows are gathered, leave it out")?;
            ensure(self.refit_every_s.is_none(), "`refit_every_s`: nothing is fitted in a rest")?;
            ensure(!self.fits_after(), "`fit_after`: nothing is fitted to a rest")?;
        }
        match (&self.task, self.block) {
            (None, TaskBlock::SignalCheck | TaskBlock::Rest) => Ok(()),
            (Some(_), TaskBlock::SignalCheck | TaskBlock::Rest) => {
                Err("`task`: a signal check or a rest presents none, leave it out".to_owned())
            }
            (_, TaskBlock::Typing) => {
                Err("`block`: typing is for others to announce, no block of a preset".to_owned())
            }
            (None, _) => Err(format!("`task` is missing: one of {}", task_names())),
            (Some(_), _) => self.check_targets(f64::INFINITY),
        }
    }

    /// Whether there is such a task, and all its targets lie wholly in a workspace of this height, in workspace widths.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_targets(&self, height: f64) -> Result<(), String> {
        let Some(name) = &self.task else { return Ok(()) };
        let kind = task_named(name)
            .ok_or_else(|| format!("`task`: there is no task {name:?}, but {}", task_names()))?;
        let options: Vec<(&str, f64)> =
            self.options.iter().map(|(option, value)| (option.as_str(), *value)).collect();
        let task = kind.build(0, &options).map_err(|error: TaskError| format!("`options`: {error}"))?;
        let [Position([left, bottom]), Position([right, top])] = task.extent();
        let within = |low: f64, high: f64, side: f64| low >= -ROUNDING && high <= side + ROUNDING;
        if within(left, right, 1.0) && within(bottom, top, height) {
            return Ok(());
        }
        let high = if height.is_finite() { format!(" and {height} high") } else { String::new() };
        Err(format!(
            "`options`: targets lie outside the workspace: they reach from {left:.2} to {right:.2} across and from \
             {bottom:.2} to {top:.2} up, in workspace widths, and it is 1 wide{high}"
        ))
    }
}

fn task_names() -> String {
    crate::TASKS.iter().map(|task| task.name).collect::<Vec<_>>().join(", ")
}
