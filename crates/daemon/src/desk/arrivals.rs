//! How the streams arrive: when that is measured, and what the tick is told of it.

use kalmind_acquisition::clock;
use kalmind_types::{Actor, ArrivalAction, ArrivalEvent, Command, EventBody, InputArrival, OutputState};

use super::Desk;

impl Desk {
    /// Tells the tick how the streams arrive, when it is known; limits change only while nobody uses the cursor.
    pub(super) fn follow_arrival(&mut self) {
        let is_free = self.session.is_free() && self.shown != Some(OutputState::Control);
        if let Some(command) = self.settings.arrivals.look(is_free) {
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
