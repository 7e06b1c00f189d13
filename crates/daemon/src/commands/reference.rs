//! `kalmind reference`: what a stretch of rest fixes of the stages, learnt from a recording.

use std::{io::Write as _, path::PathBuf};

use clap::{Args, ValueEnum};
use encoding_rs::Encoding;
use kalmind_offline::{
    features::{AverageBy, ReferenceOptions, ScaleBy, Stretch, learn_reference},
    tables::require_other_file,
};
use kalmind_recording::{Existing, require_writable, write_new_file};
use kalmind_types::Counted;

use crate::{
    commands::{
        beginning,
        command::Command,
        values::{encoding, seconds},
    },
    configuration::read_reference,
    failure::{OrFail as _, Outcome},
    log::say,
    starting::recorded::plan_features,
    terminal::Terminal,
};

/// What the threshold of spikes is a multiple of.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scale {
    /// The root mean square.
    Rms,
    /// The median absolute deviation over 0.6745: many large spikes do not inflate it.
    Mad,
}

/// What becomes of common averages.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Average {
    /// They stay averages of all channels but dead ones.
    All,
    /// They are of the quietest channels of each array.
    Quietest,
    /// They become regressions: each channel less what the others of its array say about it.
    Regression,
}

/// Learn thresholds and references for the stages from a stretch of rest.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Example: kalmind reference rest.xdf --config config/intracortical-broadband.toml --average regression -o rest.reference.json\n`file = \"rest.reference.json\"` under [reference] has the daemon, features, fit and evaluate use it."
)]
pub struct ReferenceArguments {
    /// The recording: an XDF, EDF or BDF file.
    #[arg(value_name = "RECORDING")]
    pub recording: PathBuf,
    /// Configuration of the daemon: which streams, and the stages whose settings are learnt.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// What the threshold of spikes is a multiple of.
    #[arg(long, value_name = "SCALE", default_value = "rms")]
    scale: Scale,
    /// What becomes of common averages.
    #[arg(long, value_name = "AVERAGE", default_value = "all")]
    average: Average,
    /// With --average quietest: how many channels of each array.
    #[arg(long, value_name = "K", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    quietest: u16,
    /// With --average regression: its penalty, as part of the mean variance of an array's channels.
    #[arg(long, value_name = "PART", default_value_t = 1e-3, value_parser = ridge)]
    ridge: f64,
    /// Begin of the stretch, in seconds from the first sample.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, allow_negative_numbers = true, value_parser = seconds)]
    from: f64,
    /// Its end.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, allow_negative_numbers = true, value_parser = seconds)]
    to: f64,
    /// In place of both: a reference that was learnt from this recording, as a session saves one, whose samples are learnt from.
    #[arg(long, value_name = "FILE.json", conflicts_with_all = ["from", "to"])]
    stretch_of: Option<PathBuf>,
    /// Encoding of a recording's texts, such as latin1 or gbk [default: UTF-8, and windows-1252 where a text is not].
    #[arg(long, value_name = "NAME", value_parser = encoding)]
    pub encoding: Option<&'static Encoding>,
    /// File to write.
    #[arg(short = 'o', long = "output", value_name = "FILE.json")]
    pub output: PathBuf,
}

/// A penalty, more than none.
fn ridge(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(number) if number > 0.0 && number <= 1e6 => Ok(number),
        _ => Err("a number above 0 is expected".to_owned()),
    }
}

impl ReferenceArguments {
    /// What is learnt from.
    fn stretch(&self) -> Outcome<Stretch> {
        let Some(file) = &self.stretch_of else {
            let [from, to] = [self.from, self.to];
            return if from < to {
                Ok(Stretch::Seconds([from, to]))
            } else {
                Err(anyhow::anyhow!("--from {from} --to {to}: no time lies in between")).or_usage()
            };
        };
        let document = read_reference(file)
            .map_err(|why| anyhow::anyhow!("--stretch-of {}: {why}", file.display()))
            .or_usage()?;
        let recording = self.recording.file_name().map(|name| name.to_string_lossy().into_owned());
        if recording.as_ref() != Some(&document.recording) {
            let (file, of) = (file.display(), &document.recording);
            let why =
                anyhow::anyhow!("--stretch-of {file}: it was learnt from {of}, which is another recording");
            return Err(why).or_usage();
        }
        let stretch = document.stretch();
        let old = || {
            anyhow::anyhow!("--stretch-of {}: it does not say which samples it was learnt of", file.display())
        };
        stretch.ok_or_else(old).or_usage()
    }
}

impl Command for ReferenceArguments {
    fn run(&self) -> Outcome<()> {
        beginning::offline()?;
        let Self { recording, config, output, encoding, .. } = self;
        let read = [recording, config].into_iter().chain(&self.stretch_of);
        require_other_file("-o", output, read).or_usage()?;
        let stretch = self.stretch()?;
        require_writable(output, Existing::Replace).or_work()?;
        let configuration = beginning::load_to_learn(config)?;
        let (plan, texts) = plan_features(&configuration, recording, *encoding)?;
        for text in &texts {
            say(text);
        }
        let options = ReferenceOptions {
            scale: match self.scale {
                Scale::Rms => ScaleBy::Rms,
                Scale::Mad => ScaleBy::Mad,
            },
            average: match self.average {
                Average::All => AverageBy::All,
                Average::Quietest => AverageBy::Quietest,
                Average::Regression => AverageBy::Regression,
            },
            quietest: self.quietest.into(),
            ridge: self.ridge,
        };
        let document = learn_reference(recording, &plan, &stretch, &options, *encoding, &Terminal);
        let document = document.or_usage().map_err(|failure| failure.about(recording))?;
        for warning in &document.warnings {
            tracing::warn!("{warning}");
        }
        let bytes = serde_json::to_vec_pretty(&document).or_work()?;
        write_new_file(output, Existing::Replace, &bytes).or_work()?;
        let streams = Counted(document.streams.len() as u64, "stream");
        writeln!(std::io::stdout().lock(), "thresholds and references of {streams} in {}", output.display())
            .or_work()
    }
}
