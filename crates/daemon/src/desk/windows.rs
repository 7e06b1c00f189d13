//! Windows at events: what was read from each becomes an event.

use kalmind_engine::WindowSettings;
use kalmind_types::{EventBody, EventWindow, WindowEvent, WindowMissing, WindowValue};

use crate::{event_bus::EventBus, starting::plan::Plan, tick::TickRecord};

/// What the events of a kind of window say.
#[derive(Clone, Debug)]
pub struct ToldWindow {
    settings: WindowSettings,
    /// Key of its stream.
    stream: String,
    /// Names of what is read.
    names: Vec<String>,
}

impl ToldWindow {
    /// Those of a run.
    #[must_use]
    pub fn all_of(plan: &Plan) -> Vec<Self> {
        let told = |settings: &WindowSettings| {
            let stream = plan.streams.get(usize::from(settings.stream));
            Self {
                stream: stream.map_or_else(String::new, |stream| stream.inlet.key.clone()),
                // a plan holds none that has no reader
                names: settings.reader().map(|reader| reader.names().to_vec()).unwrap_or_default(),
                settings: settings.clone(),
            }
        };
        plan.windows.iter().map(told).collect()
    }

    /// Tells of a tick's windows.
    pub(super) fn tell(all: &[Self], record: &TickRecord, events: &EventBus) {
        for (window, result) in record.input.windows.iter().zip(record.windows.iter()) {
            Self::publish(all, window, result, events);
        }
    }

    /// Tells of the windows that still waited for a tick when the run ended.
    pub(crate) fn tell_unread(all: &[Self], unread: &[EventWindow], events: &EventBus) {
        for window in unread {
            Self::publish(all, window, Err(window.missing.unwrap_or(WindowMissing::NoSamples)), events);
        }
    }

    fn publish(all: &[Self], window: &EventWindow, result: Result<&[f64], WindowMissing>, events: &EventBus) {
        let Some(told) = all.get(usize::from(window.marker.window)) else { return };
        let Self { settings, stream, names } = told;
        let value = |(name, value): (&String, &f64)| WindowValue { name: name.clone(), value: *value };
        let event = WindowEvent {
            window: settings.name.clone(),
            event: window.event,
            marker: settings.texts.get(usize::from(window.marker.text)).cloned().unwrap_or_default(),
            stream: stream.clone(),
            first: result.is_ok().then_some(window.first),
            samples: window.count,
            reader: settings.reader.name().to_owned(),
            values: result.ok().map(|values| names.iter().zip(values).map(value).collect()),
            missing: result.err(),
        };
        events.publish(window.marker.time(), EventBody::Window(Box::new(event)));
    }
}
