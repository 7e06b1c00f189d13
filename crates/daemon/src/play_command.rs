//! `kalmind replay --lsl`: a recording as LSL streams in real time, for other programs.

use std::time::Duration;

use kalmind_acquisition::clock;
use kalmind_output::{PlayerOutlet, PlayerOutletConfig};
use kalmind_recording::xdf::{
    recording::{RecordedStream, read_xdf_but},
    samples::Values,
};
use kalmind_types::{LslTime, Seconds};

use crate::{
    cli::ReplayArguments,
    failure::{OrFail as _, Outcome},
    log::say,
    signals::EndSignals,
};

/// How long readers have to find the streams before the first sample.
const HEAD_START: Seconds = Seconds(1.0);
/// What a session's recording keeps for replay alone is of no use to other programs.
const NOT_PLAYED: [&str; 2] = ["ticks", "record"];

/// A stream being played.
struct Played<'a> {
    stream: &'a RecordedStream,
    outlet: PlayerOutlet,
    /// Times on the clock of the machine that recorded.
    times: Vec<f64>,
    next: usize,
}

/// Runs the command. The recording is held in memory.
///
/// # Errors
/// Exit code 1 where the recording cannot be read or a stream cannot be made.
pub fn run(arguments: &ReplayArguments) -> Outcome<()> {
    let signals = EndSignals::install().or_work()?;
    let path = &arguments.recording;
    let recorded =
        read_xdf_but(path, |header| header.role.as_deref().is_some_and(|role| NOT_PLAYED.contains(&role)))
            .map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
            .or_work()?;
    for problem in &recorded.problems {
        tracing::warn!(offset = problem.offset, problem = problem.text, "the recording is not whole");
    }
    let mut played = Vec::new();
    for stream in recorded.streams.iter().filter(|stream| !stream.stamps.is_empty()) {
        let outlet = PlayerOutlet::new(&config(stream)).or_work()?;
        played.push(Played { stream, outlet, times: stream.synchronized_stamps(), next: 0 });
    }
    let first =
        played.iter().filter_map(|played| played.times.first()).copied().fold(f64::INFINITY, f64::min);
    if !first.is_finite() {
        return Err(anyhow::anyhow!("{}: there is no sample to play", path.display())).or_work();
    }
    let last =
        played.iter().filter_map(|played| played.times.last()).copied().fold(f64::NEG_INFINITY, f64::max);
    say(&format!("playing {} streams for {:.1} s; Ctrl-C ends it", played.len(), last - first));
    // a recording's time to ours
    let shift = clock::now() + HEAD_START - LslTime(first);
    let mut sent = 0_u64;
    while let Some(next) = earliest(&played) {
        let due = LslTime(played[next].times[played[next].next]) + shift;
        let wait = (due - clock::now()).0;
        if wait > 0.0 && signals.wait(Duration::from_secs_f64(wait.min(0.5))) {
            break;
        }
        if (due - clock::now()).0 <= 0.0 {
            send(&mut played[next], due).or_work()?;
            sent += 1;
        }
    }
    say(&format!("{sent} samples were played"));
    Ok(())
}

/// The stream whose next sample is due first.
fn earliest(played: &[Played<'_>]) -> Option<usize> {
    let due = |played: &Played<'_>| played.times.get(played.next).copied();
    let waiting =
        played.iter().enumerate().filter_map(|(index, played)| due(played).map(|time| (index, time)));
    waiting.min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(index, _)| index)
}

fn send(played: &mut Played<'_>, time: LslTime) -> Result<(), kalmind_output::LslError> {
    let (row, channels) = (played.next, played.stream.header.channels);
    played.next += 1;
    match &played.stream.values {
        Values::Numbers(samples) => played.outlet.push(samples.rows(channels, row, row + 1), time),
        Values::Texts(texts) => {
            let cells = texts.get(row * channels..(row + 1) * channels).unwrap_or_default();
            played.outlet.push_texts(cells, time)
        }
    }
}

fn config(stream: &RecordedStream) -> PlayerOutletConfig {
    let header = &stream.header;
    PlayerOutletConfig {
        name: header.name.clone(),
        content_type: header.content_type.clone(),
        // an empty one would mean that nobody may wait for the stream to come back
        source_id: if header.source_id.is_empty() {
            format!("{}-played", header.name)
        } else {
            header.source_id.clone()
        },
        channels: header.channels,
        rate_hz: header.nominal_rate_hz,
        format: header.format,
        labels: header.labels.clone(),
        units: header.units.clone(),
    }
}
