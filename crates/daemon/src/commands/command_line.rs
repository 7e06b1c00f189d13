//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use encoding_rs::Encoding;
use kalmind_offline::TableOptions;

/// Turns neural samples that arrive over Lab Streaming Layer into a cursor, in real time. Not a medical device.
#[derive(Debug, Parser)]
#[command(
    name = "kalmind",
    version,
    propagate_version = true,
    after_help = "Example: kalmind demo\nThe help of each command shows an example."
)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a simulated participant, the daemon and the live page in one go: open loop, fit, closed loop.
    #[command(after_help = "Example: kalmind demo --headless --seconds 60 --seed 1 --json")]
    Demo(DemoArguments),
    /// Run the daemon: decode the configured streams and publish the cursor.
    #[command(
        after_help = "Example: kalmind run --config config/features.toml --record session.xdf --wait 10"
    )]
    Run(RunArguments),
    /// List the streams on the network, with measured rate, age and clock offset.
    #[command(after_help = "Example: kalmind streams --seconds 3 --json")]
    Streams(StreamsArguments),
    /// Check what a session needs of this machine, and say what to do if something is missing.
    #[command(
        after_help = "Example: kalmind doctor --config config/features.toml\nExit code 0: all is well, or warnings only; 1: a problem was found; 2: the configuration cannot be used."
    )]
    Doctor(DoctorArguments),
    /// Fit a decoder and write a model file.
    #[command(
        after_help = "Example: kalmind fit --features x.csv --states z.csv --rate 10 --rows 0..5000 --decoder dkf-nw -o model.kalmind\n`kalmind fit --help DECODER` lists a decoder's options."
    )]
    Fit(FitArguments),
    /// Compare decoders on held-out rows, as the live daemon would run them.
    #[command(
        after_help = "Example: kalmind evaluate --features x.csv --states z.csv --rate 10 --train 0..5000 --test 5000..6000 --decoders kalman,dkf-nw:lags=1,5,10\n         kalmind evaluate monday.xdf tuesday.xdf friday.xdf --leave-one-out --decoders kalman,wiener --csv figures.csv\n`kalmind evaluate --help DECODER` lists a decoder's options."
    )]
    Evaluate(EvaluateArguments),
    /// The decoders, or the options of one with values, defaults and meaning.
    #[command(after_help = "Example: kalmind decoders dkf-nw")]
    Decoders(DecodersArguments),
    /// Replay a recorded session from its raw samples and compare it bit for bit with what was published.
    #[command(after_help = "Example: kalmind replay session.xdf --json")]
    Replay(ReplayArguments),
    /// Inspect, check, repair and export recordings, and write a report page of a session.
    #[command(subcommand, after_help = "Example: kalmind recording info session.xdf")]
    Recording(RecordingCommand),
    /// Run the simulated participant alone, as an LSL stream.
    #[command(after_help = "Example: kalmind simulate --seed 1 --instance Kalmind")]
    Simulate(SimulateArguments),
}

/// Arguments of `kalmind demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArguments {
    /// Seconds of closed loop after the fit [default: until Ctrl-C; with --headless 60].
    #[arg(long, value_name = "N", value_parser = seconds, allow_negative_numbers = true)]
    pub seconds: Option<f64>,
    /// Seconds of open loop before the fit.
    #[arg(long, value_name = "N", default_value_t = 30.0, value_parser = seconds, allow_negative_numbers = true)]
    pub calibration_seconds: f64,
    /// Without the page: print the result and end.
    #[arg(long)]
    pub headless: bool,
    /// Seed of the participant and of the order of targets.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Decoder to fit, with options.
    #[arg(long, value_name = "NAME", default_value = "kalman-steady")]
    pub decoder: String,
    /// Record to this file, which must not exist yet.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Let other programs find the demo's streams, on this machine or on the local network [default: nobody else].
    #[arg(long, value_enum, value_name = "SCOPE")]
    pub network: Option<DemoNetwork>,
    /// Control experiment: fit to labels in random order, so that the model learns nothing.
    #[arg(long)]
    pub shuffled_labels: bool,
    /// Configuration to start from [default: built in, the same as config/demo.toml].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Who can find the streams of a demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DemoNetwork {
    /// Programs on this machine.
    Machine,
    /// Programs on the local network.
    Lab,
}

/// Arguments of `kalmind run`.
#[derive(Args, Clone, Debug)]
pub struct RunArguments {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Record to this file, which must not exist yet [default: a file in the configuration's `[record] folder`, if any].
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Seconds to wait for the configured streams before giving up.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds, allow_negative_numbers = true)]
    pub wait: f64,
    /// Print the summary at the end as one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `kalmind streams`.
#[derive(Args, Clone, Debug)]
pub struct StreamsArguments {
    /// Seconds to listen.
    #[arg(long, value_name = "N", default_value_t = 2.0, value_parser = seconds, allow_negative_numbers = true)]
    pub seconds: f64,
    /// Configuration whose `[lsl]` settings to use.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `kalmind doctor`.
#[derive(Args, Clone, Debug)]
pub struct DoctorArguments {
    /// Configuration to check the machine for [default: every key at its default].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
    /// Try LSL in this process, for the one that started it.
    #[arg(long, hide = true)]
    pub probe: bool,
}

/// Arguments of `kalmind decoders`.
#[derive(Args, Clone, Debug)]
pub struct DecodersArguments {
    /// The decoder whose options to list [default: all decoders, a line each].
    #[arg(value_name = "NAME")]
    pub decoder: Option<String>,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Where features and states come from.
#[derive(Args, Clone, Debug, Default)]
pub struct TableArguments {
    /// Recordings instead of tables. Kalmind sessions supply features, and labels from their targets; for other files name
    /// the streams or signals.
    #[arg(value_name = "RECORDING", conflicts_with_all = ["features", "states", "rate", "task"])]
    pub recordings: Vec<PathBuf>,
    /// Blocks of the recordings to use, separated by commas, or `all` [default: `open_loop`, or all where there was none].
    #[arg(long, value_name = "BLOCKS", requires = "recordings", conflicts_with_all = ["states_stream", "state_channels"])]
    pub blocks: Option<String>,
    /// A stream of the recordings, by name or key, whose channels are the states, instead of labels from targets.
    #[arg(long, value_name = "STREAM", requires = "recordings")]
    pub states_stream: Option<String>,
    /// Channels of that stream, by label or number from 0, separated by commas [default: all]; for an EDF or BDF file,
    /// the signals to use as states.
    #[arg(long, value_name = "CHANNELS", requires = "recordings")]
    pub state_channels: Option<String>,
    /// A stream of the recordings, by name or key, whose samples are the features, one row each [default: the features of
    /// the Kalmind session].
    #[arg(long, value_name = "STREAM", requires = "recordings", requires = "states_stream")]
    pub features_stream: Option<String>,
    /// Channels of that stream, by label or number from 0, separated by commas [default: all]; for an EDF or BDF file,
    /// the signals to use as features [default: all that are not states].
    #[arg(long, value_name = "CHANNELS", requires = "recordings")]
    pub feature_channels: Option<String>,
    /// Features, one row per bin; may be repeated, each with its own --states.
    #[arg(long, value_name = "X.csv", required_unless_present = "recordings")]
    pub features: Vec<PathBuf>,
    /// States to decode, one row per bin, as many rows as the features; may be repeated.
    #[arg(long, value_name = "Z.csv", required_unless_present = "recordings")]
    pub states: Vec<PathBuf>,
    /// Rows per second, where the files have no `time` column.
    #[arg(long, value_name = "HZ", value_parser = rate, allow_negative_numbers = true)]
    pub rate: Option<f64>,
    /// Task table: `time,trial,target_x,target_y,cursor_x,cursor_y,hold`; may be repeated, one for each --features.
    #[arg(long, value_name = "T.csv")]
    pub task: Vec<PathBuf>,
    /// Encoding of a recording's texts, such as latin1 or gbk [default: UTF-8, and windows-1252 where a text is not].
    #[arg(long, value_name = "NAME", value_parser = encoding, requires = "recordings")]
    pub encoding: Option<&'static Encoding>,
    /// Z-score the features with the training rows' mean and standard deviation; always with a recording.
    #[arg(long)]
    pub zscore: bool,
}

impl TableArguments {
    /// The same for the library.
    #[must_use]
    pub fn options(&self) -> TableOptions {
        TableOptions {
            recordings: self.recordings.clone(),
            blocks: self.blocks.clone(),
            states_stream: self.states_stream.clone(),
            state_channels: self.state_channels.clone(),
            features_stream: self.features_stream.clone(),
            feature_channels: self.feature_channels.clone(),
            features: self.features.clone(),
            states: self.states.clone(),
            rate: self.rate,
            task: self.task.clone(),
            encoding: self.encoding,
            zscore: self.zscore,
        }
    }
}

/// Arguments of `kalmind fit`.
#[derive(Args, Clone, Debug)]
pub struct FitArguments {
    /// Tables.
    #[command(flatten)]
    pub tables: TableArguments,
    /// Training rows A to B - 1, counted from 0 [default: all]; for a single recording or pair of tables.
    #[arg(long, value_name = "A..B")]
    pub rows: Option<String>,
    /// Decoder, with options after a colon.
    #[arg(long, value_name = "NAME")]
    pub decoder: String,
    /// How the daemon makes features of a stream's samples: sample, mean or sum.
    #[arg(long, value_name = "BINNING", default_value = "sample")]
    pub binning: String,
    /// Names of the intent's components, separated by commas [default: the states' header, else vx, vy, ...].
    #[arg(long, value_name = "NAMES")]
    pub components: Option<String>,
    /// Unit of the intent's components [default: what the states say, as in a column "vx (mm/s)", else a.u.].
    #[arg(long, value_name = "UNIT", default_value = "", hide_default_value = true)]
    pub unit: String,
    /// Participant code stored in the model.
    #[arg(long, value_name = "CODE")]
    pub participant: Option<String>,
    /// Seed of whatever is random in the fit.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Time limit for the fit, in seconds [default: none].
    #[arg(long, value_name = "SECONDS", value_parser = budget, allow_negative_numbers = true)]
    pub budget: Option<f64>,
    /// Model file to write.
    #[arg(short = 'o', long = "output", value_name = "MODEL")]
    pub output: PathBuf,
    /// Print the report as one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `kalmind evaluate`.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Args, Clone, Debug)]
pub struct EvaluateArguments {
    /// Tables.
    #[command(flatten)]
    pub tables: TableArguments,
    /// Training rows of each recording, half-open, from 0; with --folds the rows that are cut into folds [default there: all].
    #[arg(long, value_name = "A..B", conflicts_with = "model")]
    pub train: Option<String>,
    /// Test rows of each recording, half-open, from 0; or a recording (of tables the file of its features) to test on after
    /// training on all others, which may be repeated.
    #[arg(long, value_name = "C..D|FILE", conflicts_with = "folds")]
    pub test: Vec<String>,
    /// Cross-validate instead: cut the rows of each recording into N blocks, test on each after training on the others.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=100), conflicts_with = "model")]
    pub folds: Option<u8>,
    /// Test on each recording in turn after training on all others.
    #[arg(long, conflicts_with_all = ["model", "folds", "train", "test"])]
    pub leave_one_out: bool,
    /// Decoders to compare, separated by commas; may be repeated. Several values of an option make a grid:
    /// `dkf-nw:lags=1,5,10`. Differences are to the first.
    #[arg(long, value_name = "LIST", required_unless_present = "model", conflicts_with = "model")]
    pub decoders: Vec<String>,
    /// A fitted model instead of decoders to fit.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// Seed of whatever is random in the fits, and of the bootstrap.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Fit with N seeds, from --seed up, and print means; decoders that no seed changes are fitted once.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=100), conflicts_with = "model")]
    pub seeds: u8,
    /// Time limit for each fit, in seconds [default: none].
    #[arg(long, value_name = "SECONDS", value_parser = budget, allow_negative_numbers = true, conflicts_with = "model")]
    pub budget: Option<f64>,
    /// Offset on a channel (column name or number from 0; `all` for each in turn) during the test, in standard deviations
    /// of its training rows; may be repeated.
    #[arg(long, value_name = "CHANNEL:OFFSET", allow_hyphen_values = true)]
    pub perturb: Vec<String>,
    /// Measure the influence of each channel on the output: decodes the test rows twice per channel.
    #[arg(long)]
    pub influence: bool,
    /// Keep features within Z training standard deviations of the training mean, in training and test.
    #[arg(long, value_name = "Z", value_parser = deviations, allow_negative_numbers = true, conflicts_with = "model")]
    pub saturate: Option<f64>,
    /// Confidence intervals in the JSON document as well.
    #[arg(long)]
    pub intervals: bool,
    /// Put R squared and the chance level into the JSON document as well.
    #[arg(long)]
    pub chance: bool,
    /// Bootstrap resamples for the intervals.
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    pub resamples: u32,
    /// Table to write: one row per recording, decoder and fold, with all figures.
    #[arg(long, value_name = "FILE.csv")]
    pub csv: Option<PathBuf>,
    /// Folder for one CSV per decoder: row, mean, covariance (lower triangle).
    #[arg(long, value_name = "DIR")]
    pub predictions: Option<PathBuf>,
    /// Report page to write: figures with intervals, traces, calibration, robustness, what each fit chose; loads nothing
    /// from a network.
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
}

/// How fast a recording is replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReplaySpeed {
    /// As fast as possible.
    #[default]
    Max,
    /// At the recorded speed.
    #[value(name = "1")]
    Real,
}

/// Arguments of `kalmind replay`.
#[derive(Args, Clone, Debug)]
#[command(group(clap::ArgGroup::new("open_loop").args(["model", "decoder"]).multiple(true)))]
pub struct ReplayArguments {
    /// The recording.
    #[arg(value_name = "RECORDING")]
    pub recording: PathBuf,
    /// Decode with this model instead and report its error against the recorded targets. This does not predict online
    /// control.
    #[arg(long, value_name = "MODEL", conflicts_with = "decoder")]
    pub model: Option<PathBuf>,
    /// Decode with this decoder instead, fitted to the open loop and tested on what came after; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub decoder: Vec<String>,
    /// Rows to fit the decoder to, half-open, from 0, instead of the open loop; it is tested on the rows after them, or on
    /// those before if there are none after.
    #[arg(long, value_name = "A..B", requires = "decoder")]
    pub train: Option<String>,
    /// Report page to write, as `evaluate` does; with --model or --decoder.
    #[arg(long, value_name = "FILE.html", requires = "open_loop", conflicts_with = "lsl")]
    pub report: Option<PathBuf>,
    /// Seed of whatever is random in the fit.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// As fast as possible (`max`) or at the recorded speed (`1`).
    #[arg(long, value_enum, default_value_t = ReplaySpeed::Max)]
    pub speed: ReplaySpeed,
    /// Play the recording's streams over LSL in real time instead, for other programs. Takes any XDF file.
    #[arg(long, conflicts_with_all = ["model", "decoder", "json"])]
    pub lsl: bool,
    /// With --lsl: start streams together whose time stamps are on different clocks.
    #[arg(long, requires = "lsl")]
    pub align: bool,
    /// With --lsl: encoding of texts, such as latin1 [default: UTF-8, or windows-1252 if a text is not UTF-8].
    #[arg(long, value_name = "NAME", value_parser = encoding, requires = "lsl")]
    pub encoding: Option<&'static Encoding>,
    /// Configuration whose `[lsl]` settings to use, with --lsl.
    #[arg(long, value_name = "FILE", requires = "lsl")]
    pub config: Option<PathBuf>,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
}

/// What to do with a recording.
#[derive(Debug, Subcommand)]
pub enum RecordingCommand {
    /// List everything odd or wrong in an XDF file, with its byte offset; exit code 1 if something cannot be read.
    #[command(after_help = "Example: kalmind recording check session.xdf")]
    Check(RecordingFile),
    /// Write a repaired copy of an XDF file: without a torn tail, with footers. Whatever is left out goes to a file beside it;
    /// exit code 1 if something in the middle was lost or cannot be explained.
    #[command(after_help = "Example: kalmind recording repair session.xdf -o repaired.xdf")]
    Repair(RepairArguments),
    /// Show a file's type and what you can do with it; for a recording also streams, rates, gaps, duration, writer.
    #[command(after_help = "Example: kalmind recording info session.xdf --json")]
    Info(RecordingFile),
    /// Write the report page of a session: signals, targets, latency, what needs attention. Each run writes it beside its
    /// recording.
    #[command(after_help = "Example: kalmind recording report session.xdf")]
    Report(ReportArguments),
    /// Write every stream as a CSV file (for NWB see docs/nwb.md).
    #[command(after_help = "Example: kalmind recording export session.xdf --csv session")]
    Export(ExportArguments),
}

/// A recording.
#[derive(Args, Clone, Debug)]
pub struct RecordingFile {
    /// The recording.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Encoding of texts, such as latin1 or gbk [default: UTF-8, and windows-1252 where a text is not].
    #[arg(long, value_name = "NAME", value_parser = encoding)]
    pub encoding: Option<&'static Encoding>,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `kalmind recording repair`.
#[derive(Args, Clone, Debug)]
pub struct RepairArguments {
    /// The recording.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The repaired file [default: beside the recording, as NAME.repaired.xdf].
    #[arg(short = 'o', long = "output", value_name = "FILE", conflicts_with = "in_place")]
    pub output: Option<PathBuf>,
    /// Put the repaired file in the recording's place, and keep the recording as NAME.before-repair.xdf.
    #[arg(long)]
    pub in_place: bool,
    /// Overwrite the output if it exists.
    #[arg(long, conflicts_with = "in_place")]
    pub force: bool,
    /// Print one JSON document on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `kalmind recording report`.
#[derive(Args, Clone, Debug)]
pub struct ReportArguments {
    /// The recording of a session.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Page to write [default: beside the recording].
    #[arg(short = 'o', long = "output", value_name = "FILE.html")]
    pub output: Option<PathBuf>,
}

/// Which stamps an export has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Stamps {
    /// On the clock of the machine that recorded.
    #[default]
    Synchronized,
    /// That, and without jitter.
    Dejittered,
    /// As they were sent.
    Raw,
}

impl Stamps {
    /// As it is given on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Synchronized => "synchronized",
            Self::Dejittered => "dejittered",
            Self::Raw => "raw",
        }
    }
}

/// Arguments of `kalmind recording export`.
#[derive(Args, Clone, Debug)]
pub struct ExportArguments {
    /// The recording.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Folder for the CSV files, one per stream.
    #[arg(long, value_name = "FOLDER")]
    pub csv: PathBuf,
    /// Time stamps on the recorder's clock, the same without jitter, or as they were sent.
    #[arg(long, value_enum, default_value_t = Stamps::Synchronized)]
    pub stamps: Stamps,
    /// Encoding of texts, such as latin1 or gbk [default: UTF-8, or windows-1252 if a text is not UTF-8].
    #[arg(long, value_name = "NAME", value_parser = encoding)]
    pub encoding: Option<&'static Encoding>,
    /// Overwrite files that exist.
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `kalmind simulate`.
#[derive(Args, Clone, Debug)]
pub struct SimulateArguments {
    /// Seed: with the same seed and the same messages the participant does the same.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Instance name of the daemon to watch [default: that of --config, else Kalmind].
    #[arg(long, value_name = "NAME")]
    pub instance: Option<String>,
    /// Name of the stream of counts.
    #[arg(long, value_name = "NAME", default_value = "Kalmind-Participant")]
    pub stream: String,
    /// Configuration whose `[lsl]` settings and instance name to use, so as to meet a daemon that runs with it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// End after this many seconds [default: run until Ctrl-C].
    #[arg(long, value_name = "N", value_parser = seconds, allow_negative_numbers = true)]
    pub seconds: Option<f64>,
    /// Depth of tuning; the standard is 0.5, less is harder.
    #[arg(long, value_name = "SCALE", default_value_t = 0.5, value_parser = strength, allow_negative_numbers = true)]
    pub modulation: f64,
    /// Drift per minute (standard deviations): rotation of the tuning in degrees, and change of baseline log rates.
    #[arg(long, value_name = "DEGREES[:LOG]")]
    pub drift: Option<String>,
    /// Units that fall silent.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub drop: usize,
    /// Offset on one channel, in standard deviations of its baseline counts.
    #[arg(long, value_name = "CHANNEL:Z")]
    pub offset: Vec<String>,
    /// Further delay of what the participant sees, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 0.0, value_parser = delay_ms, allow_negative_numbers = true)]
    pub delay_ms: f64,
    /// Standard deviation of further noise on every log rate.
    #[arg(long, value_name = "SD", default_value_t = 0.0, value_parser = strength, allow_negative_numbers = true)]
    pub noise: f64,
    /// End when the program that started this one ends.
    #[arg(long, hide = true)]
    pub end_with_parent: bool,
}

/// The name of an encoding, as the web knows it.
fn encoding(name: &str) -> Result<&'static Encoding, String> {
    Encoding::for_label(name.as_bytes()).ok_or_else(|| {
        "no such encoding; latin1, windows-1250, shift_jis, gbk, koi8-r and utf-16le are some".to_owned()
    })
}

/// Thirty days: the longest that anything may be asked to last, in seconds.
const LONGEST_S: f64 = 30.0 * 86_400.0;

/// A number from the command line that lies from `least` to `most`.
fn within(text: &str, least: f64, most: f64, what: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("{what} from {least} to {most} is expected")),
    }
}

/// Seconds, zero or more, no more than thirty days.
fn seconds(text: &str) -> Result<f64, String> {
    within(text, 0.0, LONGEST_S, "a number of seconds")
}

/// Seconds of a computation, more than none.
fn budget(text: &str) -> Result<f64, String> {
    within(text, 0.000_001, LONGEST_S, "a number of seconds")
}

/// Rows a second: a row in fifty seconds to a million a second.
fn rate(text: &str) -> Result<f64, String> {
    within(text, 0.02, 1e6, "a number of rows per second")
}

/// Standard deviations, more than none.
fn deviations(text: &str) -> Result<f64, String> {
    within(text, 1e-6, 1e6, "a number of standard deviations")
}

/// A delay of the simulated participant, in milliseconds.
fn delay_ms(text: &str) -> Result<f64, String> {
    within(text, 0.0, 9_500.0, "a number of milliseconds")
}

/// Strength of tuning or of noise.
fn strength(text: &str) -> Result<f64, String> {
    within(text, 0.0, 10.0, "a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_of_the_command_line_may_be_absurd() {
        for parse in [seconds, budget, rate, deviations, delay_ms, strength] {
            for absurd in ["1e300", "-1", "nan", "inf", "-inf", "", "1e9", "three", "0x10"] {
                assert!(parse(absurd).is_err(), "{absurd}");
            }
            assert!(parse("5").is_ok());
        }
        assert_eq!(seconds("0"), Ok(0.0));
        assert!(budget("0").is_err() && rate("0").is_err() && deviations("0").is_err());
        assert_eq!(seconds("-1").unwrap_err(), "a number of seconds from 0 to 2592000 is expected");
    }
}
