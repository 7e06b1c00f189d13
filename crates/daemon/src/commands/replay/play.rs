//! `kalmind replay --lsl`: a recording as LSL streams in real time, for other programs.

use std::time::Duration;

use kalmind_acquisition::clock::{self, Deadline};
use kalmind_output::{PlayerOutlet, PlayerOutletConfig};
use kalmind_recording::xdf::{
    clocks::{clock_groups, mixed_clocks},
    recording::{Recorded, RecordedStream, read_xdf_but},
    samples::Values,
};
use kalmind_types::{Counted, LslTime, Seconds};

use super::arguments::ReplayArguments;
use crate::{
    failure::{OrFail as _, Outcome},
    log::say,
    process::termination::EndSignals,
};

/// How long the first reader has to find the streams before the first sample.
const FIRST_READER: Seconds = Seconds(5.0);
/// How long others have once there is one.
const HEAD_START: Duration = Duration::from_secs(1);
/// How long outlets stay after the last sample: liblsl drops what a reader has not taken when an outlet goes.
const SHORTEST_REST: Seconds = Seconds(1.0);
/// The same while there are readers that have not gone.
const LONGEST_REST: Seconds = Seconds(10.0);
/// Pauses of all streams that are longer are not waited for, in seconds.
const LONGEST_PAUSE: f64 = 3600.0;
/// What a pause that is not waited for takes, in seconds.
const SHORT_PAUSE: f64 = 1.0;
/// Samples that are sent so many seconds after they are due are late, which is said once.
const MUCH_LATE: f64 = 1.0;
/// A stamp that is this far from both its neighbours is an error of the sender's, in seconds.
const FAR: f64 = 86_400.0;
/// Stamps that run back by more than this belong to a clock that was reset, in seconds.
const RESET: f64 = 1.0;
/// What a session's recording keeps for replay alone is of no use to other programs.
const NOT_PLAYED: [&str; 2] = ["ticks", "record"];

/// When the samples of a stream are played, on the clock of the machine that recorded.
#[derive(Clone, Debug, Default, PartialEq)]
struct Schedule {
    /// Time and row of each sample; times never run back by more than jitter.
    samples: Vec<(f64, usize)>,
    /// Samples whose stamp is no number, or lies days from its neighbours.
    left_out: usize,
    /// Resets of the clock that were closed up.
    resets: usize,
}

/// A stream being played.
struct Played<'a> {
    stream: &'a RecordedStream,
    outlet: PlayerOutlet,
    samples: Vec<(f64, usize)>,
    next: usize,
}

/// Runs the command. The recording is held in memory. The first signal ends it, whatever it is doing.
///
/// # Errors
/// Exit code 1 where the recording cannot be read or a stream cannot be made, or where streams are on different clocks and
/// nobody asked to align them.
pub(super) fn run(arguments: &ReplayArguments) -> Outcome<()> {
    let signals = EndSignals::install().or_work()?;
    let path = arguments.recording.clone();
    let encoding = arguments.encoding;
    let reading = move || {
        read_xdf_but(&path, encoding, |header| {
            header.role.as_deref().is_some_and(|role| NOT_PLAYED.contains(&role))
        })
    };
    let path = &arguments.recording;
    let Some(recorded) = signals.or_signal(reading).or_work()? else { return Ok(()) };
    let recorded = recorded.map_err(|error| anyhow::anyhow!("{}: {error}", path.display())).or_work()?;
    // that clocks differ is told with what is done about it
    let clocks = recorded.mixed_clocks();
    for problem in recorded.problems.iter().filter(|problem| Some(&problem.text) != clocks.as_ref()) {
        say(&format!("byte {}: {}", problem.offset, problem.text));
    }
    let schedules = schedules(&recorded, arguments.align).or_work()?;
    let mut played = Vec::new();
    for (stream, schedule) in recorded.streams.iter().zip(schedules) {
        if schedule.samples.is_empty() {
            continue;
        }
        let outlet = PlayerOutlet::new(&config(stream)).or_work()?;
        played.push(Played { stream, outlet, samples: schedule.samples, next: 0 });
    }
    let ends = || played.iter().flat_map(|played| [played.samples.first(), played.samples.last()]).flatten();
    let first = ends().map(|(time, _)| *time).fold(f64::INFINITY, f64::min);
    let last = ends().map(|(time, _)| *time).fold(f64::NEG_INFINITY, f64::max);
    if !first.is_finite() {
        return Err(anyhow::anyhow!("{}: there is no sample to play", path.display())).or_work();
    }
    let streams = Counted(played.len() as u64, "stream");
    say(&format!("playing {streams} for {:.1} s; Ctrl-C ends it", last - first));
    if wait_for_readers(&played, &signals) {
        return Ok(());
    }
    let (sent, ended) = play(&mut played, first, &signals)?;
    let were = if sent == 1 { "was" } else { "were" };
    say(&format!("{} {were} played", Counted(sent, "sample")));
    if !ended {
        rest(&played, &signals);
    }
    Ok(())
}

/// When each sample is played. Streams that are on different clocks are refused, or start together.
fn schedules(recorded: &Recorded, align: bool) -> anyhow::Result<Vec<Schedule>> {
    let mut schedules: Vec<Schedule> = recorded.streams.iter().map(schedule).collect();
    for (stream, schedule) in recorded.streams.iter().zip(&schedules) {
        let name = name(stream);
        if schedule.left_out > 0 {
            say(&format!(
                "\"{name}\": left out {} with stamps that are not numbers, or days away from their neighbours",
                Counted(schedule.left_out as u64, "sample")
            ));
        }
        if schedule.resets > 0 {
            let times = Counted(schedule.resets as u64, "time");
            say(&format!(
                "\"{name}\": its clock was reset {times}; its samples are played one after the other"
            ));
        }
    }
    let spans: Vec<_> = schedules.iter().map(Schedule::span).collect();
    let names: Vec<String> = recorded.streams.iter().map(name).collect();
    let groups = clock_groups(&spans);
    if let Some(told) = mixed_clocks(&groups, &names) {
        anyhow::ensure!(
            align,
            "{told}. `--align` starts them together; leave a stream out by exporting the others"
        );
        say(&format!("{told}; they start together"));
        let start = groups[0].first;
        for group in &groups {
            for &stream in &group.streams {
                for (time, _) in &mut schedules[stream].samples {
                    *time += start - group.first;
                }
            }
        }
    }
    Ok(schedules)
}

/// When the samples of a stream are played.
fn schedule(stream: &RecordedStream) -> Schedule {
    let rate = stream.header.nominal_rate_hz;
    schedule_of(&stream.synchronized_stamps(), if rate > 0.0 { 1.0 / rate } else { 0.0 })
}

fn schedule_of(times: &[f64], period: f64) -> Schedule {
    let mut schedule = Schedule::default();
    let mut shift = 0.0;
    let finite: Vec<(f64, usize)> =
        times.iter().copied().zip(0..).filter(|(time, _)| time.is_finite()).collect();
    let far = |a: Option<&(f64, usize)>, b: f64| a.is_some_and(|(a, _)| (a - b).abs() > FAR);
    let mut kept: Option<(f64, usize)> = None;
    for (place, &(time, row)) in finite.iter().enumerate() {
        let next = finite.get(place + 1);
        let stray = match &kept {
            Some(before) => {
                far(Some(before), time) && next.is_some_and(|(next, _)| !far(Some(before), *next))
            }
            // the first one counts if the second and the third are elsewhere together
            None => far(next, time) && finite.get(place + 2).is_some_and(|(third, _)| !far(next, *third)),
        };
        if stray {
            continue;
        }
        kept = Some((time, row));
        if let Some((before, _)) = schedule.samples.last()
            && time + shift < before - RESET
        {
            schedule.resets += 1;
            shift = before + period - time;
        }
        schedule.samples.push((time + shift, row));
    }
    schedule.left_out = times.len() - schedule.samples.len();
    schedule
}

impl Schedule {
    fn span(&self) -> Option<(f64, f64)> {
        let times = || self.samples.iter().map(|(time, _)| *time);
        let first = times().fold(f64::INFINITY, f64::min);
        first.is_finite().then(|| (first, times().fold(first, f64::max)))
    }
}

/// Gives readers the time to find the streams: what is sent before they are there, they never get. Whether a signal came.
fn wait_for_readers(played: &[Played<'_>], signals: &EndSignals) -> bool {
    let deadline = Deadline::after(FIRST_READER);
    while !deadline.passed() {
        if played.iter().any(|played| played.outlet.has_readers()) {
            return signals.wait(HEAD_START);
        }
        if signals.wait(Duration::from_millis(20)) {
            return true;
        }
    }
    false
}

/// Plays everything: how many samples, and whether a signal ended it.
fn play(played: &mut [Played<'_>], first: f64, signals: &EndSignals) -> Outcome<(u64, bool)> {
    // a recording's time to ours
    let mut shift = clock::now() - LslTime(first);
    let (mut sent, mut before, mut is_late) = (0_u64, first, false);
    while let Some(next) = earliest(played) {
        let time = played[next].samples[played[next].next].0;
        let pause = time - before;
        if pause > LONGEST_PAUSE {
            say(&format!("skipping {:.1} hours in which nothing was recorded", pause / 3600.0));
            shift = Seconds(shift.0 - (pause - SHORT_PAUSE));
        }
        before = before.max(time);
        let due = LslTime(time) + shift;
        loop {
            let wait = (due - clock::now()).0;
            if signals.wait(Duration::from_secs_f64(wait.clamp(0.0, 0.5))) {
                return Ok((sent, true));
            }
            if wait <= 0.0 {
                break;
            }
        }
        let now = clock::now();
        if (now - due).0 > MUCH_LATE && !core::mem::replace(&mut is_late, true) {
            tracing::warn!(
                "samples are sent more than {MUCH_LATE} s after they are due: this computer is too busy to play this recording at \
                 its speed, and readers will find it late"
            );
        }
        send(&mut played[next], due, now, shift).or_work()?;
        sent += 1;
    }
    Ok((sent, false))
}

/// Keeps the outlets until readers have had the time to take the last samples.
fn rest(played: &[Played<'_>], signals: &EndSignals) {
    let (least, most) = (Deadline::after(SHORTEST_REST), Deadline::after(LONGEST_REST));
    let read = || played.iter().any(|played| played.outlet.has_readers());
    if read() {
        say("waiting for readers to take the last samples, at most 10 s; Ctrl-C ends it");
    }
    while !least.passed() || (read() && !most.passed()) {
        if signals.wait(Duration::from_millis(50)) {
            return;
        }
    }
}

/// The stream whose next sample is due first.
fn earliest(played: &[Played<'_>]) -> Option<usize> {
    let due = |played: &Played<'_>| played.samples.get(played.next).map(|(time, _)| *time);
    let waiting =
        played.iter().enumerate().filter_map(|(index, played)| due(played).map(|time| (index, time)));
    waiting.min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(index, _)| index)
}

/// Sends the next sample. What is due already goes out with it, at once: a sample of a fast stream alone would take longer than
/// the next one takes to come.
fn send(
    played: &mut Played<'_>,
    time: LslTime,
    now: LslTime,
    shift: Seconds,
) -> Result<(), kalmind_output::LslError> {
    let Some(&(_, row)) = played.samples.get(played.next) else { return Ok(()) };
    let channels = played.stream.header.channels;
    played.next += 1;
    let is_last = played.samples.get(played.next).is_none_or(|(next, _)| LslTime(*next) + shift > now);
    match &played.stream.values {
        Values::Numbers(samples) => played.outlet.push(samples.rows(channels, row, row + 1), time, is_last),
        Values::Texts(texts) => {
            let cells = texts.get(row * channels..(row + 1) * channels).unwrap_or_default();
            played.outlet.push_texts(cells, time)
        }
    }
}

/// A stream's name; LSL takes none without one.
fn name(stream: &RecordedStream) -> String {
    if stream.header.name.trim().is_empty() {
        format!("stream-{}", stream.id)
    } else {
        stream.header.name.clone()
    }
}

fn config(stream: &RecordedStream) -> PlayerOutletConfig {
    let header = &stream.header;
    PlayerOutletConfig {
        name: name(stream),
        content_type: header.content_type.clone(),
        // an empty one would mean that nobody may wait for the stream to come back
        source_id: if header.source_id.is_empty() {
            format!("{}-played", name(stream))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_that_are_no_numbers_or_strays_are_left_out() {
        let schedule = schedule_of(&[f64::NAN, 1.0, 2.0, 1.7e9, 3.0, f64::INFINITY, 4.0], 1.0);
        assert_eq!(schedule.samples, [(1.0, 1), (2.0, 2), (3.0, 4), (4.0, 6)]);
        assert_eq!((schedule.left_out, schedule.resets), (3, 0));
        let schedule = schedule_of(&[1.7e9, 1.0, 2.0], 1.0);
        assert_eq!(schedule.samples, [(1.0, 1), (2.0, 2)], "at the beginning as well");
        assert_eq!(schedule_of(&[f64::NAN], 1.0).samples, []);
    }

    #[test]
    fn a_clock_that_was_reset_goes_on() {
        let schedule = schedule_of(&[500.0, 501.0, 10.0, 11.0, 10.9], 1.0);
        assert_eq!(
            schedule.samples,
            [(500.0, 0), (501.0, 1), (502.0, 2), (503.0, 3), (502.9, 4)],
            "and jitter stays"
        );
        assert_eq!((schedule.left_out, schedule.resets), (0, 1));
    }
}
