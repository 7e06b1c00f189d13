//! Features made of a recording, bin by bin.

use std::{collections::VecDeque, ops::ControlFlow, path::Path};

use encoding_rs::Encoding;
use kalmind_engine::{Binner, Engine};
use kalmind_recording::{
    signals::{read_streams, visit_streams},
    xdf::{Problem, recording::SampleChunk, samples::Values},
};
use kalmind_types::{Binning, LslTime, StreamHealth, TickInput};

use super::{
    FeaturePlan, FeaturesError,
    intake::{Crossing, Intake},
    reach::out_of_reach,
};
use crate::host::Host;

/// How far ahead of the others the samples of a stream may stand in the file, in seconds: recorders write them as they come.
/// Those of a stream that are further behind are late, and counted.
const READ_AHEAD: f64 = 30.0;
/// Filters that settle for less are not worth a word, in seconds.
const SHORT_S: f64 = 0.1;
/// Problems of a file that are told one by one.
const TOLD: usize = 20;

/// The features of a bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeatureRow<'a> {
    /// End of the bin, on the recorder's clock.
    pub time: LslTime,
    /// Counts jumps of the clock.
    pub epoch: u32,
    /// Whether the decoder would have done without it.
    pub incomplete: bool,
    /// One value a feature; NaN where it had no valid sample.
    pub values: &'a [f64],
}

/// Makes the features of a recording, and shows them bin by bin until whoever is shown them breaks off; crossings too where somebody
/// takes them. What was left out or assumed, a sentence each; nothing where it was broken off.
///
/// # Errors
/// [`FeaturesError`].
pub fn make_features(
    path: &Path,
    plan: &FeaturePlan,
    encoding: Option<&'static Encoding>,
    host: &dyn Host,
    show: &mut dyn FnMut(&FeatureRow<'_>) -> ControlFlow<()>,
    mut crossings: Option<&mut dyn FnMut(Crossing)>,
) -> Result<Vec<String>, FeaturesError> {
    let unreadable = |source| FeaturesError::Unreadable { path: path.to_owned(), source };
    let recorded = read_streams(path, encoding).map_err(unreadable)?;
    let stream_of = |id: Option<u32>| recorded.streams.iter().find(|stream| Some(stream.id) == id);
    let mut making = Making {
        binner: Binner::new(plan.binner.clone(), plan.masked.clone())?,
        engine: Engine::new(plan.engine.clone())?,
        input: TickInput::empty(),
        intakes: Vec::new(),
        reached: VecDeque::new(),
        healths: vec![StreamHealth::Live; plan.streams.len()],
        now: LslTime(f64::NEG_INFINITY),
        rows: (0, 0),
    };
    for (place, stream) in plan.streams.iter().enumerate() {
        let offsets = stream_of(stream.id).map(|stream| stream.clock_offsets.as_slice()).unwrap_or_default();
        if plan.binner.streams.get(place).is_some_and(|stream| stream.binning == Binning::Events) {
            let changes = |(from, to)| [(from, place, StreamHealth::Lost), (to, place, StreamHealth::Live)];
            making.reached.extend(out_of_reach(offsets).into_iter().flat_map(changes));
        }
        let intake = Intake::new(place, stream, offsets, crossings.is_some());
        making
            .intakes
            .push(intake.map_err(|error| FeaturesError::Stages { key: stream.called.clone(), error })?);
    }
    making.reached.make_contiguous().sort_by(|(one, ..), (other, ..)| one.0.total_cmp(&other.0));
    let wanted: Vec<_> = plan.streams.iter().filter_map(|stream| stream_of(stream.id)).collect();
    let mut progress = host.bytes();
    let mut flow = ControlFlow::Continue(());
    let mut tell = |crossing: Crossing| {
        if let Some(take) = &mut crossings {
            take(crossing);
        }
    };
    visit_streams(
        path,
        encoding,
        |header| !wanted.iter().any(|stream| stream.header == *header),
        |SampleChunk { stream, stamps, values, read, length }| {
            if let Values::Numbers(values) = values {
                // several configured streams may be of one outlet
                for (intake, _) in making
                    .intakes
                    .iter_mut()
                    .zip(&plan.streams)
                    .filter(|(_, planned)| planned.id == Some(stream))
                {
                    intake.take(stamps, values, &mut tell);
                }
                flow = making.go_on(plan, false, show);
            }
            progress(read, length);
            flow
        },
    )
    .map_err(unreadable)?;
    if flow.is_break() || making.go_on(plan, true, show).is_break() {
        return Ok(Vec::new());
    }
    let mut remarks = told_problems(&recorded.problems);
    remarks.extend(making.end(plan)?);
    Ok(remarks)
}

/// What is wrong with a file, a sentence each.
pub(super) fn told_problems(problems: &[Problem]) -> Vec<String> {
    // what is odd about an EDF file has no place
    let place = |offset: u64| if offset > 0 { format!("byte {offset}: ") } else { String::new() };
    let one = |problem: &Problem| format!("{}{}", place(problem.offset), problem.text);
    let mut told: Vec<String> = problems.iter().take(TOLD).map(one).collect();
    if problems.len() > TOLD {
        told.push(format!("and {} more problems", problems.len() - TOLD));
    }
    told
}

/// The bins that are being made.
struct Making {
    binner: Binner,
    engine: Engine,
    input: TickInput,
    intakes: Vec<Intake>,
    /// When streams of events go out of reach and come back, in order, and how each stands: their silence counts as nothing happening.
    reached: VecDeque<(LslTime, usize, StreamHealth)>,
    healths: Vec<StreamHealth>,
    /// Time of the newest sample that was given to bins: it counts as received then.
    now: LslTime,
    /// Rows, and how many of them are incomplete.
    rows: (u64, u64),
}

impl Making {
    /// Gives samples to bins in the order of their time, as far as it is known; at the end all of them.
    fn go_on(
        &mut self,
        plan: &FeaturePlan,
        is_end: bool,
        show: &mut dyn FnMut(&FeatureRow<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        while let Some(place) = self.next(plan, is_end) {
            let Some(block) = self.intakes[place].pop() else { break };
            let received = block.received;
            while let Some((at, place, health)) = self.reached.pop_front_if(|(at, ..)| *at <= received) {
                self.close(at, show)?;
                self.healths[place] = health;
                self.binner.set_health(place, health);
            }
            self.binner.accept(place, block);
            self.binner.set_health(place, self.healths[place]);
            self.close(received, show)?;
        }
        ControlFlow::Continue(())
    }

    /// Closes what bins can be closed at a time.
    fn close(
        &mut self,
        now: LslTime,
        show: &mut dyn FnMut(&FeatureRow<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        // another stream's samples may stand later in the file
        self.now = LslTime(self.now.0.max(now.0));
        while self.binner.close_next(self.now, &[], &mut self.input) {
            let incomplete = self.engine.step(&self.input, &self.binner).incomplete;
            self.rows = (self.rows.0 + 1, self.rows.1 + u64::from(incomplete));
            let TickInput { time, epoch, .. } = self.input;
            show(&FeatureRow { time, epoch, incomplete, values: self.engine.raw_features() })?;
        }
        let intakes = &mut self.intakes;
        self.binner.release(|stream, block| intakes[stream].give_back(block));
        ControlFlow::Continue(())
    }

    /// The stream whose sample comes next.
    fn next(&self, plan: &FeaturePlan, is_end: bool) -> Option<usize> {
        let fronts =
            self.intakes.iter().enumerate().filter_map(|(place, intake)| Some((place, intake.front()?)));
        let (place, first) = fronts.min_by(|(_, one), (_, other)| one.0.total_cmp(&other.0))?;
        let open = self.intakes.iter().zip(&plan.streams);
        let others_are_known =
            || open.clone().all(|(intake, stream)| intake.front().is_some() || stream.id.is_none());
        let is_far_ahead = || {
            self.intakes.iter().any(|intake| intake.back().is_some_and(|back| (back - first).0 > READ_AHEAD))
        };
        (is_end || is_far_ahead() || others_are_known()).then_some(place)
    }

    /// What came of it all.
    fn end(self, plan: &FeaturePlan) -> Result<Vec<String>, FeaturesError> {
        for (intake, stream) in self.intakes.iter().zip(&plan.streams) {
            if let Some(measured_hz) = intake.other_rate(stream.rate_tolerance) {
                let (key, nominal_hz) = (stream.called.clone(), stream.rate_hz);
                return Err(FeaturesError::Rate { key, nominal_hz, measured_hz });
            }
        }
        let (rows, incomplete) = self.rows;
        if rows == incomplete {
            let told = |(intake, stream): (&Intake, &super::FeatureStream)| {
                let span = intake.counts.first.zip(intake.counts.last);
                let when = span.map(|(first, last)| format!(", stamped {first:.3} to {last:.3} s"));
                let (key, received) = (&stream.called, intake.counts.received);
                let settling_s = intake.settling_s();
                let settling = settling_s.filter(|settling| *settling >= SHORT_S);
                let length_s = span.map_or(0.0, |(first, last)| last - first);
                // stages that had settled, and gave nothing
                let is_empty =
                    settling_s.is_some_and(|settling| length_s > settling) && intake.counts.valid == 0;
                let why = if is_empty {
                    ", and its stages make no valid value of any: look for channels that stand still or are taken away from \
                     themselves, scales and divisors of 0, and limits that leave everything out"
                        .to_owned()
                } else {
                    settling.map_or_else(String::new, |settling| {
                        format!(
                            ", of which none is valid before its filters have settled, after {settling:.1} s"
                        )
                    })
                };
                format!("stream \"{key}\" has {received} samples{}{why}", when.unwrap_or_default())
            };
            return Err(FeaturesError::NoRows {
                streams: self.intakes.iter().zip(&plan.streams).map(told).collect(),
            });
        }
        let mut remarks = Vec::new();
        for (place, (intake, stream)) in self.intakes.iter().zip(&plan.streams).enumerate() {
            remarks.extend(intake.remarks(&stream.called));
            let late = self.binner.counts(place).late;
            if late > 0 {
                remarks.push(format!(
                    "stream \"{}\": {late} samples came too late for their bin",
                    stream.called
                ));
            }
        }
        if incomplete > 0 {
            remarks.push(format!("{incomplete} of {rows} bins are incomplete: a decoder does without them"));
        }
        Ok(remarks)
    }
}
