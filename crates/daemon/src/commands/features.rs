//! `kalmind features`: the features that a run would have made of recordings.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::Args;
use encoding_rs::Encoding;
use kalmind_offline::{
    features::{Crossing, FeatureFile, FeaturePlan, FeatureStream, make_features, write_crossings},
    tables::require_other_file,
};
use kalmind_types::{Counted, unlabelled};
use serde_json::json;

use crate::{
    commands::{beginning, command::Command, values::encoding},
    configuration::Configuration,
    failure::{OrFail as _, Outcome},
    log::say,
    starting::recorded::plan_features,
    terminal::Terminal,
};

/// Write the features that the daemon would have made of recordings, a row a bin.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example: kalmind features monday.xdf --config config/intracortical-broadband.toml -o features.csv --events spikes.csv"
)]
pub struct FeaturesArguments {
    /// Recordings: XDF files, by Kalmind or by others, and EDF and BDF files, whose signals of one rate are a stream without a name.
    #[arg(value_name = "RECORDING", required = true)]
    pub recordings: Vec<PathBuf>,
    /// Configuration of the daemon: which streams, their stages, bins.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// File to write: .csv (a table for `fit`: complete bins, an empty cell where a feature has no value) or .npz (all bins, NaN there).
    #[arg(short = 'o', long = "output", value_name = "OUT")]
    pub output: PathBuf,
    /// File to write the spikes to, a row each: time, channel.
    #[arg(long, value_name = "FILE.csv")]
    pub events: Option<PathBuf>,
    /// Encoding of a recording's texts, such as latin1 or gbk [default: UTF-8, and windows-1252 where a text is not].
    #[arg(long, value_name = "NAME", value_parser = encoding)]
    pub encoding: Option<&'static Encoding>,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
}

impl Command for FeaturesArguments {
    fn run(&self) -> Outcome<()> {
        beginning::offline()?;
        let made = make(self)?;
        let mut out = std::io::stdout().lock();
        if self.json {
            return writeln!(out, "{made}").or_work();
        }
        let count = |key: &str, thing| Counted(made[key].as_u64().unwrap_or_default(), thing);
        writeln!(
            out,
            "{} of {} in {}",
            count("rows", "bin"),
            count("features", "feature"),
            self.output.display()
        )
        .or_work()?;
        if let Some(events) = &self.events {
            writeln!(out, "{} in {}", count("events", "spike"), events.display()).or_work()?;
        }
        Ok(())
    }
}

/// Whether the features go into numpy's file.
fn is_npz(output: &Path) -> anyhow::Result<bool> {
    match output.extension().and_then(|extension| extension.to_str()) {
        Some("npz") => Ok(true),
        Some("csv") => Ok(false),
        _ => anyhow::bail!("-o {}: a name that ends in .csv or .npz says what to write", output.display()),
    }
}

/// Makes the features and writes the files; what came of it, as a document.
fn make(arguments: &FeaturesArguments) -> Outcome<serde_json::Value> {
    let FeaturesArguments { recordings, config, output, events, encoding, .. } = arguments;
    let npz = is_npz(output).or_usage()?;
    for (option, file) in [("-o", Some(output)), ("--events", events.as_ref())] {
        let Some(file) = file else { continue };
        require_other_file(option, file, recordings.iter().chain([config])).or_usage()?;
    }
    if let Some(events) = events {
        require_other_file("--events", events, core::iter::once(output)).or_usage()?;
    }
    let configuration = beginning::load_offline(config)?;
    let (mut table, mut spikes, mut remarks) = (None, Vec::new(), Vec::new());
    let mut first: Option<FeaturePlan> = None;
    for (number, path) in (0..).zip(recordings) {
        let plan = planned(&configuration, path, arguments, first.as_ref())?;
        let table = match &mut table {
            Some(table) => table,
            none => {
                let (layout, several) = (plan.layout().or_usage()?, recordings.len() > 1);
                let begin = if npz { FeatureFile::arrays } else { FeatureFile::table };
                none.insert(begin(output, &layout, several).or_work()?)
            }
        };
        let mut take = |crossing: Crossing| spikes.push((number, crossing));
        let take: Option<&mut dyn FnMut(Crossing)> = if events.is_some() { Some(&mut take) } else { None };
        let told = make_features(path, &plan, *encoding, &Terminal, &mut |row| table.push(number, row), take)
            .or_usage()
            .map_err(|failure| failure.about(path))?;
        remarks.extend(told.into_iter().map(|told| format!("{}: {told}", path.display())));
        let has_failed = table.has_failed();
        first.get_or_insert(plan);
        if has_failed {
            break;
        }
    }
    let Some((table, plan)) = table.zip(first) else { return Ok(json!({})) };
    let table = table.finish().or_work()?;
    if table.missing > 0 {
        remarks.push(format!(
            "{} of features without a valid sample: {} there",
            Counted(table.missing as u64, "value"),
            if npz { "NaN stands" } else { "cells are empty" }
        ));
    }
    if let Some(events) = events {
        let spiking = |stream: &FeatureStream| match &stream.stages {
            Some(stages) => Ok(stages.spiking()?.into_iter().map(|output| output.name).collect()),
            None => Ok(Vec::new()),
        };
        let names: anyhow::Result<Vec<Vec<String>>> = plan.streams.iter().map(spiking).collect();
        let names = names.or_usage()?;
        let name = |crossing: &Crossing| channel(&plan, &names, crossing);
        write_crossings(events, &mut spikes, name).or_work()?;
    }
    for remark in &remarks {
        say(&format!("note: {remark}"));
    }
    Ok(json!({
        "output": output, "rows": table.rows, "features": table.names.len(), "events": events.as_ref().map(|_| spikes.len()),
        "names": table.names, "remarks": remarks,
    }))
}

/// Plans the features of a recording, which have to be those of the first one.
fn planned(
    configuration: &Configuration,
    path: &Path,
    arguments: &FeaturesArguments,
    first: Option<&FeaturePlan>,
) -> Outcome<FeaturePlan> {
    let (plan, texts) = plan_features(configuration, path, arguments.encoding)?;
    for text in texts {
        say(&format!("{}: {text}", path.display()));
    }
    if arguments.events.is_some() && !plan.finds_spikes() {
        let error =
            anyhow::anyhow!("--events: no stream of {} has the stage `spikes`", arguments.config.display());
        return Err(error).or_usage();
    }
    if let Some(difference) = first.and_then(|first| first.difference(&plan)) {
        return Err(anyhow::anyhow!("{}: {difference}", path.display())).or_usage();
    }
    Ok(plan)
}

/// Name of the channel that spiked, with its stream's key in front where there are several; `names` are those of each stream.
fn channel(plan: &FeaturePlan, names: &[Vec<String>], crossing: &Crossing) -> String {
    let name = names.get(crossing.stream).and_then(|names| names.get(crossing.channel));
    let name = name.cloned().unwrap_or_else(|| unlabelled(crossing.channel));
    match plan.streams.get(crossing.stream).filter(|_| plan.streams.len() > 1) {
        Some(stream) => format!("{}.{name}", stream.key),
        None => name,
    }
}
