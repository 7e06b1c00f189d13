//! The decoders as users meet them: what each is in one line, which options it takes, and what holds where an option is
//! not written. The parser, `kalmind decoders` and `docs/options.md` read these declarations; a test fits with and without
//! each default.

use crate::{
    DecoderName,
    options::{OPTIONS, OptionInfo},
};

/// One option of one decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderOption {
    /// The option.
    pub info: &'static OptionInfo,
    /// What holds where it is not written, as it would be written.
    pub default: &'static str,
    /// Where something else holds; empty where nothing does.
    pub except: &'static str,
}

/// Name, default, and where something else holds.
type Taken = (&'static str, &'static str, &'static str);

/// Where the intent rests.
const MEAN: Taken = ("state-mean", "training", "zero for labels from targets, and with `intercept=off`");

/// The factor on the published covariance.
const SCALE: Taken = ("covariance-scale", "auto", "");

/// What stands in front of any decoder.
const GUARD: Taken = ("guard", "off", "in a session `[decoder] guard` decides, on by default");

/// The options of a discriminative filter, with the default of `direction` and of `guard`, and those of its own f.
macro_rules! discriminative {
    ($direction:literal, $guard:expr, $($own:expr),*) => {
        &[
            ("lags", "1", ""),
            $($own,)*
            ("direction", $direction, ""),
            ("form", "auto", ""),
            ("q", "constant", ""),
            ("q-scale", "auto", ""),
            ("residuals", "cross-fitted", ""),
            ("state-order", "auto", "1 with `dynamics=ekf` or `ukf`"),
            MEAN,
            ("stationary", "training", ""),
            ("start", "first", ""),
            ("dynamics", "linear", ""),
            SCALE,
            $guard,
        ]
    };
}

impl DecoderName {
    /// What it is, in one line.
    #[must_use]
    pub fn summary(self) -> &'static str {
        match self {
            Self::Kalman => "Kalman filter, gain computed in every step",
            Self::KalmanSteady => "Kalman filter with the gain that it converges to",
            Self::Wiener => "linear regression on a window of bins",
            Self::WienerCascade => {
                "linear regression on a window of bins, then a polynomial of each component"
            }
            Self::Ole => "optimal linear estimate from one bin",
            Self::RefitKalman => "Kalman filter learnt from intentions turned toward the targets",
            Self::Ekf => "extended Kalman filter with networks as model of the features",
            Self::Ukf => "unscented Kalman filter with networks as model of the features",
            Self::DkfLinear => "discriminative Kalman filter, f by ridge regression",
            Self::DkfNw => "discriminative Kalman filter, f by Nadaraya-Watson kernel regression",
            Self::DkfGp => "discriminative Kalman filter, f by a Gaussian process",
            Self::DkfMk => {
                "discriminative Kalman filter, f by a Gaussian process with a kernel for every channel"
            }
            Self::DkfNn => "discriminative Kalman filter, f by networks of tanh units",
            Self::DkfGru => "discriminative Kalman filter, f by recurrent networks",
            Self::Auto => "the best discriminative filter, or an ensemble of them, as held-out rows say",
        }
    }

    /// The options that it takes, with their defaults, in the order in which they are listed.
    pub fn options(self) -> impl Iterator<Item = DecoderOption> {
        self.taken().iter().filter_map(|&(name, default, except)| {
            let info = OPTIONS.iter().find(|info| info.name == name)?;
            Some(DecoderOption { info, default, except })
        })
    }

    /// The names of the options that it takes.
    #[must_use]
    pub fn option_names(self) -> Vec<&'static str> {
        self.taken().iter().map(|(name, ..)| *name).collect()
    }

    fn taken(self) -> &'static [Taken] {
        match self {
            Self::Kalman => &[
                ("state-order", "1", ""),
                MEAN,
                ("stationary", "training", ""),
                ("start", "prior", ""),
                ("intercept", "on", ""),
                ("update", "auto", ""),
                SCALE,
                GUARD,
            ],
            Self::KalmanSteady => {
                &[MEAN, ("stationary", "training", ""), ("intercept", "on", ""), SCALE, GUARD]
            }
            Self::Wiener => &[
                ("lags", "9", "fewer where there are few rows"),
                ("intercept", "on", ""),
                ("ridge", "0.001", ""),
                SCALE,
                GUARD,
            ],
            Self::WienerCascade => &[
                ("lags", "9", "fewer where there are few rows"),
                ("intercept", "on", ""),
                ("ridge", "0.001", ""),
                ("degree", "3", ""),
                SCALE,
                GUARD,
            ],
            Self::Ole => &[("intercept", "on", ""), SCALE, GUARD],
            Self::RefitKalman => &[
                ("state-order", "1", ""),
                ("stationary", "training", ""),
                ("start", "prior", ""),
                ("intercept", "on", ""),
                ("feedback", "none", ""),
                SCALE,
                GUARD,
            ],
            Self::Ekf | Self::Ukf => &[
                ("hidden", "8", ""),
                ("epochs", "40", ""),
                MEAN,
                ("stationary", "training", ""),
                SCALE,
                GUARD,
            ],
            Self::DkfLinear => {
                discriminative!("off", GUARD, ("intercept", "on", ""), ("ridge", "0.0001", ""))
            }
            Self::DkfNw => discriminative!(
                "auto",
                GUARD,
                ("kernel", "se-ard", "`se` where held-out blocks say so, and with a `bandwidth`"),
                ("bandwidth", "auto", ""),
                ("steps", "15", "")
            ),
            Self::DkfGp => discriminative!(
                "auto",
                GUARD,
                ("kernel", "se-ard", ""),
                ("steps", "60", "30 with `kernel=se`"),
                ("exact", "5000", ""),
                ("inducing", "1000", "")
            ),
            Self::DkfMk => discriminative!(
                "auto",
                ("guard", "on", ""),
                ("weights", "learned", ""),
                ("steps", "40", ""),
                ("inducing", "1500", "of all kernels together"),
                ("sparsify", "none", "")
            ),
            Self::DkfNn => discriminative!(
                "off",
                GUARD,
                ("networks", "5", ""),
                ("hidden", "64", "8 with `optimizer=levenberg-marquardt`"),
                ("optimizer", "adam", ""),
                ("epochs", "60", "40 with `optimizer=levenberg-marquardt`"),
                ("gradient-noise", "0", "")
            ),
            Self::DkfGru => discriminative!(
                "off",
                GUARD,
                ("networks", "8", ""),
                ("cell", "gru", ""),
                ("hidden", "64", ""),
                ("layers", "3", ""),
                ("epochs", "80", "fewer beyond 10000 training rows"),
                ("gradient-noise", "0", "")
            ),
            Self::Auto => &[("ensemble", "on", ""), MEAN, GUARD],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DecoderSpec;

    #[test]
    fn every_default_is_a_value_of_its_option_and_every_option_has_a_decoder() {
        for decoder in DecoderName::ALL {
            assert_eq!(decoder.options().count(), decoder.option_names().len(), "{decoder}: unknown names");
            for DecoderOption { info, default, .. } in decoder.options() {
                let mut spec = DecoderSpec::new(decoder);
                spec.set(info.name, default).unwrap();
                assert_eq!(spec.get(info.name).as_deref(), Some(default), "{decoder}: {}", info.name);
            }
        }
        for info in OPTIONS {
            let taken = |decoder: &DecoderName| decoder.option_names().contains(&info.name);
            assert!(DecoderName::ALL.iter().any(taken), "no decoder takes `{}`", info.name);
        }
    }
}
