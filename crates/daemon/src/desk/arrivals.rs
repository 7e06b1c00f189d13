//! How the streams arrive: when that is measured, and what the tick is told of it.

use kalmind_acquisition::clock;
use kalmind_types::{
    Actor, ArrivalAction, ArrivalEvent, Command, EventBody, InputArrival, Mode, OutputState,
};

use super::Desk;

impl Desk {
    /// Whether nobody is using the cursor: no block runs and nobody controls.
    pub(super) fn is_free(&self) -> bool {
        let controls = self.wanted == Some(Mode::Control) || self.shown == Some(OutputState::Control);
        self.block.is_none() && self.task.is_none() && !controls
    }

    /// Tells the tick how the streams arrive, when it is known and when it is to be measured anew.
    pub(super) fn follow_arrival(&mut self) {
        let is_free = self.is_free();
        if is_free && core::mem::take(&mut self.measure_when_free) {
            self.measure_arrival();
        } else if let Some(command) = self.settings.arrivals.look(is_free) {
            self.tell_arrival(command);
        }
    }

    pub(super) fn measure_arrival(&mut self) {
        if let Some(command) = self.settings.arrivals.measure_anew() {
            self.tell_arrival(command);
        }
    }

    pub(super) fn tell_arrival(&mut self, command: Command) {
        self.command(command);
        let input = self.settings.arrivals.board().now();
        let action = if input.state == InputArrival::Measuring {
            ArrivalAction::MeasuringArrival
        } else {
            ArrivalAction::ArrivalMeasured
        };
        let streams = self.settings.arrivals.streams();
        let arrival = ArrivalEvent { action, by: Actor::Daemon, input, streams };
        self.events.publish(clock::now(), EventBody::Arrival(arrival));
    }
}
