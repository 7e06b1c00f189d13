//! `kalmind replay`: a recorded session again, from its raw samples, compared bit for bit with what was published.

use std::{io::Write as _, path::Path};

use indicatif::{ProgressBar, ProgressStyle};
use kalmind_acquisition::clock::{self, Deadline};
use kalmind_output::CursorLayout;
use kalmind_types::{Counted, LslTime, Seconds};
use serde_json::json;

use crate::{
    commands::command_line::{ReplayArguments, ReplaySpeed},
    failure::{OrFail as _, Outcome},
    log::say,
    recorded::{
        Comparison, Item, Playback, ReadError, RecordDocument, SessionDocument, SessionReader, Wanted,
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
}

impl Replayed {
    /// Whether every tick was replayed and equals what was published.
    #[must_use]
    pub fn identical(&self) -> bool {
        self.comparison.first_difference.is_none() && self.comparison.compared_ticks == self.comparison.ticks
    }
}

/// Runs the command.
///
/// # Errors
/// Exit code 1 where the recording cannot be replayed, or replay gives something else than what was published.
pub fn run(arguments: &ReplayArguments) -> Outcome<()> {
    let style = ProgressStyle::with_template("{bar:32} {bytes} of {total_bytes}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style);
    let speed = match arguments.speed {
        ReplaySpeed::Max => None,
        ReplaySpeed::Real => Some(1.0),
    };
    let replayed = replay(&arguments.recording, speed, |read, length| {
        bar.set_length(length);
        bar.set_position(read);
    });
    bar.finish_and_clear();
    let replayed = replayed?;
    let comparison = &replayed.comparison;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let document = json!({
            "ticks": comparison.ticks,
            "identical": replayed.identical(),
            "first_difference": comparison.first_difference,
            "output_sha256": comparison.output_sha256(),
            "ticks_per_second": comparison.ticks as f64 / replayed.seconds.max(1e-9),
        });
        writeln!(out, "{document}").or_work()?;
    } else {
        writeln!(out, "{}", text(&replayed)).or_work()?;
    }
    if replayed.identical() {
        return Ok(());
    }
    Err(anyhow::anyhow!("replay did not repeat the recording {}", arguments.recording.display())).or_work()
}

/// What was found, for people.
fn text(replayed: &Replayed) -> String {
    use std::fmt::Write as _;
    let comparison = &replayed.comparison;
    let mut text = format!(
        "{} replayed in {:.2} s, {} of them compared with what was published\noutput sha256 {}\n",
        Counted(comparison.ticks, "tick"),
        replayed.seconds,
        comparison.compared_ticks,
        comparison.output_sha256()
    );
    for loss in &replayed.losses {
        let _infallible = writeln!(text, "not recorded: {loss}");
    }
    match &comparison.first_difference {
        None if replayed.identical() => text.push_str("identical, bit for bit"),
        None => {
            text.push_str("the computed output is identical, but rows of the recorded cursor are missing");
        }
        Some(difference) => {
            let _infallible = write!(
                text,
                "first difference at seq {}: {} was {}, replay gives {}",
                difference.seq, difference.field, difference.recorded, difference.replayed
            );
        }
    }
    text
}

/// Replays a recording; `speed` is real time's multiple, `None` as fast as it can.
///
/// # Errors
/// Exit code 1: not a session's recording, damaged, of a processor that this one cannot stand in for.
pub fn replay(path: &Path, speed: Option<f64>, mut progress: impl FnMut(u64, u64)) -> Outcome<Replayed> {
    let mut reader =
        SessionReader::open(path, Wanted { inputs: true, features: true, ticks: true }).or_work()?;
    let session = session(&mut reader, path).or_work()?;
    let mut playback = Playback::new(&session).or_work()?;
    let mut comparison = Comparison::new(&layout(&session));
    let seq_channel = reader.cursor_labels().iter().position(|label| label == "seq");
    let mut losses = Vec::new();
    let mut next = 0;
    let begin = clock::now();
    let mut first: Option<LslTime> = None;
    let mut take = |item: Item| -> Outcome<()> {
        match item {
            Item::Samples(stream, index, stamps, values) => playback.samples(stream, index, stamps, values),
            Item::Document(RecordDocument::Model(part)) => playback.model_part(part),
            Item::Document(RecordDocument::Loss { what, count, because, .. }) => {
                losses.push(format!("{}: {because}", Counted(count, what.noun())));
            }
            Item::Document(RecordDocument::Continued { file, because, .. }) => {
                losses.push(format!("what is in {file}, which this recording continues ({because}): the decoder's state at its beginning is unknown, so replay differs"));
            }
            Item::Document(RecordDocument::ContinuesIn { file, because }) => {
                say(&format!("the recording continues in {file}: {because}"));
            }
            Item::Tick(tick) => {
                let seq = tick.input.seq;
                if seq != next {
                    comparison.missing(
                        seq,
                        "tick",
                        format!("{} before it", Counted(seq.saturating_sub(next), "tick")),
                    );
                }
                next = seq + 1;
                if let Some((stream, range)) = playback.missing(&tick) {
                    let what = format!("samples {}..{} of stream {stream}", range.first, range.end);
                    comparison.missing(seq, "samples", what);
                }
                if let Some(speed) = speed {
                    let start = *first.get_or_insert(tick.input.time);
                    wait_until(begin + Seconds((tick.input.time - start).0 / speed));
                }
                let output = playback.tick(&tick).or_work()?;
                comparison.replayed(playback.raw_features(), &output);
            }
            Item::Features(time, values) => comparison.recorded_features(time, &values),
            Item::Cursor(time, values) => comparison.recorded(time, &values, seq_channel),
            Item::Session(_) => say("the recording holds a second session document, which is ignored"),
            Item::Document(_) | Item::Event(_) => {}
        }
        Ok(())
    };
    // one core reads and understands the file, the other decodes; what is computed does not depend on it
    let (sender, batches) = crossbeam_channel::bounded(AHEAD);
    std::thread::scope(|scope| {
        scope.spawn(move || read_ahead(reader, &sender));
        for batch in batches {
            let Batch { items, read, length } = batch.or_work()?;
            for item in items {
                take(item)?;
            }
            progress(read, length);
        }
        Ok(())
    })?;
    let seconds = (clock::now() - begin).0;
    Ok(Replayed { comparison, seconds, losses })
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
}

/// Reads the rest of a recording into a queue; ends early where nobody takes it any more.
fn read_ahead(mut reader: SessionReader, into: &crossbeam_channel::Sender<Result<Batch, ReadError>>) {
    loop {
        let mut items = Vec::with_capacity(BATCH);
        let mut ended = Ok(false);
        while items.len() < BATCH {
            match reader.next_item() {
                Ok(Some(item)) => items.push(item),
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
        let (read, length) = reader.progress();
        // what was read before damage still counts
        let sent = into.send(Ok(Batch { items, read, length }));
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

fn wait_until(time: LslTime) {
    let due = Deadline::after(time - clock::now());
    while !due.passed() {
        std::thread::park_timeout(std::time::Duration::from_secs_f64(due.remaining().0.max(0.0)));
    }
}

/// The session's document, which stands before everything that replay needs.
fn session(reader: &mut SessionReader, path: &Path) -> Result<Box<SessionDocument>, ReadError> {
    while let Some(item) = reader.next_item()? {
        if let Item::Session(session) = item {
            return Ok(session);
        }
    }
    Err(ReadError::NoSession(path.to_owned()))
}

/// The cursor's layout of a recorded session.
#[must_use]
pub fn layout(session: &SessionDocument) -> CursorLayout {
    CursorLayout {
        bin_ms: session.bin_ms,
        components: session.components.clone(),
        run: session.run,
        session: session.session.clone(),
        instance: session.instance.clone(),
        participant: session.participant.clone(),
        version: session.version.clone(),
        height: session.workspace[1],
    }
}
