//! What is on the network, with rates and ages as measured.

use kalmind_types::{Seconds, StreamDescription};
use lsl::{Pullable, StreamInlet};
use serde::Serialize;

use crate::clock::{self, Deadline};
use crate::number::Number;
use crate::rate::RateMeter;
use crate::search::resolve::{ResolveError, find_uid, open, short_description, visible_infos};

/// How long the search takes; with LSL's own settings some outlets of this machine are asked only after half a second.
const SEARCH: f64 = 0.8;

/// One stream as `kalmind streams` shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StreamSurvey {
    /// Its header.
    #[serde(flatten)]
    pub description: StreamDescription,
    /// Samples that arrived while it was watched.
    pub samples: u64,
    /// Samples per second; `None` where fewer than two arrived.
    pub measured_rate_hz: Option<f64>,
    /// Age of the newest sample when it arrived, by its corrected stamp; `None` where none arrived.
    pub age_ms: Option<f64>,
    /// Offset of the sender's clock; `None` where it could not be measured.
    pub clock_offset_ms: Option<f64>,
    /// Half the round trip of that measurement.
    pub clock_uncertainty_ms: Option<f64>,
    /// What kept the stream from being watched, if anything.
    pub problem: Option<String>,
}

/// Lists every stream that is visible, numbers and text alike, and watches all of them for `watch` at the same time.
///
/// Blocks for about `watch` and a second.
///
/// # Errors
/// [`ResolveError::Failed`] when LSL cannot search at all. A stream that cannot be opened is listed with its `problem`.
pub fn list_streams(watch: Seconds) -> Result<Vec<StreamSurvey>, ResolveError> {
    let infos = visible_infos(SEARCH)?;
    // LSL's handles cannot move between threads
    let streams: Vec<_> = infos.iter().map(short_description).collect();
    let mut surveys: Vec<_> = std::thread::scope(|scope| {
        let watchers: Vec<_> = streams
            .into_iter()
            .map(|short| {
                let fallback = unwatched(short.clone(), "the thread that watched it failed");
                let watcher = scope.spawn(move || survey(short, watch));
                (watcher, fallback)
            })
            .collect();
        watchers.into_iter().map(|(watcher, fallback)| watcher.join().unwrap_or(fallback)).collect()
    });
    surveys.sort_by(|a: &StreamSurvey, b| {
        (&a.description.name, &a.description.source_id, &a.description.uid).cmp(&(
            &b.description.name,
            &b.description.source_id,
            &b.description.uid,
        ))
    });
    Ok(surveys)
}

fn unwatched(description: StreamDescription, problem: &str) -> StreamSurvey {
    StreamSurvey {
        description,
        samples: 0,
        measured_rate_hz: None,
        age_ms: None,
        clock_offset_ms: None,
        clock_uncertainty_ms: None,
        problem: Some(problem.to_owned()),
    }
}

fn survey(short: StreamDescription, watch: Seconds) -> StreamSurvey {
    let Some((inlet, description)) = find_uid(&short.uid, SEARCH).and_then(|info| open(&info)) else {
        return unwatched(short, "it vanished, or its machine cannot be reached");
    };
    let numeric = description.format.is_some();
    let mut survey = unwatched(description, "");
    survey.problem = None;
    let (mut numbers, mut texts) = (Vec::<f64>::new(), Vec::<String>::new());
    let mut meter = RateMeter::new(watch);
    let mut newest = None;
    let deadline = Deadline::after(watch);
    while !deadline.passed() {
        let wait = deadline.remaining().0;
        let pulled = if numeric {
            f64::pull(&inlet, &mut numbers, wait)
        } else {
            inlet.pull_sample_buf(&mut texts, wait)
        };
        match pulled {
            Ok(0.0) => {}
            Ok(stamp) => {
                let arrival = clock::now();
                survey.samples += 1;
                meter.observe(arrival, 1);
                newest = Some(arrival.0 - stamp);
            }
            Err(error) => {
                survey.problem = Some(error.to_string());
                break;
            }
        }
    }
    survey.measured_rate_hz = meter.rate_hz();
    measure_clock(&inlet, &mut survey);
    survey.age_ms = newest.map(|age| age * 1e3 - survey.clock_offset_ms.unwrap_or(0.0));
    survey
}

fn measure_clock(inlet: &StreamInlet, survey: &mut StreamSurvey) {
    if let Ok((offset, _, round_trip)) = inlet.time_correction_ex(1.0) {
        survey.clock_offset_ms = Some(offset * 1e3);
        survey.clock_uncertainty_ms = Some(round_trip / 2.0 * 1e3);
    }
}
