//! What makes a simulated participant harder, on the command line.

use clap::Args;
use kalmind_session::{Drift, Offset, ParticipantOptions, Profile};
use kalmind_types::Seconds;

use super::values::{delay_ms, strength};

/// A simulated participant other than the standard one.
#[derive(Args, Clone, Debug)]
pub struct ParticipantArguments {
    /// Depth of tuning; the standard is 0.5, less is harder.
    #[arg(long, value_name = "SCALE", default_value_t = 0.5, value_parser = strength, allow_negative_numbers = true)]
    pub modulation: f64,
    /// Drift per minute (standard deviations): rotation of the tuning in degrees, and change of baseline log rates; or
    /// `standard`, 1 degree and 0.02 from the end of the open loop on.
    #[arg(long, value_name = "DEGREES[:LOG]|standard")]
    pub drift: Option<String>,
    /// Units that fall silent.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub drop: usize,
    /// Offset on one channel, in standard deviations of its baseline counts.
    #[arg(long, value_name = "CHANNEL:Z")]
    pub offset: Vec<String>,
    /// Further delay of what the participant sees, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 0.0, value_parser = delay_ms, allow_negative_numbers = true)]
    pub delay_ms: f64,
    /// Standard deviation of further noise on every log rate.
    #[arg(long, value_name = "SD", default_value_t = 0.0, value_parser = strength, allow_negative_numbers = true)]
    pub noise: f64,
    /// Mean to select a target by clicking, once the cursor is in it.
    #[arg(long)]
    pub clicks: bool,
}

impl ParticipantArguments {
    /// The participant's settings.
    ///
    /// # Errors
    /// Texts that make no sense.
    pub(super) fn options(&self, seed: u64, profile: Profile) -> anyhow::Result<ParticipantOptions> {
        let defaults = ParticipantOptions::default();
        let delay = Seconds::from_millis(self.delay_ms);
        anyhow::ensure!(
            delay.0 >= 0.0,
            "--delay-ms {}: the participant can only be made slower",
            self.delay_ms
        );
        let offsets = self
            .offset
            .iter()
            .map(|text| {
                text.split_once(':')
                    .and_then(|(unit, deviations)| {
                        Some(Offset {
                            unit: unit.trim().parse().ok()?,
                            deviations: deviations.trim().parse().ok()?,
                        })
                    })
                    .ok_or_else(|| anyhow::anyhow!("--offset {text}: CHANNEL:Z is expected, as in 3:5"))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let drift = match self.drift.as_deref() {
            None => Drift::default(),
            Some("standard") => Drift::STANDARD,
            Some(text) => {
                let (rotation, baseline) = text.split_once(':').unwrap_or((text, "0"));
                let number = |part: &str| {
                    part.trim().parse::<f64>().map_err(|_no_number| {
                        anyhow::anyhow!(
                            "--drift {text}: DEGREES[:LOG] is expected, as in 10:0.1, or standard"
                        )
                    })
                };
                let (rotation_deg_per_min, baseline_per_min) = (number(rotation)?, number(baseline)?);
                Drift { rotation_deg_per_min, baseline_per_min, after_calibration: false }
            }
        };
        Ok(ParticipantOptions {
            seed,
            profile,
            modulation: self.modulation,
            state_delay: Seconds(defaults.state_delay.0 + delay.0),
            target_delay: Seconds(defaults.target_delay.0 + delay.0),
            noise: self.noise,
            drift,
            drop: self.drop,
            offsets,
            clicks: self.clicks,
            ..defaults
        })
    }
}
