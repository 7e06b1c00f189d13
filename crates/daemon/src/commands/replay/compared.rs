//! `kalmind replay`: a recorded session again, from its raw samples, compared bit for bit with what was published.

use std::{io::Write as _, path::Path};

use kalmind_acquisition::clock::{self, Deadline};
use kalmind_offline::{
    ReplayError, Replayed,
    recorded::{PublishedRow, SessionDocument},
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
    bar.finish_and_clear();
    let replayed = replayed.or_work()?;
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
