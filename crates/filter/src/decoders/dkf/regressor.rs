//! The conditional mean f of a discriminative filter: one of the registered kinds, or a weighted sum of them.

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::regression::Regression;
use crate::decoders::auto::ensemble::{Ensemble, Member};
use crate::decoders::dkf_gp::GaussianProcessRegressor;
use crate::decoders::dkf_gru::RecurrentRegressor;
use crate::decoders::dkf_linear::LinearRegressor;
use crate::decoders::dkf_mk::MultipleKernelRegressor;
use crate::decoders::dkf_nn::NetworksRegressor;
use crate::decoders::dkf_nw::NadarayaWatsonRegressor;
use crate::decoders::mean::{ConditionalMean, MeanKind, MeanSource};
use crate::kernel_path::KernelPath;
use crate::model_error::ModelError;
use crate::tensors::{ParametersError, Prefixed, TensorReader as _, TensorWriter, parse, problem};
use crate::validate::{out_of_range, shape, validate_lags};

/// Makes the regressor of the kinds.
macro_rules! regressors {
    ($($(#[$doc:meta])* $name:ident($of:ident);)+) => {
        /// The conditional mean f of a discriminative filter.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Regressor {
            $($(#[$doc])* $name($of),)+
        }

        /// The kinds, as the header names them.
        const KINDS: &[&str] = &[$($of::KIND),+];

        /// The keys of the header that belong to a kind.
        pub(super) fn regressor_keys(kind: &str) -> &'static [&'static str] {
            $(if kind == $of::KIND {
                return $of::KEYS;
            })+
            &[]
        }

        impl Regressor {
            fn mean(&self) -> &dyn ConditionalMean {
                match self {
                    $(Self::$name(mean) => mean,)+
                }
            }

            /// The kind, as the header names it.
            pub(crate) fn kind(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $of::KIND,)+
                }
            }

            /// Reads a regressor from its part of the header and its tensors.
            pub(super) fn read(
                mut header: Map<String, Value>,
                source: &mut MeanSource<'_>,
            ) -> Result<Self, ParametersError> {
                let kind = header.remove("kind").ok_or_else(|| problem("parameters: missing field `kind`"))?;
                let (kind, header) = (parse::<String>(kind)?, Value::Object(header));
                $(if kind == $of::KIND {
                    return Ok(Self::$name($of::read(header, source)?));
                })+
                let known = KINDS.iter().map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", ");
                Err(problem(format!("parameters: unknown variant `{kind}`, expected one of {known}")))
            }
        }
    };
}

regressors! {
    /// A linear function.
    Linear(LinearRegressor);
    /// A kernel-weighted mean of training intents.
    NadarayaWatson(NadarayaWatsonRegressor);
    /// Mean of a Gaussian process with a squared exponential kernel.
    GaussianProcess(GaussianProcessRegressor);
    /// Mean of a Gaussian process whose kernel is a weighted mean of one-dimensional Gaussians.
    MultipleKernel(MultipleKernelRegressor);
    /// Mean of networks.
    Networks(NetworksRegressor);
    /// Mean of recurrent networks.
    Recurrent(RecurrentRegressor);
    /// A weighted sum of others.
    Ensemble(EnsembleRegressor);
}

impl Regressor {
    /// Length n l of the window it takes.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.mean().inputs()
    }

    /// Whether f depends on the past beyond the window.
    #[must_use]
    pub fn remembers(&self) -> bool {
        self.mean().remembers()
    }

    /// f at work.
    #[must_use]
    pub fn regression(&self, path: KernelPath) -> Box<dyn Regression> {
        self.mean().regression(path)
    }

    /// Points that a bin is compared with, and their scales, for a Q with the same.
    pub(super) fn compared_points(&self) -> Option<(&DMatrix<f64>, Option<&[f64]>)> {
        self.mean().compared_points()
    }

    /// Checks f over windows of `inputs` values, bins of `features`.
    pub(super) fn validate(&self, inputs: usize, features: usize, outputs: usize) -> Result<(), ModelError> {
        self.mean().validate(inputs, features, outputs)
    }

    /// Writes the tensors; gives the part of the header.
    pub(super) fn write(
        &self,
        writer: &mut dyn TensorWriter,
    ) -> Result<Map<String, Value>, serde_json::Error> {
        let mut header = Map::new();
        header.insert("kind".to_owned(), self.kind().into());
        if let Value::Object(mut own) = self.mean().write(writer)? {
            header.append(&mut own);
        }
        Ok(header)
    }
}

/// `f(x) = sum_k weights_k f_k(x)`, each member over the newest bins that it wants.
#[derive(Clone, Debug, PartialEq)]
pub struct EnsembleRegressor {
    /// At least one.
    pub members: Vec<EnsembleMember>,
}

/// A member of an ensemble.
#[derive(Clone, Debug, PartialEq)]
pub struct EnsembleMember {
    /// What it is called in reports: the decoder with its options.
    pub name: String,
    /// Newest bins of the window that it takes, 1..=l.
    pub lags: usize,
    /// f of the member; not an ensemble itself.
    pub regressor: Regressor,
    /// Its weight, d x d.
    pub weight: DMatrix<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnsembleHeader {
    members: Vec<MemberHeader>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberHeader {
    name: String,
    lags: usize,
    regressor: Map<String, Value>,
}

impl MeanKind for EnsembleRegressor {
    const KIND: &'static str = "ensemble";
    const KEYS: &'static [&'static str] = &["members"];

    fn read(header: Value, source: &mut MeanSource<'_>) -> Result<Self, ParametersError> {
        let EnsembleHeader { members } = parse(header)?;
        let mut read = Vec::new();
        for (at, MemberHeader { name, lags, regressor }) in members.into_iter().enumerate() {
            // one level only, so that a header cannot ask for endless recursion
            if regressor.get("kind").is_some_and(|kind| kind == Self::KIND) {
                return Err(problem("parameters: a member of an ensemble cannot be an ensemble"));
            }
            let MeanSource { features, outputs, .. } = *source;
            let prefix = format!("member.{at}.");
            let mut tensors = Prefixed { prefix, tensors: &mut *source.tensors };
            let weight = tensors.matrix("weight", outputs, outputs)?;
            let mut own = MeanSource { tensors: &mut tensors, features, lags, outputs };
            let regressor = Regressor::read(regressor, &mut own)?;
            read.push(EnsembleMember { name, lags, regressor, weight });
        }
        Ok(Self { members: read })
    }
}

impl ConditionalMean for EnsembleRegressor {
    /// Members take parts of the window; the longest takes all of it.
    fn inputs(&self) -> usize {
        self.members.iter().map(|member| member.regressor.inputs()).max().unwrap_or_default()
    }

    fn remembers(&self) -> bool {
        true
    }

    fn regression(&self, path: KernelPath) -> Box<dyn Regression> {
        let members = self.members.iter().map(|member| {
            Member::new(member.regressor.inputs(), member.regressor.regression(path), &member.weight)
        });
        Box::new(Ensemble::new(members.collect()))
    }

    fn validate(&self, inputs: usize, features: usize, outputs: usize) -> Result<(), ModelError> {
        if self.members.is_empty() {
            return out_of_range("the number of members", 0.0, "at least 1");
        }
        for member in &self.members {
            if matches!(member.regressor, Regressor::Ensemble(_)) {
                return out_of_range("ensembles within an ensemble", 1.0, "0");
            }
            validate_lags(member.lags)?;
            if member.lags * features > inputs {
                return out_of_range("lags of a member", member.lags as f64, "at most those of the model");
            }
            member.regressor.validate(member.lags * features, features, outputs)?;
            shape("weight of a member", &member.weight, outputs, outputs)?;
        }
        Ok(())
    }

    fn write(&self, writer: &mut dyn TensorWriter) -> Result<Value, serde_json::Error> {
        let mut members = Vec::with_capacity(self.members.len());
        for (at, member) in self.members.iter().enumerate() {
            let mut writer = Prefixed { prefix: format!("member.{at}."), tensors: &mut *writer };
            writer.matrix("weight", &member.weight);
            let regressor = member.regressor.write(&mut writer)?;
            members.push(MemberHeader { name: member.name.clone(), lags: member.lags, regressor });
        }
        serde_json::to_value(EnsembleHeader { members })
    }
}
