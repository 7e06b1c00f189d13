//! `kalmind replay` with another model or decoder: what it would have decoded from the recorded features, judged by the
//! recorded targets.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use kalmind_filter::DecoderSpec;
use kalmind_offline::{
    Decoders, Division, EvaluateOptions, TableOptions, Tables, recorded::gather, sources::label_tables,
    tables::require_other_file,
};
use kalmind_recording::parse_rows;
use kalmind_types::TaskBlock;

use super::arguments::ReplayArguments;
use crate::{
    commands::evaluate::{NOTE, Outputs, evaluate, live_settings},
    failure::{OrFail as _, Outcome},
    terminal::Terminal,
};

/// Runs the command.
///
/// # Errors
/// Exit code 2 where the recording, the model or the decoder cannot be used, 1 for a fit that fails.
pub(super) fn run(arguments: &ReplayArguments) -> Outcome<()> {
    let recording = &arguments.recording;
    if let Some(page) = &arguments.report {
        require_other_file("--report", page, core::iter::once(recording)).or_usage()?;
    }
    let rows = Rows::read(recording)?;
    let (decoders, division) = if let Some(model) = &arguments.model {
        let test = 0..rows.blocks.len();
        (Decoders::Model(model.clone()), Division::Rows { train: None, test })
    } else {
        let asked = arguments.train.as_deref().map(parse_rows).transpose();
        let asked = asked.map_err(|source| anyhow::anyhow!("--train: {source}")).or_usage()?;
        let (train, test) = rows.split(asked).or_usage()?;
        let specs = DecoderSpec::parse_list(&arguments.decoder.join(",")).or_usage()?;
        (Decoders::Fitted(specs), Division::Rows { train: Some(train), test })
    };
    let outputs = Outputs {
        intervals: false,
        chance: false,
        resamples: 2000,
        csv: None,
        predictions: None,
        report: arguments.report.clone(),
        json: arguments.json,
        note: Some(NOTE),
    };
    let options = EvaluateOptions {
        tables: TableOptions {
            recordings: vec![recording.clone()],
            blocks: Some("all".to_owned()),
            zscore: true,
            ..TableOptions::default()
        },
        division,
        whole_trials: false,
        decoders,
        seed: arguments.seed,
        seeds: 1,
        budget: None,
        perturb: Vec::new(),
        influence: arguments.report.is_some(),
        saturate: None,
        chance: outputs.with_chance(),
        live: live_settings(),
    };
    evaluate(&options, &outputs)
}

/// The rows of the whole session.
struct Rows {
    /// The recording.
    recording: PathBuf,
    /// Its rows as `evaluate --blocks all` counts them.
    tables: Tables,
    /// The block of each.
    blocks: Vec<Option<TaskBlock>>,
}

impl Rows {
    fn read(recording: &Path) -> Outcome<Self> {
        let gathered = gather(recording, Some("all"), &Terminal).or_usage()?;
        let tables = label_tables(&gathered).or_usage()?;
        let blocks = tables.session.as_ref().map(|session| session.blocks.clone()).unwrap_or_default();
        Ok(Self { recording: recording.to_owned(), tables, blocks })
    }

    /// Rows to fit to, as asked for or those of the open loop, and rows to judge on.
    fn split(&self, asked: Option<Range<usize>>) -> anyhow::Result<(Range<usize>, Range<usize>)> {
        let rows = self.blocks.len();
        let train = match asked {
            Some(rows) => self.tables.range(0, "--train", &rows)?,
            None => open_loop(&self.blocks).with_context(|| {
                format!(
                    "{}: a decoder is fitted to the rows of the open loop, and there are none in one piece; \
                     --train A..B takes any of its {rows} rows",
                    self.recording.display()
                )
            })?,
        };
        let test = rest(&train, rows).with_context(|| {
            format!(
                "{}: rows {}..{} train and none of {rows} are left to judge on; give fewer with --train A..B",
                self.recording.display(),
                train.start,
                train.end
            )
        })?;
        Ok((train, test))
    }
}

/// From the first row of an open loop to the last, unless another block lies in between.
fn open_loop(blocks: &[Option<TaskBlock>]) -> Option<Range<usize>> {
    let is = |block: &Option<TaskBlock>| *block == Some(TaskBlock::OpenLoop);
    let range = blocks.iter().position(is)?..blocks.iter().rposition(is)? + 1;
    let whole = blocks.get(range.clone())?.iter().all(|block| block.is_none() || is(block));
    whole.then_some(range)
}

/// Rows after those that train, or before them where none come after: decoding needs rows in one piece.
fn rest(train: &Range<usize>, rows: usize) -> Option<Range<usize>> {
    let after = train.end..rows;
    let before = 0..train.start;
    [after, before].into_iter().find(|range| !range.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_loop_trains_wherever_it_stands() {
        let (open, closed) = (Some(TaskBlock::OpenLoop), Some(TaskBlock::ClosedLoop));
        assert_eq!(open_loop(&[None, open, open, closed, closed]), Some(1..3));
        assert_eq!(
            open_loop(&[closed, closed, open, open, closed]),
            Some(2..4),
            "after a block with another model"
        );
        assert_eq!(open_loop(&[open, None, open, closed]), Some(0..3), "two in a row");
        assert_eq!(open_loop(&[open, closed, open]), None, "no closed loop is trained on unasked");
        assert_eq!(open_loop(&[closed, None]), None);
    }

    #[test]
    fn what_follows_is_judged_and_else_what_came_before() {
        assert_eq!(rest(&(10..20), 50), Some(20..50));
        assert_eq!(rest(&(20..50), 50), Some(0..20));
        assert_eq!(rest(&(0..50), 50), None);
    }
}
