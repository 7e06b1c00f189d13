//! The settings of a simulated participant.

use kalmind_types::Seconds;
use serde::{Deserialize, Serialize};

/// What a participant does in a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// It moves as the labels assume.
    #[default]
    Default,
    /// It does not, so that no decoder is flattered: reaction time (150 to 450 ms) and time constant (0.25 to 0.7 s) are
    /// other ones in each trial, in an open loop it makes a minimum-jerk movement of 0.9 s and rests, and in 2 % of trials it
    /// means nothing for a second.
    Mismatch,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Default, Self::Mismatch];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Mismatch => "mismatch",
        }
    }
}

/// Slow changes of the neurons, linear in time; 0 and 0 by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drift {
    /// Standard deviation over units of how far a preferred direction turns in a minute, in degrees.
    pub rotation_deg_per_min: f64,
    /// Standard deviation over units of how far a log baseline rate moves in a minute.
    pub baseline_per_min: f64,
    /// Whether they begin with the end of the first open loop and not with the first bin.
    pub after_calibration: bool,
}

impl Drift {
    /// The standard drift, by which decoders that adapt are compared with those that do not.
    pub const STANDARD: Self =
        Self { rotation_deg_per_min: 1.0, baseline_per_min: 0.02, after_calibration: true };
}

/// A constant added to one unit's counts, as a broken electrode would.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offset {
    /// The unit, from 0.
    pub unit: usize,
    /// How much, in standard deviations of its count at rest. The stream then carries fractions.
    pub deviations: f64,
}

/// The participant's settings. The default is the yardstick and stays as it is; the other values make it harder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ParticipantOptions {
    /// Seed of everything random.
    pub seed: u64,
    /// What it does in a trial.
    pub profile: Profile,
    /// Number of units.
    pub units: usize,
    /// Bin width, in seconds.
    pub bin: Seconds,
    /// Scale m of the modulation: that of a tuned unit is m |N(0,1)|.
    pub modulation: f64,
    /// How old a `state` message is before the participant acts on it, in seconds.
    pub state_delay: Seconds,
    /// How old a `target` event is before the participant acts on it, in seconds.
    pub target_delay: Seconds,
    /// Standard deviation of further independent noise on every log rate in every bin.
    pub noise: f64,
    /// Slow changes.
    pub drift: Drift,
    /// Units, drawn by the seed, that fire no spike.
    pub drop: usize,
    /// Constants added to counts.
    pub offsets: Vec<Offset>,
    /// Whether it means to select a target by clicking once it sees the cursor in it.
    pub clicks: bool,
    /// Whether it means the velocity of the hand that it is told of, and not its own law.
    pub hand: bool,
}

impl Default for ParticipantOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            profile: Profile::Default,
            units: 96,
            bin: Seconds(0.02),
            modulation: 0.5,
            state_delay: Seconds(0.2),
            target_delay: Seconds(0.25),
            noise: 0.0,
            drift: Drift::default(),
            drop: 0,
            offsets: Vec::new(),
            clicks: false,
            hand: false,
        }
    }
}

/// Why there is no such participant.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ParticipantError {
    /// A setting is out of range.
    #[error("{setting} is {value}; {expected}")]
    OutOfRange {
        /// Which.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// What would be right.
        expected: &'static str,
    },
    /// An offset names a unit that there is not.
    #[error("offset on unit {unit}, but units are numbered 0 to {last}")]
    NoSuchUnit {
        /// The unit named.
        unit: usize,
        /// The last there is.
        last: usize,
    },
}

/// Whether there is such a participant.
pub(super) fn check(options: &ParticipantOptions) -> Result<(), ParticipantError> {
    let within = |setting, value: f64, least: f64, most: f64, expected| {
        if value >= least && value <= most {
            Ok(())
        } else {
            Err(ParticipantError::OutOfRange { setting, value, expected })
        }
    };
    within("units", options.units as f64, 1.0, 1024.0, "from 1 to 1024 is possible")?;
    within("bin", options.bin.0, 1e-3, 0.2, "a bin is 0.001 to 0.2 s wide")?;
    within("modulation", options.modulation, 0.0, 10.0, "from 0 to 10 is possible (standard: 0.5)")?;
    within("state_delay", options.state_delay.0, 0.0, 10.0, "from 0 to 10 s is possible (standard: 0.2)")?;
    within("target_delay", options.target_delay.0, 0.0, 10.0, "from 0 to 10 s is possible (standard: 0.25)")?;
    within("noise", options.noise, 0.0, 10.0, "from 0 to 10 is possible")?;
    within(
        "drift.rotation_deg_per_min",
        options.drift.rotation_deg_per_min,
        0.0,
        360.0,
        "from 0 to 360 is possible",
    )?;
    within("drift.baseline_per_min", options.drift.baseline_per_min, 0.0, 10.0, "from 0 to 10 is possible")?;
    within("drop", options.drop as f64, 0.0, options.units as f64, "at most all units can be dropped")?;
    for offset in &options.offsets {
        if offset.unit >= options.units {
            return Err(ParticipantError::NoSuchUnit { unit: offset.unit, last: options.units - 1 });
        }
        within("offset", offset.deviations, -1e3, 1e3, "from -1000 to 1000 deviations is possible")?;
    }
    Ok(())
}
