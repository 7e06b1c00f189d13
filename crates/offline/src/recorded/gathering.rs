//! What a recorded session has to fit and judge decoders on: its ticks' features beside what the participant is taken to
//! have meant.
//!
//! The recording goes through the same [`Calibration`] as a running session, so a fit from it is the fit that the session
//! would have made. Two things are better known afterwards: targets count from their own time on even where their marker
//! came late, and blocks can be chosen.

use std::path::{Path, PathBuf};

use kalmind_session::{Calibration, CalibrationOptions, CalibrationTick, InForce, Timeline};
use kalmind_types::{
    ChannelMask, CursorDrive, FeatureLayout, LslTime, OutputState, Position, TaskBlock, TickInput,
    TickOutput, Velocity,
};

use crate::host::Host;

use super::{Item, NewestGeneration, ReadError, SessionDocument, SessionReader, StageChanges, Wanted};

/// Why there is nothing to fit or judge on.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// The recording cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A block that is none.
    #[error("--blocks {0}: signal_check, open_loop, closed_loop, evaluation, typing, rest and all are known")]
    Block(String),
    /// The blocks asked for are not in the recording.
    #[error("{}: no block {wanted} was recorded; it has {found}", .path.display())]
    NoBlock {
        /// The recording.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// No tick of the blocks can be used.
    #[error(
        "{}: no tick in {blocks} has both a target and a cursor that can move, so there is nothing to fit (--states-stream \
         takes the states from a recorded stream)",
        .path.display()
    )]
    NoRows {
        /// The recording.
        path: PathBuf,
        /// The blocks.
        blocks: String,
    },
}

/// A session's rows.
#[derive(Debug)]
pub struct Gathered {
    /// The recording.
    pub file: PathBuf,
    /// The session.
    pub session: Box<SessionDocument>,
    /// Its features.
    pub layout: FeatureLayout,
    /// Its rows.
    pub calibration: Calibration,
    /// The blocks that they are from, for people.
    pub blocks: String,
    /// Where each row's bin ends, and the block it is from.
    pub rows: Vec<(LslTime, Option<TaskBlock>)>,
    /// Rows that are left out because the stages of a stream had other settings then.
    pub left_out: u64,
}

/// Gathers the rows of a recording. `blocks` are names separated by commas, or `all`; without it the open loop counts, or
/// everything where there was none. Where stages changed the rows of the newest generation count, and the session is said to
/// have had that one.
///
/// # Errors
/// [`GatherError`].
pub fn gather(path: &Path, blocks: Option<&str>, host: &dyn Host) -> Result<Gathered, GatherError> {
    let Course { mut session, timeline: course, masked, changes } = course(path, host)?;
    let chosen = choose(path, &course, blocks)?;
    let layout = session.layout();
    let options = CalibrationOptions {
        label_law: session.engine.label_law,
        bin_ms: session.bin_ms,
        max_masked: session.engine.max_masked,
        switched_off: layout.switched_off(&masked).count(),
    };
    let mut calibration = Calibration::new(options, layout.width());
    let mut rows = Vec::new();
    let mut newest = NewestGeneration::default();
    let mut reader =
        SessionReader::open(path, Wanted { inputs: false, raw: false, features: true, ticks: true })
            .map_err(GatherError::Read)?;
    while let Some(item) = reader.next_item()? {
        match item {
            Item::Tick(tick) => {
                let Some((time, values)) = &tick.cursor else { continue };
                let input = &tick.document.input;
                let InForce { target, trial, block } = course.over(input.start, input.time);
                if input.time.0.to_bits() != time.to_bits() || !chosen.takes(block) {
                    continue;
                }
                let Some(output) = published(input, values, reader.cursor_labels()) else { continue };
                if target.is_some() && output.state.moves() && newest.begins(input, rows.len()) {
                    calibration = Calibration::new(options, layout.width());
                    rows.clear();
                }
                let before = calibration.rows();
                calibration.observe(CalibrationTick {
                    output: &output,
                    features: &tick.features_in_use(&layout),
                    target,
                    trial,
                    drive: block.map_or(CursorDrive::Decoder, TaskBlock::drive),
                });
                if calibration.rows() > before {
                    rows.push((input.time, block));
                }
            }
            Item::Unreadable(part) => host.unreadable(&part),
            _ => {}
        }
    }
    if rows.is_empty() {
        return Err(GatherError::NoRows { path: path.to_owned(), blocks: chosen.name() });
    }
    let left_out = newest.note(path, host);
    newest.put_into(&mut session, &changes);
    Ok(Gathered {
        file: path.to_owned(),
        session,
        layout,
        calibration,
        blocks: chosen.name(),
        rows,
        left_out,
    })
}

/// What the first pass finds.
struct Course {
    session: Box<SessionDocument>,
    /// What the task did.
    timeline: Timeline,
    /// Channels that were switched off.
    masked: ChannelMask,
    /// The generations of stages that followed others.
    changes: StageChanges,
}

fn course(path: &Path, host: &dyn Host) -> Result<Course, GatherError> {
    let mut reader =
        SessionReader::open(path, Wanted { inputs: false, raw: false, features: false, ticks: true })?;
    let (mut session, mut course, mut masked) = (None, Timeline::recorded(), ChannelMask::default());
    let mut changes = StageChanges::default();
    while let Some(item) = reader.next_item()? {
        match item {
            Item::Session(document) => session = Some(document),
            Item::Event(event) => {
                course.take(event.time, &event.body);
                changes.take(&event.body);
            }
            Item::Tick(tick) => masked.clone_from(&tick.document.input.masked),
            Item::Unreadable(part) => host.unreadable(&part),
            _ => {}
        }
    }
    let session = session.ok_or_else(|| ReadError::NoSession(path.to_owned()))?;
    Ok(Course { session, timeline: course, masked, changes })
}

/// Blocks that count.
enum Chosen {
    All,
    These(Vec<TaskBlock>),
}

impl Chosen {
    fn takes(&self, block: Option<TaskBlock>) -> bool {
        match self {
            Self::All => true,
            Self::These(blocks) => block.is_some_and(|block| blocks.contains(&block)),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::All => "all blocks".to_owned(),
            Self::These(blocks) => names(blocks),
        }
    }
}

fn names(blocks: &[TaskBlock]) -> String {
    let mut names: Vec<String> = blocks.iter().map(|block| block.name().to_owned()).collect();
    names.dedup();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn choose(path: &Path, course: &Timeline, blocks: Option<&str>) -> Result<Chosen, GatherError> {
    let recorded: Vec<TaskBlock> = course.blocks().collect();
    let Some(text) = blocks else {
        let open_loop = recorded.contains(&TaskBlock::OpenLoop);
        return Ok(if open_loop { Chosen::These(vec![TaskBlock::OpenLoop]) } else { Chosen::All });
    };
    if text == "all" {
        return Ok(Chosen::All);
    }
    let wanted: Vec<TaskBlock> = text
        .split(',')
        .map(|name| {
            serde_json::from_value(serde_json::Value::String(name.trim().to_owned()))
                .map_err(|_unknown| GatherError::Block(name.trim().to_owned()))
        })
        .collect::<Result<_, _>>()?;
    if !wanted.iter().any(|block| recorded.contains(block)) {
        return Err(GatherError::NoBlock {
            path: path.to_owned(),
            wanted: text.to_owned(),
            found: names(&recorded),
        });
    }
    Ok(Chosen::These(wanted))
}

/// What was published of a tick, as far as calibration looks at it.
fn published(input: &TickInput, row: &[f64], labels: &[String]) -> Option<TickOutput> {
    let value = |name: &str| {
        let channel = labels.iter().position(|label| label == name)?;
        row.get(channel).copied()
    };
    let code = value("state")?;
    let state = OutputState::ALL.into_iter().find(|state| state.code() == code as u8)?;
    Some(TickOutput {
        epoch: input.epoch,
        incomplete: value("incomplete")? != 0.0,
        state,
        position: Position([value("x")?, value("y")?]),
        velocity: Velocity([value("vx")?, value("vy")?]),
        ..TickOutput::neutral(input.seq, input.time)
    })
}
