//! `kalmind replay`: a recorded session again, from its raw samples, compared bit for bit with what was published.

use std::{fmt::Write as _, io::Write as _, path::Path};

use kalmind_acquisition::clock::{self, Deadline};
use kalmind_offline::{
    Recomputed, ReplayError, Replayed, Resumed, recompute,
    recorded::{PublishedRow, ResumedAt, SessionDocument},
};
use kalmind_output::{CursorLayout, CursorRow};
use kalmind_types::{Counted, LslTime};
use serde_json::json;

use super::arguments::{ReplayArguments, ReplaySpeed};
use crate::{
    failure::{OrFail as _, Outcome},
    terminal::{Terminal, bytes_bar},
};

/// Runs the command.
///
/// # Errors
/// Exit code 1 where the recording cannot be replayed, or replay gives something else than what was published.
pub(super) fn run(arguments: &ReplayArguments) -> Outcome<()> {
    let bar = bytes_bar();
    let replayed = replay(&arguments.recording, arguments.speed == ReplaySpeed::Real, |read, length| {
        bar.set_length(length);
        bar.set_position(read);
    });
    let replayed = replayed.or_work()?;
    let recomputed = arguments.recompute.then(|| {
        recompute(&arguments.recording, |read, length| {
            bar.set_length(length);
            bar.set_position(read);
        })
    });
    bar.finish_and_clear();
    let recomputed = recomputed.transpose().or_work()?;
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
        let mut document = document;
        if let (true, Some(document)) = (replayed.derived > 0, document.as_object_mut()) {
            document.insert("derived".to_owned(), json!(replayed.derived));
        }
        if let (Some(recomputed), Some(document)) = (&recomputed, document.as_object_mut()) {
            document.insert("recomputed".to_owned(), json!(recomputed));
        }
        writeln!(out, "{document}").or_work()?;
    } else {
        writeln!(out, "{}", text(&replayed)).or_work()?;
        if let Some(recomputed) = &recomputed {
            writeln!(out, "{}", recomputed_text(recomputed)).or_work()?;
        }
    }
    if recomputed.as_ref().is_some_and(|recomputed| recomputed.first_difference.is_some()) {
        return Err(anyhow::anyhow!(
            "the stages made something else of the raw samples of {}",
            arguments.recording.display()
        ))
        .or_work();
    }
    if recomputed.is_some_and(|recomputed| recomputed.streams > 0 && recomputed.compared == 0) {
        return Err(anyhow::anyhow!(
            "nothing was computed again: {} holds no samples of a stream both as they came and behind its stages",
            arguments.recording.display()
        ))
        .or_work();
    }
    if replayed.identical() {
        return Ok(());
    }
    Err(anyhow::anyhow!("replay did not repeat the recording {}", arguments.recording.display())).or_work()
}

/// What became of the derived streams, for people.
fn recomputed_text(recomputed: &Recomputed) -> String {
    let mut text = format!(
        "{} with stages: {} computed again",
        Counted(recomputed.streams as u64, "stream"),
        Counted(recomputed.compared, "sample")
    );
    match recomputed.first_difference {
        None if recomputed.compared == 0 => {}
        None => text.push_str(", identical, bit for bit"),
        Some((stream, index)) => {
            let _infallible = write!(text, "; first difference in stream {stream} at its sample {index}");
        }
    }
    if recomputed.not_computed > 0 {
        let _infallible = write!(
            text,
            "; {} could not be, since the raw samples, or what was given to the stages, is not recorded there",
            Counted(recomputed.not_computed, "sample")
        );
    }
    for Resumed { stream, sample, by } in &recomputed.resumed {
        let by = match by {
            ResumedAt::Restart => "the stages restarted",
            ResumedAt::Checkpoint => "there is a checkpoint of the stages",
        };
        let _infallible =
            write!(text, "\n  stream {stream}: compared again from its sample {sample} on, where {by}");
    }
    if recomputed.more_resumed > 0 {
        let _infallible =
            write!(text, "\n  and from {} on", Counted(recomputed.more_resumed, "further place"));
    }
    text
}

/// What was found, for people.
fn text(replayed: &Replayed) -> String {
    let comparison = &replayed.comparison;
    let mut text = format!(
        "{} replayed in {:.2} s, {} of them compared with what was published\noutput sha256 {}\n",
        Counted(comparison.ticks, "tick"),
        replayed.seconds,
        comparison.compared_ticks,
        comparison.output_sha256()
    );
    if replayed.derived > 0 {
        let _infallible = writeln!(
            text,
            "only raw samples are recorded: {} made of them first",
            Counted(replayed.derived, "derived sample")
        );
    }
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

/// Replays a recording, as fast as it can or at its own speed.
///
/// # Errors
/// [`ReplayError`].
pub fn replay(path: &Path, real_time: bool, progress: impl FnMut(u64, u64)) -> Result<Replayed, ReplayError> {
    let begin = clock::now();
    let mut first: Option<LslTime> = None;
    let pace = |time: LslTime| {
        if real_time {
            wait_until(begin + (time - *first.get_or_insert(time)));
        }
    };
    kalmind_offline::replay(path, published_row, pace, progress, &Terminal)
}

fn wait_until(time: LslTime) {
    let due = Deadline::after(time - clock::now());
    while !due.passed() {
        std::thread::park_timeout(std::time::Duration::from_secs_f64(due.remaining().0.max(0.0)));
    }
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

/// What is published of a session's ticks.
#[must_use]
fn published_row(session: &SessionDocument) -> PublishedRow {
    let mut row = CursorRow::new(&layout(session));
    PublishedRow {
        compared: row.compared().map(|(at, label)| (at, label.to_owned())).collect(),
        write: Box::new(move |output, values| row.write(output, 0.0, values)),
    }
}
