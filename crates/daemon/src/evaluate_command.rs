//! `kalmind evaluate`: decoders on held-out rows, run by the engine of the live tick.

use std::{fmt::Write as _, fs, io::Write as _, ops::Range, path::Path};

use arrayvec::ArrayVec;
use hdrhistogram::Histogram;
use kalmind_acquisition::clock;
use kalmind_engine::{Binner, BinnerSettings, CursorSettings, Engine, EngineSettings, StreamBinning};
use kalmind_filter::{
    DecoderSpec, LabelLaw, Model,
    accuracy::{self, Accuracy},
};
use kalmind_types::{
    BinClose, Binning, ChannelMask, Intent, LslTime, Mode, NumberFormat, SampleBlock, Samples, Seconds,
    StreamFeatures, StreamHealth, StreamTime, TickInput,
};
use serde_json::json;

use crate::{
    cli::EvaluateArguments,
    configuration::Configuration,
    failure::{OrFail as _, Outcome},
    fit_command::fit_tables,
    model::IdentifiedModel,
    plan::EPOCH_JUMP,
    tables::Tables,
};

/// What decoding a range of rows gave: one entry a row.
#[derive(Debug)]
pub struct Decoded {
    /// Intents, one a row.
    pub intents: Vec<Intent>,
    /// Steps in which the filter fell back to another form.
    pub fallback_steps: u64,
    /// Nanoseconds a step.
    pub step_ns: Histogram<u64>,
}

/// Runs the command.
///
/// # Errors
/// Exit code 2 for arguments, tables and models that cannot be used, 1 for a fit that fails.
pub fn run(arguments: &EvaluateArguments) -> Outcome<()> {
    let tables = Tables::read(&arguments.tables).or_usage()?;
    let test = tables.range("--test", &arguments.test).or_usage()?;
    let train =
        arguments.train.as_deref().map(|text| tables.range("--train", text)).transpose().or_usage()?;
    let models = models(arguments, &tables, train.clone())?;
    let truth = tables.states_of(test.clone());
    let least_speed = train.clone().map(|train| accuracy::median_speed(&tables.states_of(train)));
    let mut rows = Vec::with_capacity(models.len());
    let mut rows_left_out = 0;
    for (index, (model, fit_seconds)) in models.iter().enumerate() {
        let decoded = decode_rows(model, &tables, test.clone()).or_work()?;
        let figures = Accuracy::of(&truth, &decoded.intents, least_speed.unwrap_or(f64::INFINITY));
        rows_left_out = figures.rows_left_out;
        if let Some(folder) = &arguments.predictions {
            write_predictions(folder, &model.model, index, &decoded.intents, test.start).or_work()?;
        }
        rows.push(Row { spec: model.model.decoder, figures, decoded, fit_seconds: *fit_seconds });
    }
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let range = |rows: &Range<usize>| json!([rows.start, rows.end]);
        let document = json!({
            "train": train.as_ref().map(range),
            "test": range(&test),
            "rows_left_out": rows_left_out,
            "decoders": rows.iter().map(Row::json).collect::<Vec<_>>(),
        });
        writeln!(out, "{document}").or_work()
    } else {
        write!(out, "{}", table(&rows, rows_left_out)).or_work()
    }
}

/// The model named, or every decoder of the list fitted to the training rows, with the seconds that took.
fn models(
    arguments: &EvaluateArguments,
    tables: &Tables,
    train: Option<Range<usize>>,
) -> Outcome<Vec<(IdentifiedModel, Option<f64>)>> {
    if let Some(path) = &arguments.model {
        let model = crate::model::load(path).or_usage()?;
        check_model(&model, tables).or_usage()?;
        return Ok(vec![(model, None)]);
    }
    let train = train.unwrap_or(0..0);
    let specs = DecoderSpec::parse_list(&arguments.decoders.join(",")).or_usage()?;
    let mut models = Vec::with_capacity(specs.len());
    for spec in &specs {
        let (model, _, seconds) =
            fit_tables(tables, train.clone(), spec, arguments.tables.zscore, arguments.seed).or_work()?;
        models.push((IdentifiedModel::of(&model).or_work()?, Some(seconds)));
    }
    Ok(models)
}

/// Whether a model can be run on the tables at all.
fn check_model(model: &IdentifiedModel, tables: &Tables) -> anyhow::Result<()> {
    let (expected, found) = (model.model.features(), tables.features.width);
    anyhow::ensure!(
        expected == found,
        "the model takes {expected} features, the features' file has {found} columns"
    );
    let (expected, found) = (model.model.components.len(), tables.states.width);
    anyhow::ensure!(
        expected == found,
        "the model decodes {expected} components, the states' file has {found} columns"
    );
    let labels: Option<Vec<&String>> = model
        .model
        .streams
        .iter()
        .map(|stream| stream.labels.as_ref())
        .collect::<Option<Vec<_>>>()
        .map(|labels| labels.into_iter().flatten().collect());
    if let (Some(labels), Some(columns)) = (labels, &tables.features.columns)
        && let Some((label, column)) = labels.iter().zip(columns).find(|(label, column)| **label != *column)
    {
        anyhow::bail!("the model's channel \"{label}\" is \"{column}\" in the features' file");
    }
    let (expected, found) = (model.model.bin_ms, tables.bin_ms);
    anyhow::ensure!(
        (expected - found).abs() <= crate::model::SAME_WIDTH * expected,
        "the model was fitted with bins of {expected} ms, the rows are {found} ms apart (--rate)"
    );
    Ok(())
}

/// One decoder's row of the table.
struct Row {
    spec: DecoderSpec,
    figures: Accuracy,
    decoded: Decoded,
    fit_seconds: Option<f64>,
}

impl Row {
    /// Microseconds of a step: median, 99th percentile, longest.
    fn step_us(&self) -> [f64; 3] {
        let steps = &self.decoded.step_ns;
        [steps.value_at_quantile(0.5), steps.value_at_quantile(0.99), steps.max()].map(|ns| ns as f64 / 1e3)
    }

    fn json(&self) -> serde_json::Value {
        let [p50, p99, max] = self.step_us();
        let options: serde_json::Map<String, serde_json::Value> =
            self.spec.set_options().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        let coverage = &self.figures.coverage;
        json!({
            "name": self.spec.decoder.as_str(),
            "options": options,
            "nrmse": self.figures.nrmse,
            "maae": self.figures.maae,
            "maae_moving": self.figures.maae_moving,
            "correlation": self.figures.correlation,
            "nees": self.figures.nees,
            "coverage": { "50": coverage.half, "90": coverage.ninety, "99": coverage.ninety_nine },
            "fallback_steps": self.decoded.fallback_steps,
            "fit_seconds": self.fit_seconds,
            "step_us": { "p50": p50, "p99": p99, "max": max },
        })
    }
}

/// The table for people.
fn table(rows: &[Row], rows_left_out: usize) -> String {
    let mut text = format!(
        "{:<40} {:>7} {:>7} {:>7} {:>6} {:>20} {:>9} {:>7} {:>8}\n",
        "decoder", "nRMSE", "MAAE", "moving", "NEES", "coverage 50/90/99 %", "fallbacks", "fit s", "step µs"
    );
    for row in rows {
        let Accuracy { nrmse, maae, maae_moving, nees, coverage, .. } = &row.figures;
        let seconds = row.fit_seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.2}"));
        let moving = maae_moving.map_or_else(|| "-".to_owned(), |angle| format!("{angle:.4}"));
        let coverage = format!(
            "{:.1}/{:.1}/{:.1}",
            100.0 * coverage.half,
            100.0 * coverage.ninety,
            100.0 * coverage.ninety_nine
        );
        let [p50, ..] = row.step_us();
        let _infallible = writeln!(
            text,
            "{:<40} {nrmse:>7.4} {maae:>7.4} {moving:>7} {nees:>6.2} {coverage:>20} {:>9} {seconds:>7} {p50:>8.2}",
            row.spec.to_string(),
            row.decoded.fallback_steps,
        );
    }
    if rows_left_out > 0 {
        let _infallible = writeln!(text, "{rows_left_out} rows with zero truth are left out of the angles");
    }
    text
}

/// One CSV a decoder: row, mean, covariance (lower triangle).
fn write_predictions(
    folder: &Path,
    model: &Model,
    index: usize,
    intents: &[Intent],
    first_row: usize,
) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let names: Vec<&str> = model.components.iter().map(|component| component.name.as_str()).collect();
    let mut text = String::from("row");
    for name in &names {
        let _infallible = write!(text, ",{name}");
    }
    for (row, a) in names.iter().enumerate() {
        for b in names.iter().take(row + 1) {
            let _infallible = write!(text, ",covariance_{a}_{b}");
        }
    }
    for (row, intent) in intents.iter().enumerate() {
        let _infallible = write!(text, "\n{}", first_row + row);
        for value in intent.mean().iter().chain(intent.covariance()) {
            let _infallible = write!(text, ",{value}");
        }
    }
    text.push('\n');
    let path = folder.join(format!("{index}-{}.csv", model.decoder.decoder.as_str()));
    fs::write(&path, text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}

/// Decodes `rows` of the tables' features with the binner and engine of the live tick, cold from the first of them.
///
/// # Errors
/// When the model cannot be built.
pub fn decode_rows(model: &IdentifiedModel, tables: &Tables, rows: Range<usize>) -> anyhow::Result<Decoded> {
    let width = tables.features.width;
    let bin = Seconds::from_millis(tables.bin_ms);
    // rows further apart than any live bin have no live counterpart; gaps are then counted in rows
    let live = crate::plan::BIN_MS.contains(&tables.bin_ms);
    let stream = StreamBinning {
        binning: Binning::Sample,
        rate_hz: Some(1e3 / tables.bin_ms),
        required: true,
        blocks: 2,
        block_samples: 1,
    };
    let settings = BinnerSettings {
        width: bin,
        max_wait: Seconds(f64::INFINITY),
        epoch_jump: if live { EPOCH_JUMP } else { Seconds(10.0 * bin.0) },
        streams: vec![stream],
    };
    let mut binner = Binner::new(settings, ChannelMask::default())?;
    let mut engine = Engine::new(EngineSettings {
        features: vec![StreamFeatures { binning: Binning::Sample, channels: width, labels: None }],
        max_masked: 0.25,
        restart_after: Seconds::from_millis(if live {
            Configuration::default().bins.restart_after_ms
        } else {
            3.0 * tables.bin_ms
        }),
        stale_after: Seconds(f64::INFINITY),
        auto_resume: Seconds(f64::INFINITY),
        start: Mode::Idle,
        cursor: CursorSettings::default(),
        label_law: LabelLaw::default(),
    })?;
    let staged = model.stage()?;
    engine.stage(staged).map_err(|(error, _)| error)?;
    let mut commands = ArrayVec::<_, 1>::new();
    commands.push(kalmind_types::Command::SwapModel(model.id));

    let mut decoded = Decoded {
        intents: Vec::with_capacity(rows.len()),
        fallback_steps: 0,
        step_ns: Histogram::new_with_bounds(1, 60_000_000_000, 3)?,
    };
    let mut input = TickInput::empty();
    let mut spare = Some(Box::new(SampleBlock::with_capacity(NumberFormat::Double64, width, 1)));
    for row in rows {
        let mut block = spare
            .take()
            .unwrap_or_else(|| Box::new(SampleBlock::with_capacity(NumberFormat::Double64, width, 1)));
        fill(&mut block, row as u64, tables.time[row], tables.features.row(row));
        binner.accept(0, block);
        while binner.close_next(LslTime(f64::NEG_INFINITY), &commands, &mut input) {
            commands.clear();
            let start = clock::now();
            let output = engine.step(&input, &binner);
            decoded.step_ns.saturating_record(((clock::now() - start).0 * 1e9) as u64);
            decoded.fallback_steps += u64::from(output.fallback);
            if input.closed_by == BinClose::Sample {
                let intent = output.intent.ok_or_else(|| {
                    anyhow::anyhow!("row {row}: the decoder gave no finite intent; look for extreme values in the features there")
                })?;
                decoded.intents.push(intent);
            }
            binner.release(|_, block| spare = Some(block));
        }
    }
    Ok(decoded)
}

fn fill(block: &mut SampleBlock, index: u64, time: f64, values: &[f64]) {
    block.first_index = index;
    block.health = StreamHealth::Live;
    block.received = LslTime(time);
    block.stamps.clear();
    block.stamps.push(StreamTime(time));
    block.values.clear();
    if let Samples::Double64(kept) = &mut block.values {
        kept.extend_from_slice(values);
    }
}
