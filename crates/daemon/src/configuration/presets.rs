//! Presets of a session: those that come with Kalmind, and files by others. Each is read as the configuration is.

use std::{collections::BTreeMap, path::Path};

use kalmind_filter::DecoderSpec;
use kalmind_session::{AssistancePoint, BlockPlan, ComparePlan, Preset};
use kalmind_types::TaskBlock;

use super::{
    Configuration,
    document::{Document, bytes_of, errors, text_of},
    problem::{ConfigurationErrors, Problem},
    rule::Rule,
    table::table_of,
};

/// The longest block and the longest pause, in seconds.
const LONGEST_S: f64 = 14_400.0;

table_of! {
    /// What a session does, block by block.
    Preset {
        /// By which requests and the command line call it.
        name: String = String::new(), in Rule::SessionId, and required;
        /// What people read.
        title: String = String::new(), and required;
        /// What it is for, in a sentence or two.
        about: String = String::new(), in Rule::Unit;
        /// The decoder that is fitted, as on the command line (`dkf-nw:form=robust`).
        decoder: Option<String> = None, or "`[task] decoder`";
        /// Factor on `[cursor] gain`; whoever runs the session may change it.
        gain: Option<f64> = None, in Rule::Between(0.1, 10.0), or "1";
        /// By how much that gain grows for each workspace width per second that is decoded, up to the speed limit: small movements
        /// stay small, and large ones take less time.
        gain_growth: Option<f64> = None, in Rule::Between(0.0, 10.0), or "0";
        /// The blocks, in order; 1 to 64.
        blocks as "block": Vec<BlockPlan> = Vec::new();
        /// Decoders that are compared after them.
        compare: Option<ComparePlan> = None;
    }
}

table_of! {
    /// Two to four decoders, compared after the blocks in blocks of their own: in an order by chance in which each comes early as
    /// often as late, and nobody is told which is which until the end.
    ComparePlan {
        /// Decoders with their options, all fitted to the rows that the blocks before gathered.
        decoders: Vec<String> = Vec::new(), and required;
        /// How often each has a block. In every round each has one; the second of two rounds is in the order of the first turned
        /// around.
        rounds: usize = 0, in Rule::Between(1.0, 32.0), and required;
        /// The block, as in `[[block]]`: one that gathers nothing and helps with nothing.
        block: BlockPlan = BlockPlan::default(), and required;
    }
}

table_of! {
    /// One block. Between two blocks the session pauses, fits and goes on by itself.
    BlockPlan {
        /// What it is for. `open_loop`: the task moves the cursor and the participant imagines it. `closed_loop`: the decoder
        /// moves it, with help if there is any. `evaluation`: closed loop without help, whose score is reported.
        /// `signal_check`: looking at the signals. `rest`: nothing moves, and thresholds and references are learnt from it
        /// (docs/stages.md). `typing` is for others to announce.
        block: TaskBlock = TaskBlock::SignalCheck, and required;
        /// What people read.
        title: String = String::new(), and required;
        /// What the participant is asked to do.
        instruction: String = String::new(), in Rule::Unit;
        /// The task that it presents (docs/tasks.md).
        task: Option<String> = None, or "required, but for a signal check or a rest, which have none";
        /// Options of that task, as in `{ hold = 0.5 }`.
        options: BTreeMap<String, f64> = BTreeMap::new(), or "each as it is by default";
        /// How long it lasts, in seconds in which the cursor can move.
        seconds: f64 = 0.0, in Rule::Between(1.0, LONGEST_S), or "required, but for a rest, which lasts 60 s";
        /// Pause before it.
        rest_s: f64 = 0.0, in Rule::Between(0.0, LONGEST_S);
        /// `closed_loop`: how much the cursor is helped, from when on. Between two points it changes evenly, after the last it
        /// stays.
        assistance: Vec<AssistancePoint> = Vec::new();
        /// Whether its rows are gathered to fit on.
        gather: Option<bool> = None, or "true in `open_loop` and `closed_loop`";
        /// Seconds from fit to fit while it runs.
        refit_every_s: Option<f64> = None, in Rule::Between(1.0, LONGEST_S), or "no fit while it runs";
        /// Whether a fit follows its end.
        fit_after: Option<bool> = None, or "as `gather`";
        /// Another decoder to fit after its end (`refit-kalman`).
        fit_decoder: Option<String> = None, or "the preset's";
        /// Whether it ends as soon as the verdict is "good enough for control".
        until_good_enough: bool = false;
    }
}

table_of! {
    /// How much the cursor is helped at a time of the block: inline, as in
    /// `assistance = [{ at_s = 0, mixing = 1 }, { at_s = 20, mixing = 0.2 }]`.
    AssistancePoint {
        /// Seconds of the block.
        at_s: f64 = 0.0, in Rule::Between(0.0, LONGEST_S), and required;
        /// The part of the velocity perpendicular to the way to the target that is taken away.
        attenuation: f64 = 0.0, in Rule::Between(0.0, 1.0);
        /// The part of the velocity that is what the label law would do.
        mixing: f64 = 0.0, in Rule::Between(0.0, 1.0);
    }
}

/// Those that come with Kalmind: file, and text.
const BUILT_IN: [(&str, &str); 8] = [
    ("config/presets/quick-start.toml", include_str!("../../../../config/presets/quick-start.toml")),
    (
        "config/presets/rapid-calibration.toml",
        include_str!("../../../../config/presets/rapid-calibration.toml"),
    ),
    (
        "config/presets/rest-and-calibration.toml",
        include_str!("../../../../config/presets/rest-and-calibration.toml"),
    ),
    ("config/presets/eleven-minutes.toml", include_str!("../../../../config/presets/eleven-minutes.toml")),
    ("config/presets/grid-evaluation.toml", include_str!("../../../../config/presets/grid-evaluation.toml")),
    ("config/presets/click-grid.toml", include_str!("../../../../config/presets/click-grid.toml")),
    (
        "config/presets/dkf-against-kalman.toml",
        include_str!("../../../../config/presets/dkf-against-kalman.toml"),
    ),
    ("config/presets/demo.toml", include_str!("../../../../config/presets/demo.toml")),
];

/// The presets that come with Kalmind; the first is for whoever has not chosen.
///
/// # Errors
/// None that a test has not seen.
pub fn built_in_presets() -> Result<Vec<Preset>, ConfigurationErrors> {
    BUILT_IN.iter().map(|(file_name, text)| parse_preset(text, file_name)).collect()
}

impl Configuration {
    /// The presets that come with Kalmind, with the decoder that this configuration states, where it states one.
    ///
    /// # Errors
    /// See [`built_in_presets`].
    pub fn presets(&self) -> Result<Vec<Preset>, ConfigurationErrors> {
        let mut presets = built_in_presets()?;
        if self.gives("task.decoder") {
            for preset in &mut presets {
                preset.decoder = Some(self.task.decoder.to_string());
            }
        }
        Ok(presets)
    }
}

/// The preset of this name, or the one in the file of this name.
///
/// # Errors
/// There is neither, or everything that is wrong with the file.
pub fn preset(name_or_path: &str) -> Result<Preset, ConfigurationErrors> {
    let mut known = built_in_presets()?;
    let names: Vec<&str> = known.iter().map(|preset| preset.name.as_str()).collect();
    let path = Path::new(name_or_path);
    match known.iter().position(|preset| preset.name == name_or_path) {
        Some(at) => Ok(known.swap_remove(at)),
        None if path.is_file() => load_preset(path),
        None => {
            let help =
                format!("one of {}, or the path of a file such as {}", names.join(", "), BUILT_IN[0].0);
            Err(ConfigurationErrors::unreadable(name_or_path, "there is no such preset", &help))
        }
    }
}

/// The preset in a file.
///
/// # Errors
/// Everything that is wrong with the file, with places.
pub fn load_preset(path: &Path) -> Result<Preset, ConfigurationErrors> {
    let file_name = path.display().to_string();
    let bytes = bytes_of(path, BUILT_IN[0].0)?;
    parse_preset(text_of(&bytes, &file_name)?, &file_name)
}

/// The preset that a text describes; `file_name` is what errors show.
///
/// # Errors
/// Everything that is wrong with the text, with places.
pub fn parse_preset(text: &str, file_name: &str) -> Result<Preset, ConfigurationErrors> {
    let mut document = Document::<Preset>::read(text);
    let mut preset = document.read.take().unwrap_or_default();
    preset.blocks.iter_mut().for_each(BlockPlan::complete_rest);
    if document.is_toml {
        let more = nonsense(&preset, &document);
        document.problems.extend(more);
    }
    if document.problems.is_empty() { Ok(preset) } else { Err(errors(file_name, text, document.problems)) }
}

/// What makes no sense although each value is right by itself.
fn nonsense(preset: &Preset, document: &Document<Preset>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let place = |path: &str| document.places.get(path).cloned();
    let mut decoder = |path: &str, text: &str| {
        if let Err(error) = text.parse::<DecoderSpec>() {
            let span = place(path).map_or(0..0, |place| place.value);
            let help = "a decoder and its options as on the command line, as in \"dkf-nw:form=robust\"";
            problems.push(Problem::new(
                span,
                format!("`{path}` cannot be fitted: {error}"),
                "no decoder",
                help,
            ));
        }
    };
    preset.decoder.iter().for_each(|text| decoder("decoder", text));
    for (number, block) in preset.blocks.iter().enumerate() {
        block.fit_decoder.iter().for_each(|text| decoder(&format!("block[{number}].fit_decoder"), text));
    }
    for (number, text) in preset.compare.iter().flat_map(|compare| &compare.decoders).enumerate() {
        decoder(&format!("compare.decoders[{number}]"), text);
    }
    let mut checked = document.problems.is_empty() && problems.is_empty();
    let mut refuse = |path: &str, what: &str, problem: &str| {
        checked = false;
        // nothing is concluded from values that are not known
        if document.spoiled.iter().any(|spoiled| spoiled.starts_with(path)) {
            return;
        }
        // it names the key first, if it is about one
        let key = problem.strip_prefix('`').and_then(|rest| rest.split_once('`')).map(|(key, _)| key);
        let at_key = key.and_then(|key| place(&format!("{path}.{key}"))).map(|place| place.value);
        let span = at_key.or_else(|| place(path).map(|place| place.key)).unwrap_or(0..0);
        let help = "docs/presets.md lists the keys";
        problems.push(Problem::new(span, format!("{what}: {problem}"), "this cannot be run", help));
    };
    for (number, block) in preset.blocks.iter().enumerate() {
        if let Err(problem) = block.check() {
            refuse(&format!("block[{number}]"), &format!("block {} ({})", number + 1, block.title), &problem);
        }
    }
    if let Some(Err(problem)) = preset.compare.as_ref().map(ComparePlan::check) {
        refuse("compare", "`compare`", &problem);
    }
    if checked && let Err(error) = preset.check() {
        let help = "each block is a table [[block]]";
        problems.push(Problem::new(0..0, error.to_string(), "this cannot be run", help));
    }
    problems
}
