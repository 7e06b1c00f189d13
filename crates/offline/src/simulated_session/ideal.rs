//! The ideal observer: a cursor and a button that do what the participant means. What a decoder reaches is a part of what it does.

use kalmind_engine::EngineSettings;
use kalmind_filter::LabelLaw;
use kalmind_session::Participant;
use kalmind_types::{
    Click, Command, CursorDrive, CursorTuning, OutputState, Position, TaskState, TickOutput, Velocity,
};

/// Its cursor and its button.
#[derive(Clone, Debug)]
pub(super) struct Ideal {
    label_law: LabelLaw,
    gain: [f64; 2],
    tuning: CursorTuning,
    height: f64,
    position: Position,
    /// In force with the next tick.
    placed: Option<Position>,
    task: TaskState,
    button: Click,
}

impl Ideal {
    pub(super) fn new(settings: &EngineSettings) -> Self {
        let cursor = &settings.cursor;
        Self {
            label_law: settings.label_law,
            gain: cursor.gain,
            tuning: CursorTuning {
                gain: 1.0,
                gain_growth: 0.0,
                smoothing: cursor.smoothing,
                max_speed: cursor.max_speed,
            },
            height: cursor.height,
            position: cursor.start,
            placed: None,
            task: TaskState::default(),
            button: Click::default(),
        }
    }

    /// Something that is in force with the next tick.
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::PlaceCursor(position) => self.placed = Some(position),
            Command::Task(task) => self.task = task,
            Command::TuneCursor(tuning) => self.tuning = tuning,
            _ => {}
        }
    }

    /// Puts what the participant means in a tick in the place of what was decoded.
    pub(super) fn observe(&mut self, participant: &Participant, output: &mut TickOutput) {
        if let Some(placed) = self.placed.take() {
            self.position = placed;
        }
        let labels = output.state == OutputState::Calibrating && self.task.drive == CursorDrive::Label;
        let velocity = match self.task.target {
            _ if !output.state.moves() => Velocity::default(),
            Some(target) if labels => self.label_law.label(self.position, target.position),
            None if labels => Velocity::default(),
            _ => {
                let Velocity([x, y]) = participant.intent();
                let gain = self.gain.map(|gain| gain * self.tuning.gain);
                self.tuning.grown(Velocity([gain[0] * x, gain[1] * y])).limited(self.tuning.max_speed)
            }
        };
        let seconds = participant.options().bin.0;
        let moved =
            |axis: usize, edge: f64| (self.position.0[axis] + seconds * velocity.0[axis]).clamp(0.0, edge);
        self.position = Position([moved(0, 1.0), moved(1, self.height)]);
        (output.position, output.velocity) = (self.position, velocity);
        let means = participant.selects() && output.state.moves() && !labels;
        let begins = means && !self.button.pressed;
        self.button.presses += u64::from(begins);
        self.button.releases += u64::from(self.button.pressed && !means);
        (self.button.pressed, self.button.probability) = (means, f64::from(u8::from(means)));
        if begins {
            self.button.last_press_seq = Some(output.seq);
        }
        // as decoded, there is none before something decodes
        output.click = output.click.map(|_| self.button);
    }
}
