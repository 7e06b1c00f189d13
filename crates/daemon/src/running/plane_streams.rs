//! Places that another program sends as numbers: where the cursor stands (`[cursor.position_from]`) and where targets are
//! (`[task.targets_from]`).
//!
//! Each has a thread of its own that finds the stream whenever it appears. The newest position lies in a slot that the desk
//! looks into at every tick; older ones are of no use to anybody and are overwritten. Targets become task events as those of
//! a marker stream do.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use kalmind_acquisition::{InletConfig, NumericInlet, StreamMonitor, StreamSelector, Waker, find_one};
use kalmind_types::{LslTime, Position, SampleBlock, SampleRows, Seconds, StreamDescription, Target};

use crate::{
    configuration::{ChannelReference, Configuration},
    starting::plan_error::check_rate,
};

/// How long one search for a stream lasts.
const SEARCH: Seconds = Seconds(1.0);
/// How long a thread waits for samples before it looks whether it shall end.
const LONGEST_PARK: Duration = Duration::from_millis(100);
/// Targets are presented at most so often, by their stamps: a moving one would fill every queue.
const BETWEEN_TARGETS: Seconds = Seconds(1.0 / 60.0);
/// The farthest from the workspace that a place may lie, in workspace widths.
const FARTHEST: f64 = 1e6;

/// The newest position of a cursor that another program keeps. Any thread may write or take; what is not taken is overwritten.
#[derive(Clone, Debug, Default)]
pub struct PositionSlot(Arc<Mutex<Option<Position>>>);

impl PositionSlot {
    /// Puts the newest position in.
    pub fn put(&self, position: Position) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(position);
    }

    /// Takes the newest position, if one came since the last time.
    pub fn take(&self) -> Option<Position> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What a stream of places is followed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Places {
    /// `[cursor.position_from]`.
    Cursor,
    /// `[task.targets_from]`.
    Targets,
}

impl Places {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Cursor, Self::Targets];

    /// The name under which the stream is shown.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Cursor => "cursor position",
            Self::Targets => "targets",
        }
    }

    /// What the stream is found by; none where none is configured.
    pub(crate) fn selector(self, configuration: &Configuration) -> Option<StreamSelector> {
        configuration.not_own_if_given(match self {
            Self::Cursor => &configuration.cursor.position_from.selector,
            Self::Targets => &configuration.task.targets_from.selector,
        })
    }

    fn plane(self, configuration: &Configuration) -> Plane {
        let (channels, scale, offset) = match self {
            Self::Cursor => {
                let source = &configuration.cursor.position_from;
                (&source.channels, source.scale, source.offset)
            }
            Self::Targets => {
                let source = &configuration.task.targets_from;
                (&source.channels, source.scale, source.offset)
            }
        };
        Plane { channels: channels.clone(), scale: scale.0, offset }
    }

    /// Why this stream cannot be followed; nothing where it can.
    pub(crate) fn problem(self, configuration: &Configuration, found: &StreamDescription) -> Option<String> {
        self.plane(configuration).checked(found).err()
    }
}

/// Which of a stream's numbers make a place, and how they become workspace widths.
#[derive(Clone, Debug)]
struct Plane {
    channels: Vec<ChannelReference>,
    scale: [f64; 2],
    offset: [f64; 2],
}

impl Plane {
    /// Indices of the channels in a stream.
    fn places(&self, description: &StreamDescription) -> Result<Vec<usize>, String> {
        let labels = description.labels.as_deref().unwrap_or_default();
        let place = |channel: &ChannelReference| match channel {
            ChannelReference::Index(index) => Some(*index).filter(|index| *index < description.channels),
            ChannelReference::Label(label) => labels.iter().position(|known| known == label),
        };
        let places = self.channels.iter().map(|channel| place(channel).ok_or(channel));
        places.collect::<Result<_, _>>().map_err(|channel| {
            let channel = match channel {
                ChannelReference::Index(index) => index.to_string(),
                ChannelReference::Label(label) => format!("{label:?}"),
            };
            format!(
                "it has no channel {channel}; it has {} ({})",
                description.channels,
                if labels.is_empty() { "without labels".to_owned() } else { labels.join(", ") }
            )
        })
    }

    /// The same, of a stream that sends numbers; otherwise a sentence with the stream's name.
    fn checked(&self, description: &StreamDescription) -> Result<Vec<usize>, String> {
        if description.format.is_none() {
            return Err(format!("the stream {:?} sends text, not numbers", description.name));
        }
        self.places(description)
            .map_err(|problem| format!("the stream {:?} cannot be used: {problem}", description.name))
    }

    /// x and y of a sample in workspace widths; none where they are no place.
    fn position(&self, values: &[f64]) -> Option<Position> {
        let axis = |axis: usize| values.get(axis).map(|value| value * self.scale[axis] + self.offset[axis]);
        let place = [axis(0)?, axis(1)?];
        place.iter().all(|value| value.abs() <= FARTHEST).then_some(Position(place))
    }
}

/// The threads of a run. Dropping it ends them.
#[derive(Debug, Default)]
pub struct PlaneStreams {
    end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    monitors: Vec<Arc<StreamMonitor>>,
}

impl Drop for PlaneStreams {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("a thread that follows places panicked");
            }
        }
    }
}

impl PlaneStreams {
    /// Follows where the cursor stands, where a stream is configured: into `slot`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn follow_position(
        &mut self,
        configuration: &Configuration,
        slot: PositionSlot,
    ) -> std::io::Result<()> {
        let of = Places::Cursor.plane(configuration);
        self.spawn(Places::Cursor, configuration, move |_, values| {
            if let Some(position) = of.position(values) {
                slot.put(position);
            }
        })
    }

    /// Follows targets, where a stream is configured: every change is told with its time.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn follow_targets(
        &mut self,
        configuration: &Configuration,
        mut tell: impl FnMut(LslTime, Option<Target>) + Send + 'static,
    ) -> std::io::Result<()> {
        let mut changes = TargetChanges {
            plane: Places::Targets.plane(configuration),
            radius: configuration.task.targets_from.radius,
            shown: None,
            since: None,
        };
        self.spawn(Places::Targets, configuration, move |time, values| {
            if let Some(target) = changes.take(time, values) {
                tell(time, target);
            }
        })
    }

    /// What is known of the streams that are followed, for status pages.
    pub(crate) fn monitors(&self) -> impl Iterator<Item = Arc<StreamMonitor>> {
        self.monitors.iter().map(Arc::clone)
    }

    /// Follows a stream where one is configured.
    fn spawn(
        &mut self,
        places: Places,
        configuration: &Configuration,
        mut sample: impl FnMut(LslTime, &[f64]) + Send + 'static,
    ) -> std::io::Result<()> {
        let Some(selector) = places.selector(configuration) else { return Ok(()) };
        let (key, plane) = (places.key(), places.plane(configuration));
        let monitor = Arc::new(StreamMonitor::new(key));
        self.monitors.push(Arc::clone(&monitor));
        let end = Arc::clone(&self.end);
        let follow = move || {
            let waker = Waker::new();
            let _only_this_thread_attaches = waker.attach();
            let mut told = String::new();
            while !end.load(Ordering::Acquire) {
                match open(&monitor, &selector, &plane, &waker) {
                    Ok((inlet, places)) => {
                        tracing::info!(stream = key, "found");
                        return read(inlet, &places, &end, &mut sample);
                    }
                    Err(problem) => {
                        monitor.set_awaited(format!("followed from when it appears; {problem}"));
                        if problem != told {
                            tracing::warn!(stream = key, problem, "still looking");
                            told = problem;
                        }
                        std::thread::park_timeout(LONGEST_PARK);
                    }
                }
            }
        };
        self.threads.push(std::thread::Builder::new().name("kalmind-places".to_owned()).spawn(follow)?);
        Ok(())
    }
}

/// Finds the stream and receives it. Its own inlet connects it anew when it is lost.
fn open(
    monitor: &Arc<StreamMonitor>,
    selector: &StreamSelector,
    plane: &Plane,
    waker: &Waker,
) -> Result<(NumericInlet, Vec<usize>), String> {
    let description = find_one(selector, SEARCH).map_err(|error| error.to_string())?;
    check_rate(monitor.key(), &description).map_err(|error| error.to_string())?;
    let places = plane.checked(&description)?;
    let mut config = InletConfig::new(monitor.key(), selector.clone(), description);
    // the newest sample counts, whatever its age; what is old is overwritten at once
    config.limits.backlog_ms = f64::INFINITY;
    config.limits.bad_clock_ms = f64::INFINITY;
    let inlet = NumericInlet::spawn_under(config, waker.clone(), Arc::clone(monitor))
        .map_err(|error| error.to_string())?;
    Ok((inlet, places))
}

fn read(
    mut inlet: NumericInlet,
    places: &[usize],
    end: &AtomicBool,
    sample: &mut impl FnMut(LslTime, &[f64]),
) {
    let mut values = vec![0.0; places.len()];
    while !end.load(Ordering::Acquire) {
        while let Some(block) = inlet.blocks.receive() {
            each(&block, places, &mut values, sample);
            inlet.blocks.give_back(block);
        }
        std::thread::park_timeout(LONGEST_PARK);
    }
}

/// Hands every sample of a block over, as the chosen channels.
fn each(block: &SampleBlock, places: &[usize], values: &mut [f64], sample: &mut impl FnMut(LslTime, &[f64])) {
    for (row, stamp) in block.stamps.iter().enumerate() {
        let rows = block.values.rows(block.channels, row, row + 1);
        for (value, place) in values.iter_mut().zip(places) {
            *value = number(rows, *place);
        }
        sample(stamp.corrected(block.clock.offset), values);
    }
}

/// One value of a row; NaN where there is none.
fn number(row: SampleRows<'_>, channel: usize) -> f64 {
    let value = match row {
        SampleRows::Float32(values) => values.get(channel).map(|value| f64::from(*value)),
        SampleRows::Double64(values) => values.get(channel).copied(),
        SampleRows::Int8(values) => values.get(channel).map(|value| f64::from(*value)),
        SampleRows::Int16(values) => values.get(channel).map(|value| f64::from(*value)),
        SampleRows::Int32(values) => values.get(channel).map(|value| f64::from(*value)),
        SampleRows::Int64(values) => values.get(channel).map(|value| *value as f64),
    };
    value.unwrap_or(f64::NAN)
}

/// From samples to targets that are presented and taken away.
#[derive(Debug)]
struct TargetChanges {
    plane: Plane,
    radius: f64,
    shown: Option<Target>,
    since: Option<LslTime>,
}

impl TargetChanges {
    /// The target from this sample on, where it is another one.
    #[expect(clippy::option_option, reason = "whether it changed, and whether there is one")]
    fn take(&mut self, time: LslTime, values: &[f64]) -> Option<Option<Target>> {
        let radius = values.get(2).map_or(self.radius, |radius| radius * self.plane.scale[0].abs());
        let has_radius = radius > 0.0 && radius <= FARTHEST;
        let target = self.plane.position(values).filter(|_| has_radius);
        let target = target.map(|position| Target { position, radius });
        let too_soon = self.since.is_some_and(|since| (0.0..BETWEEN_TARGETS.0).contains(&(time - since).0));
        if target == self.shown || too_soon {
            return None;
        }
        self.shown = target;
        self.since = Some(time);
        Some(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane() -> Plane {
        Plane {
            channels: vec![ChannelReference::Index(0), ChannelReference::Label("y".to_owned())],
            scale: [0.001, -0.001],
            offset: [0.0, 0.5],
        }
    }

    #[test]
    fn pixels_with_y_down_become_workspace_widths() {
        let near = |found: Option<Position>, [x, y]: [f64; 2]| {
            let Position(place) = found.expect("a place");
            assert!((place[0] - x).abs() < 1e-12 && (place[1] - y).abs() < 1e-12, "{place:?}");
        };
        near(plane().position(&[250.0, 100.0]), [0.25, 0.4]);
        near(plane().position(&[0.0, 500.0]), [0.0, 0.0]);
        for nowhere in [&[f64::NAN, 0.0][..], &[0.0, f64::INFINITY], &[1e300, 0.0], &[1.0]] {
            assert_eq!(plane().position(nowhere), None);
        }
    }

    #[test]
    fn channels_are_found_by_label_and_by_number() {
        let mut description = StreamDescription {
            channels: 2,
            labels: Some(["x", "y"].map(str::to_owned).to_vec()),
            ..StreamDescription::default()
        };
        assert_eq!(plane().places(&description), Ok(vec![0, 1]));
        description.labels = None;
        let problem = plane().places(&description).expect_err("no labels");
        assert!(problem.contains("\"y\"") && problem.contains("without labels"), "{problem}");
    }

    #[test]
    fn a_target_is_told_when_it_changes_and_not_too_often() {
        let mut changes = TargetChanges { plane: plane(), radius: 0.06, shown: None, since: None };
        let target = changes.take(LslTime(1.0), &[500.0, 250.0, 60.0]).expect("a change").expect("a target");
        assert!((target.radius - 0.06).abs() < 1e-12);
        assert_eq!(changes.take(LslTime(1.1), &[500.0, 250.0, 60.0]), None);
        assert!(changes.take(LslTime(2.0), &[600.0, 250.0, 60.0]).is_some());
        assert_eq!(changes.take(LslTime(2.005), &[601.0, 250.0, 60.0]), None, "too soon");
        assert!(changes.take(LslTime(2.02), &[602.0, 250.0, 60.0]).is_some());
        assert_eq!(changes.take(LslTime(3.0), &[602.0, 250.0, 0.0]), Some(None), "taken away");
        assert_eq!(changes.take(LslTime(4.0), &[f64::NAN, 250.0, 60.0]), None, "still none");
        assert!(changes.take(LslTime(5.0), &[602.0, 250.0]).is_some(), "without a radius the configured one");
    }

    #[test]
    fn the_newest_position_is_taken_once() {
        let slot = PositionSlot::default();
        assert_eq!(slot.take(), None);
        slot.put(Position([0.1, 0.1]));
        slot.put(Position([0.2, 0.2]));
        assert_eq!(slot.take(), Some(Position([0.2, 0.2])));
        assert_eq!(slot.take(), None);
    }
}
