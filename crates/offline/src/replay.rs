//! A recorded session again, from its raw samples, compared bit for bit with what was published.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{
        Arc,
        mpsc::{self, SyncSender},
    },
};

use kalmind_signal::ChainError;
use kalmind_types::{Counted, FeatureLayout, LslTime, ModelId};

use crate::{
    host::Host,
    model::IdentifiedModel,
    recorded::{
        Comparison, DerivedItems, FittedTicks, Item, Playback, PlaybackError, PublishedRow, ReadError,
        RecordDocument, RecordedModelError, RecordedModels, SessionDocument, SessionReader, Wanted,
        swapped_in,
    },
};

/// What a replay found.
#[derive(Debug)]
pub struct Replayed {
    /// What replay gave beside what was published.
    pub comparison: Comparison,
    /// Seconds that it took.
    pub seconds: f64,
    /// What the recorder could not write, one sentence each.
    pub losses: Vec<String>,
    /// Derived samples that were not recorded, and made of the raw ones first.
    pub derived: u64,
}

impl Replayed {
    /// Whether every tick was replayed and equals what was published.
    #[must_use]
    pub fn identical(&self) -> bool {
        self.comparison.first_difference.is_none() && self.comparison.compared_ticks == self.comparison.ticks
    }
}

/// Why a recording cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It is not a session's recording, or damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Its session cannot be computed again here.
    #[error(transparent)]
    Playback(#[from] PlaybackError),
    /// The stages of a stream cannot be built, of which only raw samples are recorded.
    #[error("the stages of stream {stream} cannot be built: {source}")]
    Stages {
        /// Its place.
        stream: usize,
        /// Why.
        source: ChainError,
    },
}

/// Replays a recording. `row` says how the session's ticks were published, `pace` may wait before a tick of that time, and
/// `progress` is told the bytes read and all bytes.
///
/// # Errors
/// [`ReplayError`].
pub fn replay(
    path: &Path,
    row: impl FnOnce(&SessionDocument) -> PublishedRow,
    mut pace: impl FnMut(LslTime),
    mut progress: impl FnMut(u64, u64),
    host: &dyn Host,
) -> Result<Replayed, ReplayError> {
    let mut reader =
        SessionReader::open(path, Wanted { inputs: true, raw: false, features: true, ticks: true })?;
    let session = session(&mut reader, path, host)?;
    let derived = DerivedItems::of(&session.streams)
        .map_err(|(stream, source)| ReplayError::Stages { stream, source })?;
    if derived.is_some() {
        reader.also_read_raw();
    }
    let mut playback = Playback::new(&session)?;
    let layout = session.layout();
    let [seq_channel, incomplete] = ["seq", "incomplete"].map(|label| channel(&reader, label));
    let mut comparison = Comparison::new(row(&session), seq_channel);
    let mut losses = Vec::new();
    let mut next = 0;
    let mut last_swaps: Option<HashMap<ModelId, u64>> = None;
    let mut derived_samples = 0;
    let begin = host.clock()();
    let mut take = |item: Item| -> Result<(), ReplayError> {
        match item {
            Item::Samples(stream, index, stamps, values) => playback.samples(stream, index, stamps, values),
            Item::Document(RecordDocument::Model(part)) => {
                if !part.ticks.is_empty() {
                    keep_features(path, &layout, next, playback.models())?;
                }
                playback.models().part(part);
            }
            Item::Document(RecordDocument::Features(features)) => {
                keep_features(path, &layout, next, playback.models())?;
                playback.models().features(&features);
            }
            // one that follows ticks which are not there was compared with none
            Item::Document(RecordDocument::Adaptive { seq, state }) if seq + 1 == next => {
                comparison.checkpoint(seq, &state, playback.adaptive());
            }
            Item::Document(RecordDocument::Loss { what, count, because, .. }) => {
                losses.push(format!("{}: {because}", Counted(count, what.noun())));
            }
            Item::Document(RecordDocument::Continued { file, because, .. }) => {
                losses.push(format!("what is in {file}, which this recording continues ({because}): the decoder's state at its beginning is unknown, so replay differs"));
            }
            Item::Document(RecordDocument::ContinuesIn { file, because }) => {
                host.note(&format!("the recording continues in {file}: {because}"));
            }
            Item::Tick(recorded) => {
                let tick = &recorded.document;
                let seq = tick.input.seq;
                if seq != next {
                    comparison.missing(
                        seq,
                        "tick",
                        format!("{} before it", Counted(seq.saturating_sub(next), "tick")),
                    );
                }
                next = seq + 1;
                if let Some((stream, range)) = playback.missing(tick) {
                    let what = format!("samples {}..{} of stream {stream}", range.first, range.end);
                    comparison.missing(seq, "samples", what);
                }
                for lacking in playback.lacking(tick) {
                    comparison.missing(seq, "model", lacking.to_string());
                }
                pace(tick.input.time);
                let output = playback.tick(tick)?;
                playback.models().tick(seq, || recorded.features_fitted(&layout, incomplete));
                if playback.models().built() > MODELS {
                    let last = match &last_swaps {
                        Some(last) => last,
                        None => last_swaps.insert(last_swaps_of(path)?),
                    };
                    playback.models().keep(|id| last.get(&id).is_some_and(|last| *last > seq));
                }
                comparison.tick(playback.raw_features(), &output, playback.windows(), &recorded);
            }
            Item::Session(_) => host.note("the recording holds a second session document, which is ignored"),
            Item::Unreadable(part) => host.unreadable(&part),
            Item::Document(_) | Item::Event(_) | Item::Raw(..) => {}
        }
        Ok(())
    };
    // one core reads and understands the file, the other decodes; what is computed does not depend on it
    let (sender, batches) = mpsc::sync_channel(AHEAD);
    std::thread::scope(|scope| {
        scope.spawn(move || read_ahead(reader, derived, &sender));
        for batch in batches {
            let Batch { items, read, length, derived: made } = batch?;
            derived_samples = made;
            for item in items {
                take(item)?;
            }
            progress(read, length);
        }
        Ok::<_, ReplayError>(())
    })?;
    let seconds = host.clock()() - begin;
    Ok(Replayed { comparison, seconds, losses, derived: derived_samples })
}

/// Models that are kept before the recording is asked which of them are still needed.
const MODELS: usize = 16;

/// Keeps the features that packed models need, from the first of them on: a recording without any is read once. `next` is
/// the first tick that is still to come.
fn keep_features(
    path: &Path,
    layout: &FeatureLayout,
    next: u64,
    models: &mut RecordedModels,
) -> Result<(), ReadError> {
    if models.knows_ticks() {
        return Ok(());
    }
    models.know_ticks(fitted_ticks(path)?);
    let mut reader = SessionReader::open(path, Wanted { features: true, ticks: true, ..Wanted::default() })?;
    while let Ok(Some(item)) = reader.next_item() {
        if let Item::Tick(tick) = item {
            if tick.document.input.seq >= next {
                break;
            }
            let incomplete = channel(&reader, "incomplete");
            models.tick(tick.document.input.seq, || tick.features_fitted(layout, incomplete));
        }
    }
    Ok(())
}

/// The channel of the cursor with this label.
fn channel(reader: &SessionReader, label: &str) -> Option<usize> {
    reader.cursor_labels().iter().position(|known| known == label)
}

/// Which ticks the packed models of a recording were fitted to.
fn fitted_ticks(path: &Path) -> Result<FittedTicks, ReadError> {
    let mut reader = SessionReader::open(path, Wanted::default())?;
    let mut fitted = FittedTicks::default();
    // damage further on ends the replay where it stands, and not here
    while let Ok(Some(item)) = reader.next_item() {
        if let Item::Document(RecordDocument::Model(part)) = item {
            fitted.take(&part);
        }
    }
    Ok(fitted)
}

/// Takes the models out of a recording that are `wanted`, and gives each to `take` as soon as it is known, with what cannot be
/// had. Where tensors were left out of one that no tick needs, its file has another SHA-256 than its identity says, and decodes
/// the same to the bit.
///
/// # Errors
/// [`ReadError`]: the recording cannot be read.
pub fn recorded_models(
    path: &Path,
    wanted: impl Fn(ModelId) -> bool,
    mut take: impl FnMut(ModelId, Result<Arc<IdentifiedModel>, RecordedModelError>),
) -> Result<(), ReadError> {
    let mut reader = SessionReader::open(path, Wanted { features: true, ticks: true, ..Wanted::default() })?;
    let mut models = RecordedModels::default();
    models.know_ticks(fitted_ticks(path)?);
    let (mut layout, mut newest) = (FeatureLayout::default(), 0);
    // those of which there is a part, until a tick swaps them in: then all there is of them came before
    let (mut known, mut waiting) = (HashSet::new(), Vec::new());
    while let Some(item) = reader.next_item()? {
        match item {
            Item::Session(session) => layout = session.layout(),
            Item::Document(RecordDocument::Model(part)) => {
                if let Some(id) = ModelId::from_hex(&part.id).filter(|id| wanted(*id)) {
                    waiting.extend(known.insert(id).then_some(id));
                    models.part(part);
                }
            }
            Item::Document(RecordDocument::Features(features)) => models.features(&features),
            Item::Tick(tick) => {
                newest = tick.document.input.seq;
                for id in tick.document.input.commands.iter().filter_map(swapped_in) {
                    if let Some(place) = waiting.iter().position(|other| *other == id) {
                        waiting.remove(place);
                        take(id, models.get(newest, id));
                        models.keep(|id| waiting.contains(&id));
                    }
                }
                let incomplete = channel(&reader, "incomplete");
                models.tick(newest, || tick.features_fitted(&layout, incomplete));
            }
            _ => {}
        }
    }
    for id in waiting {
        take(id, models.get(newest, id));
    }
    Ok(())
}

/// The last tick that swaps each model in.
fn last_swaps_of(path: &Path) -> Result<HashMap<ModelId, u64>, ReadError> {
    let mut reader = SessionReader::open(path, Wanted { ticks: true, ..Wanted::default() })?;
    let mut last = HashMap::new();
    // damage further on ends the replay where it stands, and not here
    while let Ok(Some(item)) = reader.next_item() {
        if let Item::Tick(tick) = item {
            let input = &tick.document.input;
            for command in &input.commands {
                if let Some(id) = swapped_in(command) {
                    last.insert(id, input.seq);
                }
            }
        }
    }
    Ok(last)
}

/// Items that are read together.
const BATCH: usize = 256;
/// Batches that are read ahead of the decoder.
const AHEAD: usize = 16;

/// Some items of a recording, and how far its reading is, in bytes.
struct Batch {
    items: Vec<Item>,
    read: u64,
    length: u64,
    /// Derived samples made so far.
    derived: u64,
}

/// Reads the rest of a recording into a queue; ends early where nobody takes it any more.
fn read_ahead(
    mut reader: SessionReader,
    mut derived: Option<DerivedItems>,
    into: &SyncSender<Result<Batch, ReadError>>,
) {
    loop {
        let mut items = Vec::with_capacity(BATCH);
        let mut ended = Ok(false);
        while items.len() < BATCH {
            match reader.next_item() {
                Ok(Some(item)) => match &mut derived {
                    Some(derived) => derived.take(item, &mut items),
                    None => items.push(item),
                },
                Ok(None) => {
                    ended = Ok(true);
                    break;
                }
                Err(error) => {
                    ended = Err(error);
                    break;
                }
            }
        }
        if !matches!(ended, Ok(false))
            && let Some(derived) = &mut derived
        {
            derived.end(&mut items);
        }
        let (read, length) = reader.progress();
        let made = derived.as_ref().map_or(0, DerivedItems::made);
        // what was read before damage still counts
        let sent = into.send(Ok(Batch { items, read, length, derived: made }));
        match ended {
            Ok(false) if sent.is_ok() => {}
            Err(error) => {
                // nobody is left to hear it only where the replay has failed already
                let _unheard = into.send(Err(error));
                return;
            }
            Ok(_) => return,
        }
    }
}

/// The session's document, which stands before everything that replay needs.
fn session(
    reader: &mut SessionReader,
    path: &Path,
    host: &dyn Host,
) -> Result<Box<SessionDocument>, ReadError> {
    while let Some(item) = reader.next_item()? {
        match item {
            Item::Session(session) => return Ok(session),
            Item::Unreadable(part) => host.unreadable(&part),
            _ => {}
        }
    }
    Err(ReadError::NoSession(path.to_owned()))
}
