//! Reads a recording of Kalmind's own in the order of the file, and says what each chunk means.

use std::{
    borrow::Cow,
    collections::HashMap,
    path::{Path, PathBuf},
};

use kalmind_recording::xdf::{
    Source, SourceError,
    chunks::{ChunkReader, Content, XdfError},
    header::StreamHeader,
    samples::{SampleDecoder, Values},
};
use kalmind_types::{SIMULATED_SOURCE, Samples, StreamTime};

use super::{
    RecordDocument, TickDocument,
    item::{Item, Unreadable},
    ticks::Joined,
};

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened.
    #[error("the recording {} cannot be read: {source}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: SourceError,
    },
    /// Its bytes are damaged.
    #[error("the recording {}: {source}", .path.display())]
    Xdf {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: XdfError,
    },
    /// A text of ours that cannot be understood.
    #[error("the recording {}: the {role} at byte {offset} cannot be understood: {problem}", .path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// The stream it is in.
        role: &'static str,
        /// Where its chunk begins.
        offset: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no session in it.
    #[error(
        "{} is not a recording of a Kalmind session: it has no stream with the role \"record\" (`kalmind recording info` shows what is \
         in it, and `kalmind recording export` makes tables of its streams, which `--features` and `--states` take)",
        .0.display()
    )]
    NoSession(PathBuf),
}

/// What a stream is to a session.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Role {
    Input {
        place: usize,
        next: u64,
    },
    /// An input stream as it was received, where stages make another one of it.
    Raw {
        place: usize,
        next: u64,
    },
    Ticks,
    Features,
    Cursor,
    Events,
    Record,
    Other,
}

#[derive(Debug)]
struct Stream {
    role: Role,
    channels: usize,
    format: Option<kalmind_types::NumberFormat>,
    decoder: SampleDecoder,
}

/// What of a session's streams is read; the samples of the others are passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a part of a recording")]
pub struct Wanted {
    /// Samples of the input streams as they were decoded: most of the file.
    pub inputs: bool,
    /// Samples of those with stages as they were received.
    pub raw: bool,
    /// Features of the ticks.
    pub features: bool,
    /// Inputs of the ticks.
    pub ticks: bool,
}

/// A recording, read from its beginning on. Memory: a chunk, and what it gives.
#[derive(Debug)]
pub struct SessionReader {
    path: PathBuf,
    chunks: ChunkReader<Source>,
    length: u64,
    wanted: Wanted,
    streams: HashMap<u32, Stream>,
    /// Labels of the cursor's channels.
    cursor_labels: Vec<String>,
    is_simulated: bool,
    items: Joined,
    /// What ended the reading, once everything before it was handed out.
    failed: Option<ReadError>,
}

impl SessionReader {
    /// Opens a recording.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn open(path: &Path, wanted: Wanted) -> Result<Self, ReadError> {
        let (source, length) =
            Source::open(path).map_err(|source| ReadError::Open { path: path.to_owned(), source })?;
        let chunks = ChunkReader::new(source, length)
            .map_err(|source| ReadError::Xdf { path: path.to_owned(), source })?;
        Ok(Self {
            path: path.to_owned(),
            chunks,
            length,
            wanted,
            streams: HashMap::new(),
            is_simulated: false,
            cursor_labels: Vec::new(),
            items: Joined::default(),
            failed: None,
        })
    }

    /// From now on, raw samples are read as well.
    pub fn also_read_raw(&mut self) {
        self.wanted.raw = true;
    }

    /// Labels of the cursor's channels, once its header was read: before the session.
    #[must_use]
    pub fn cursor_labels(&self) -> &[String] {
        &self.cursor_labels
    }

    /// Whether an input stream whose header was read comes from a simulated participant.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.is_simulated
    }

    /// Bytes read and bytes in all.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (self.chunks.offset(), self.length)
    }

    /// What comes next; `None` at the end.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn next_item(&mut self) -> Result<Option<Item>, ReadError> {
        loop {
            if let Some(item) = self.items.pop() {
                return Ok(Some(item));
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            match self.read_chunk() {
                Ok(true) => continue,
                Ok(false) => self.items.end_tick(),
                Err(error) => {
                    self.items.end_tick();
                    self.failed = Some(error);
                    continue;
                }
            }
            return Ok(self.items.pop());
        }
    }

    /// Reads a chunk into items; `false` at the end.
    fn read_chunk(&mut self) -> Result<bool, ReadError> {
        let Self { path, chunks, wanted, streams, cursor_labels, is_simulated, items, .. } = self;
        let xdf = |source| ReadError::Xdf { path: path.clone(), source };
        let passed_over = |id: u32| {
            streams.get(&id).is_none_or(|stream| match stream.role {
                Role::Input { .. } => !wanted.inputs,
                Role::Raw { .. } => !wanted.raw,
                Role::Features => !wanted.features,
                Role::Ticks => !wanted.ticks,
                Role::Other => true,
                Role::Cursor | Role::Events | Role::Record => false,
            })
        };
        let Some(chunk) = chunks.next_but(passed_over).map_err(xdf)? else { return Ok(false) };
        match chunk.content {
            Content::StreamHeader(id, xml) => {
                let header = match StreamHeader::parse(xml, None) {
                    Ok(header) => header,
                    // the stream's samples are passed over
                    Err(problem) => {
                        let offset = chunk.offset;
                        items.item(Item::Unreadable(Unreadable::Header { offset, stream: id, problem }));
                        return Ok(true);
                    }
                };
                let role = role(&header);
                if role == Role::Cursor {
                    *cursor_labels = header.labels.clone().unwrap_or_default();
                }
                *is_simulated |= matches!(role, Role::Input { .. } | Role::Raw { .. })
                    && header.source_id.starts_with(SIMULATED_SOURCE);
                let decoder = SampleDecoder::new(header.channels, header.format, header.nominal_rate_hz);
                let stream = Stream { role, channels: header.channels, format: header.format, decoder };
                streams.insert(id, stream);
            }
            Content::Samples(id, body) if !body.is_empty() => {
                let Some(stream) = streams.get_mut(&id) else { return Ok(true) };
                let (mut stamps, mut values) = (Vec::new(), Values::empty(stream.format));
                if let Err(problem) = stream.decoder.decode(chunk.offset, body, &mut stamps, &mut values) {
                    // what follows is whole: `repair` leaves such a chunk where it is
                    let problem = problem.to_string();
                    items.item(Item::Unreadable(Unreadable::Samples { stream: id, problem }));
                    return Ok(true);
                }
                let document = |role, problem| ReadError::Document {
                    path: path.clone(),
                    role,
                    offset: chunk.offset,
                    problem,
                };
                let hole = understand(stream, stamps, values, items)
                    .map_err(|(role, error)| document(role, error))?;
                if let Some(Hole { stream: place, index, raw }) = hole {
                    let input = streams.values_mut().find_map(|stream| match &mut stream.role {
                        Role::Input { place: known, next } if *known == place && !raw => Some(next),
                        Role::Raw { place: known, next } if *known == place && raw => Some(next),
                        _ => None,
                    });
                    if let Some(next) = input {
                        *next = index;
                    }
                }
            }
            _ => {}
        }
        Ok(true)
    }
}

/// What a stream is, by its header.
fn role(header: &StreamHeader) -> Role {
    let text = header.format.is_none() && header.channels == 1;
    let number = header.format == Some(kalmind_types::NumberFormat::Double64);
    match (header.role.as_deref(), header.index) {
        (Some("input"), Some(place)) if header.format.is_some() => Role::Input { place, next: 0 },
        (Some("raw"), Some(place)) if header.format.is_some() => Role::Raw { place, next: 0 },
        (Some("ticks"), _) if text => Role::Ticks,
        (Some("features"), _) if number => Role::Features,
        (Some("cursor"), _) if number => Role::Cursor,
        (Some("events"), _) if text => Role::Events,
        (Some("record"), _) if text => Role::Record,
        _ => Role::Other,
    }
}

/// From here on the samples of an input stream have another index.
struct Hole {
    stream: usize,
    /// Of the next one.
    index: u64,
    /// Whether it is the stream as it was received, where stages make another one of it.
    raw: bool,
}

/// Samples of a stream as items. A hole in an input stream is handed back.
fn understand(
    stream: &mut Stream,
    stamps: Vec<f64>,
    values: Values,
    items: &mut Joined,
) -> Result<Option<Hole>, (&'static str, String)> {
    let mut hole = None;
    match (&mut stream.role, values) {
        (Role::Input { place, next }, Values::Numbers(samples)) => {
            let first = *next;
            *next += stamps.len() as u64;
            let stamps = stamps.into_iter().map(StreamTime).collect();
            items.item(Item::Samples(*place, first, stamps, samples));
        }
        (Role::Raw { place, next }, Values::Numbers(samples)) => {
            let first = *next;
            *next += stamps.len() as u64;
            let stamps = stamps.into_iter().map(StreamTime).collect();
            items.item(Item::Raw(*place, first, stamps, samples));
        }
        (Role::Features, Values::Numbers(Samples::Double64(values))) => {
            let rows = stamps.iter().zip(values.chunks(stream.channels));
            rows.for_each(|(stamp, row)| items.features(*stamp, row));
        }
        (Role::Cursor, Values::Numbers(Samples::Double64(values))) => {
            let rows = stamps.iter().zip(values.chunks(stream.channels));
            rows.for_each(|(stamp, row)| items.cursor(*stamp, row));
        }
        (Role::Ticks, Values::Texts(texts)) => {
            for text in texts {
                let tick: TickDocument<'_> =
                    serde_json::from_str(&text).map_err(|error| ("tick", error.to_string()))?;
                tick.input.check().map_err(|error| ("tick", error.to_string()))?;
                items.tick(TickDocument { input: Cow::Owned(tick.input.into_owned()), ..tick });
            }
        }
        (Role::Events, Values::Texts(texts)) => {
            for text in texts {
                let event = serde_json::from_str(&text).map_err(|error| ("event", error.to_string()))?;
                items.item(Item::Event(event));
            }
        }
        (Role::Record, Values::Texts(texts)) => {
            for text in texts {
                let document =
                    serde_json::from_str(&text).map_err(|error| ("document", error.to_string()))?;
                match document {
                    RecordDocument::Session(session) => {
                        session.check().map_err(|problem| ("session", problem))?;
                        items.item(Item::Session(session));
                    }
                    RecordDocument::Hole { stream, index, raw, .. } => {
                        hole = Some(Hole { stream, index, raw });
                    }
                    other => items.item(Item::Document(other)),
                }
            }
        }
        _ => {}
    }
    Ok(hole)
}
