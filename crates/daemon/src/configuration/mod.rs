//! The configuration: one TOML file in, plain structs out, or every problem of the file with its place.
//!
//! Each table is declared once (by `table!`): the declaration is the struct, its documentation, the defaults and
//! ranges, the reader, and `docs/configuration.md`. [`parse`] reads values one by one, then looks for
//! conflicts between them, and reports everything at once.
//!
//! *Invariant:* no environment variable is read here, and nothing but the named file is opened.

mod check;
mod decoding;
mod document;
mod electrode_map;
mod input;
mod named_settings;
mod outlets;
mod plane;
mod presets;
mod problem;
mod reader;
mod recording;
mod reference;
mod rest;
mod rule;
mod running;
mod secret;
mod server;
mod setting;
mod shape;
mod stages;
mod table;
mod task;
mod window;

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use kalmind_acquisition::{NetworkConfig, StreamSelector};
use kalmind_offline::features::{ReferenceDocument, is_learnt};
use kalmind_types::{Binning, Mode};
use sha2::{Digest as _, Sha256};

pub use decoding::{Cursor, Decoder, Intent, Safety};
pub use input::{Bins, ChannelReference, Stream, default_network};
pub use outlets::{CursorOutlet, EventsOutlet, Output};
pub use plane::{Gain, PositionSource, TargetSource};
pub use presets::{built_in_presets, load_preset, parse_preset, preset};
pub use problem::{ConfigurationErrors, Problem};
pub use recording::{Models, Record, Recorded, RecordedStream};
pub use reference::{DocumentedKey, documented_keys, presets_reference, reference};
pub use rest::{Learnt, Reference, read_reference};
pub use running::{Insistence, Instance, Log, LogFormat, Realtime, Sex, Subject};
pub use server::Server;
pub use task::{Marker, Task};
pub use window::Window;

use check::Conflicts;
use document::{Document, bytes_of, errors, text_of};
use rule::Rule;
use setting::Setting as _;

/// Where a configuration came from; recordings keep it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The file's name, as it was given.
    pub file_name: String,
    /// Its text as a recording keeps it: unchanged but for the token.
    pub text: String,
    /// The SHA-256 of the text, in lower-case hexadecimal.
    pub sha256: String,
    /// The keys and tables that the file gives, by path (`bins.bin_ms`); all others hold their defaults.
    pub given: BTreeSet<String>,
}

table::table! {
    /// Settings of the program as a whole.
    pub struct Configuration {
        /// What happens at start: `idle` waits until somebody asks for control, `control` moves the cursor at once.
        start: Mode = Mode::Idle;
        /// Which Kalmind this is.
        instance: Instance = Instance::default();
        /// The participant.
        subject: Subject = Subject::default();
        /// How streams are found.
        lsl: NetworkConfig = default_network();
        /// The streams to decode from.
        stream: Vec<Stream> = Vec::new();
        /// Windows at events.
        window: Vec<Window> = Vec::new();
        /// What a stretch of rest fixed.
        reference: Reference = Reference::default();
        /// How stream time is cut.
        bins: Bins = Bins::default();
        /// The model.
        decoder: Decoder = Decoder::default();
        /// What is decoded.
        intent: Intent = Intent::default();
        /// How intent moves the cursor.
        cursor: Cursor = Cursor::default();
        /// When the cursor stops.
        safety: Safety = Safety::default();
        /// The server.
        server: Server = Server::default();
        /// The outlets.
        output: Output = Output::default();
        /// Terms with the operating system.
        realtime: Realtime = Realtime::default();
        /// A task by others.
        task: Task = Task::default();
        /// Recordings.
        record: Record = Record::default();
        /// Saved models.
        models: Models = Models::default();
        /// The log.
        log: Log = Log::default();
    }
    beside {
        /// Where it came from.
        source: Source
    }
}

impl Configuration {
    /// The configuration in force as TOML, defaults included; [`parse`] reads it back as the same configuration.
    pub fn to_toml(&self) -> String {
        match self.write() {
            Some(toml::Value::Table(table)) => table.to_string(),
            _ => String::new(),
        }
    }

    /// Whether the file gives the key or table at `path` (as in `bins.bin_ms`), so that its value is no default.
    pub fn gives(&self, path: &str) -> bool {
        self.source.given.contains(path)
    }

    /// The labels of a cursor outlet's channels before selection, in their order.
    pub fn cursor_channels(&self) -> Vec<String> {
        outlets::cursor_channels(&self.intent.components)
    }

    /// A selector of this configuration, as streams are looked for by it: the outlets that this daemon makes itself are never
    /// meant, for they are there before anything is looked for.
    #[must_use]
    pub fn not_own(&self, selector: &StreamSelector) -> StreamSelector {
        let (instance, output) = (&self.instance.name, &self.output);
        let mut own: Vec<String> = output.lsl.iter().map(|outlet| outlet.source_id(instance)).collect();
        own.push(output.events.source_id(instance));
        selector.clone().but_not_own(&own)
    }

    /// As [`Self::not_own`], of a stream that need not be configured; none where it is not.
    #[must_use]
    pub fn not_own_if_given(&self, selector: &StreamSelector) -> Option<StreamSelector> {
        (*selector != StreamSelector::default()).then(|| self.not_own(selector))
    }

    /// Has what was learnt of a stretch of rest count for the streams.
    ///
    /// # Errors
    /// A sentence that says why it cannot.
    pub fn apply_reference(&mut self, file: PathBuf, document: ReferenceDocument) -> Result<(), String> {
        let written = self.stream.iter().map(|stream| stream.stages.clone()).collect();
        rest::apply(&document, &mut self.stream)?;
        self.reference.learnt = Some(Box::new(Learnt { file, document, written }));
        Ok(())
    }

    /// The same with the streams' stages as they were written, to learn from another stretch.
    #[must_use]
    pub fn unlearnt(&self) -> Self {
        let mut configuration = self.clone();
        if let Some(learnt) = configuration.reference.learnt.take() {
            for (stream, written) in configuration.stream.iter_mut().zip(learnt.written) {
                stream.stages = written;
            }
        }
        configuration
    }

    /// Whether any stage takes anything from a stretch of rest.
    #[must_use]
    pub fn learns_from_rest(&self) -> bool {
        self.stream.iter().any(|stream| stream.stages.iter().any(is_learnt))
    }

    /// Why nothing can be learnt from a rest in a run of this configuration; none where it can. `is_recorded` says whether the run is.
    #[must_use]
    pub fn why_no_rest(&self, is_recorded: bool) -> Option<&'static str> {
        if !self.learns_from_rest() {
            Some("no stage of a stream takes anything from it (`spikes` and `reference` do)")
        } else if self.record.what == Recorded::Derived {
            Some("samples are not recorded as they are received (`what = \"both\"` under [record])")
        } else if !is_recorded {
            Some("the session is not recorded (`folder` under [record]), and it is learnt from the recording")
        } else {
            None
        }
    }

    /// What the task's marker stream is found by; none where it is not configured.
    #[must_use]
    pub fn marker_stream(&self) -> Option<StreamSelector> {
        self.not_own_if_given(&self.task.selector)
    }
}

/// Reads the configuration in a file.
///
/// A relative `decoder.model` comes back joined to the file's folder, and has to be a file; so do `record.folder` and
/// `models.folder`, which need not be there.
///
/// # Errors
/// Everything that is wrong with the file, with places: not readable, not UTF-8, not TOML, unknown keys, wrong values,
/// conflicts.
pub fn load(path: &Path) -> Result<Configuration, ConfigurationErrors> {
    load_for(path, Use::Decoding)
}

/// As [`load`], for a command that takes only settings of LSL and names from the file: `[[stream]]` may be missing.
///
/// # Errors
/// As [`load`].
pub fn load_settings(path: &Path) -> Result<Configuration, ConfigurationErrors> {
    load_for(path, Use::Settings)
}

/// As [`load`], for a command that works on recordings: no model has to be there yet.
///
/// # Errors
/// As [`load`].
pub fn load_offline(path: &Path) -> Result<Configuration, ConfigurationErrors> {
    load_for(path, Use::Offline)
}

/// As [`load_offline`], for a command that learns what `reference.file` will say: the file need not be there, and does not count.
///
/// # Errors
/// As [`load`].
pub fn load_to_learn(path: &Path) -> Result<Configuration, ConfigurationErrors> {
    load_for(path, Use::Learning)
}

/// What a configuration is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// To decode streams: at least one is needed.
    Decoding,
    /// To make features of recordings.
    Offline,
    /// To learn a reference for its stages.
    Learning,
    /// For its settings alone.
    Settings,
}

fn load_for(path: &Path, purpose: Use) -> Result<Configuration, ConfigurationErrors> {
    let file_name = path.display().to_string();
    let bytes = bytes_of(path, "config/features.toml")?;
    let text = text_of(&bytes, &file_name)?;
    let (read, mut problems) = read(text, &file_name, purpose);
    let (mut configuration, places) = read;
    let folder = path.parent().unwrap_or(Path::new(""));
    if let Some(model) = &mut configuration.decoder.model {
        *model = folder.join(&*model);
        if !model.is_file() && !matches!(purpose, Use::Offline | Use::Learning) {
            let span = places.get("decoder.model").map_or(0..0, |place| place.value.clone());
            let found = format!("there is no file {}", model.display());
            let help =
                "a model file (`kalmind fit` writes one); a relative path starts at this file's folder";
            problems.push(Problem::new(span, "`decoder.model` names no file", found, help));
        }
    }
    if let Err((path, problem)) = electrode_map::apply(&mut configuration.stream, folder) {
        let span = places.get(&path).map_or(0..0, |place| place.value.clone());
        let title = format!("`maps` of `{path}` cannot be used");
        let help = "files of electrodes, a line each: column, row, bank, electrode, label; a relative path starts at this file's folder";
        problems.push(Problem::new(span, title, problem, help));
    }
    if let Some(file) =
        configuration.reference.file.as_mut().filter(|_| problems.is_empty() && purpose != Use::Learning)
    {
        *file = folder.join(&*file);
        let file = file.clone();
        let read = read_reference(&file);
        if let Err(problem) = read.and_then(|learnt| configuration.apply_reference(file.clone(), learnt)) {
            let span = places.get("reference.file").map_or(0..0, |place| place.value.clone());
            let found = format!("{}: {problem}", file.display());
            let help = format!(
                "a file that `kalmind reference RECORDING --config {file_name} -o {}` wrote for these streams and stages",
                file.display()
            );
            problems.push(Problem::new(span, "`reference.file` cannot be used", found, help));
        }
    }
    if let Some(recordings) = &mut configuration.record.folder {
        *recordings = folder.join(&*recordings);
    }
    configuration.models.folder = folder.join(&configuration.models.folder);
    if problems.is_empty() { Ok(configuration) } else { Err(errors(&file_name, text, problems)) }
}

/// Reads a configuration from text; `file_name` is what errors show. Opens no file.
///
/// # Errors
/// Everything that is wrong with the text, with places.
pub fn parse(text: &str, file_name: &str) -> Result<Configuration, ConfigurationErrors> {
    parse_bytes(text.as_bytes(), file_name)
}

/// As [`parse`], from bytes that may not be text at all.
///
/// # Errors
/// As [`parse`]; bytes that are not UTF-8 are one problem at the first of them.
pub fn parse_bytes(bytes: &[u8], file_name: &str) -> Result<Configuration, ConfigurationErrors> {
    let text = text_of(bytes, file_name)?;
    let ((configuration, _), problems) = read(text, file_name, Use::Decoding);
    if problems.is_empty() { Ok(configuration) } else { Err(errors(file_name, text, problems)) }
}

/// Why no configuration could hold a text where any text is allowed, as names and units of components are.
#[must_use]
pub fn objection_to_text(text: &str) -> Option<String> {
    Rule::Any.objection_to_text(text)
}

/// The configuration as far as it can be read, where its keys stand, and everything that is wrong with it.
fn read(text: &str, file_name: &str, purpose: Use) -> ((Configuration, reader::Places), Vec<Problem>) {
    let Document { read, places, spoiled, mut problems, is_toml } = Document::<Configuration>::read(text);
    let mut configuration = read.unwrap_or_default();
    if is_toml {
        follow_the_leader(&mut configuration, &places);
        let mut conflicts = Conflicts { places: &places, spoiled: &spoiled, problems };
        conflicts.all(&configuration, purpose);
        problems = conflicts.problems;
    }
    let sha256 = Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut hash, byte| {
        let _infallible = write!(hash, "{byte:02x}");
        hash
    });
    let given = places.keys().cloned().collect();
    let place = places.get("server.token").map(|place| place.value.clone());
    let text = secret::without_token(text, place, configuration.server.token.as_deref());
    configuration.source = Source { file_name: file_name.to_owned(), text, sha256, given };
    ((configuration, places), problems)
}

/// The bin width follows from the rate of the stream whose samples are the bins, unless it is given.
fn follow_the_leader(configuration: &mut Configuration, places: &reader::Places) {
    let leader = configuration.stream.iter().find(|stream| stream.binning == Binning::Sample);
    if let Some(rate_hz) = leader.and_then(|leader| leader.rate_hz)
        && !places.contains_key("bins.bin_ms")
    {
        configuration.bins.bin_ms = 1000.0 / rate_hz;
    }
}

impl Conflicts<'_> {
    /// Every conflict of a configuration.
    fn all(&mut self, configuration: &Configuration, purpose: Use) {
        let Configuration { lsl, stream, bins, intent, cursor, task, output, .. } = configuration;
        // the components of the intent are the model's, which is not read here
        let model_decides = configuration.decoder.model.is_some() && !self.given("intent.components");
        self.start(configuration);
        self.network(lsl);
        if purpose != Use::Settings || !stream.is_empty() {
            self.streams(stream);
            self.stages(stream);
        }
        self.windows(&configuration.window, stream);
        self.recordings(&configuration.record.stream, stream);
        self.bins(bins, stream);
        self.safety(&configuration.safety, bins.bin_ms);
        self.intent_and_cursor(intent, cursor, model_decides);
        self.server(&configuration.server);
        self.outlets(output, &configuration.instance.name, &configuration.cursor_channels(), model_decides);
        self.planes(&cursor.position_from, &task.targets_from);
        self.realtime(&configuration.realtime);
        self.markers(&task.markers);
    }

    /// Whether what is asked for at the start can be had.
    fn start(&mut self, configuration: &Configuration) {
        if configuration.start == Mode::Control
            && configuration.decoder.model.is_none()
            && self.known(&["start", "decoder"])
        {
            self.at(
                self.value("start"),
                "`start` = \"control\" needs a model",
                "nothing could move the cursor",
                "add model = \"FILE\" under [decoder], or set start = \"idle\"",
            );
        }
    }
}
