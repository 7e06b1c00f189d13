//! The model file: safetensors whose one metadata entry, `kalmind`, holds a JSON header (docs/model.md).

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use kalmind_filter::tensors::{ParametersError, Source, TensorReader as _, TensorWriter as _};
use kalmind_filter::{CheckedModel, Model, ModelError, ZScore};
use kalmind_types::{FeatureLayout, MAX_COMPONENTS, MAX_FEATURES, MAX_STREAMS, ModelId, StreamFeatures};
use safetensors::{SafeTensorError, SafeTensors};
use sha2::{Digest as _, Sha256};

use crate::click_parameters;
use crate::guard_parameters;
use crate::header::Header;
use crate::new_file::{Existing, NewFileError, write_new_file};
use crate::reduction_tensors;
use crate::repeated_key::repeated_key;
use crate::tensors::{ModelTensors, ReadTensors};

/// The newest version of the format that is read. A file is written in the first one that can say what it has to.
pub const MODEL_VERSION: u64 = 2;
/// The one before features were anything but channels, before clicks, and before a decoder took anything but all features.
const FIRST_VERSION: u64 = 1;
/// The largest model file that is read or written, in bytes.
pub const MAX_MODEL_BYTES: u64 = 512 << 20;
/// The longest JSON part that is read, in bytes.
const MAX_HEADER_BYTES: u64 = 16 << 20;
/// The longest fit report that is read, in bytes of JSON: as values it takes up to thirty times as many in memory, for as
/// long as a run knows the model.
const MAX_REPORT_BYTES: usize = 256 << 10;
/// The metadata entry with the header.
pub(crate) const METADATA_KEY: &str = "kalmind";
/// Tensors that say how raw features become what the decoder takes.
pub(crate) const TRAINING_MEAN: &str = "training_mean";
pub(crate) const ZSCORE_MEAN: &str = "zscore_mean";
pub(crate) const ZSCORE_DEVIATION: &str = "zscore_standard_deviation";

/// Why a model file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ModelFileError {
    /// The file cannot be opened or read.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] NewFileError),
    /// It is larger than [`MAX_MODEL_BYTES`].
    #[error("a model of {bytes} bytes, more than the {MAX_MODEL_BYTES} that a model may have")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// It ends before the header or the tensors do.
    #[error("the file is cut off: it has {bytes} bytes and needs {needed}; copy it anew")]
    Truncated {
        /// Its size.
        bytes: u64,
        /// The size that it states.
        needed: u64,
    },
    /// It is not in the safetensors format.
    #[error("not a model: a model file is in the safetensors format ({problem})")]
    NotSafetensors {
        /// What is wrong.
        problem: String,
    },
    /// It is a safetensors file of another program.
    #[error("a safetensors file, but no Kalmind model: its metadata has no `{METADATA_KEY}` entry")]
    NotKalmind,
    /// It was written by a later Kalmind.
    #[error(
        "a model of version {found}; this program reads versions up to {MODEL_VERSION}: use a newer Kalmind"
    )]
    FutureVersion {
        /// The file's version.
        found: u64,
    },
    /// The JSON header is wrong.
    #[error("model header: {problem}")]
    Header {
        /// What is wrong.
        problem: String,
    },
    /// A tensor or a key of the header stands in the file twice.
    #[error("`{key}` stands twice in the file; nobody can tell which one is meant")]
    Repeated {
        /// Its name.
        key: String,
    },
    /// There is a tensor that the decoder does not have.
    #[error("tensor `{tensor}` is not one that this decoder has")]
    UnknownTensor {
        /// Its name.
        tensor: String,
    },
    /// The decoder's parameters are wrong, or a tensor is missing or does not fit.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// The parts do not make a model.
    #[error(transparent)]
    Invalid(#[from] ModelError),
}

/// The bytes of a model's file. Equal models give equal bytes.
///
/// # Errors
/// When the model is not valid, or larger than [`MAX_MODEL_BYTES`].
pub fn model_to_bytes(model: &Model) -> Result<Vec<u8>, ModelFileError> {
    model.validate()?;
    write(model)
}

/// A model as it is once it is written to a file and read again, with its identity and the file's bytes.
///
/// # Errors
/// See [`ModelFileError`].
pub fn model_with_bytes(model: Model) -> Result<(CheckedModel, ModelId, Vec<u8>), ModelFileError> {
    let model = CheckedModel::new(model)?;
    let bytes = write(&model)?;
    let read = read(&bytes)?;
    // what is equal has been checked
    let model = if read == *model { model } else { CheckedModel::new(read)? };
    Ok((model, identity(&bytes), bytes))
}

/// The first version of the format in which such a model can be described: `more` where it has clicks or a reduction.
fn version(streams: &[StreamFeatures], more: bool) -> u64 {
    let more_than_channels = streams.iter().any(|stream| stream.outputs.is_some());
    if more_than_channels || more { MODEL_VERSION } else { FIRST_VERSION }
}

pub(crate) fn write(model: &Model) -> Result<Vec<u8>, ModelFileError> {
    let mut tensors = ModelTensors::default();
    tensors.vector(TRAINING_MEAN, &model.training_mean);
    if let Some(zscore) = &model.zscore {
        tensors.vector(ZSCORE_MEAN, &zscore.mean);
        tensors.vector(ZSCORE_DEVIATION, &zscore.standard_deviation);
    }
    if let Some(reduction) = &model.reduction {
        reduction_tensors::write(reduction, &mut tensors);
    }
    let unwritable = |error: serde_json::Error| ModelFileError::Header { problem: error.to_string() };
    let header = Header {
        version: version(&model.streams, model.click.is_some() || model.reduction.is_some()),
        decoder: model.decoder,
        streams: model.streams.clone(),
        bin_ms: model.bin_ms,
        components: model.components.clone(),
        parameters: model.decoder.decoder.write(&model.parameters, &mut tensors).map_err(unwritable)?,
        label_law: model.label_law,
        participant: model.participant.clone(),
        training_hash: model.training_hash.clone(),
        report: model.report.clone(),
        guard: model.guard.as_ref().map(|guard| guard_parameters::write(guard, &mut tensors)),
        click: model.click.as_ref().map(|click| click_parameters::write(click, &mut tensors)),
    };
    let bytes = tensors
        .into_bytes(METADATA_KEY, serde_json::to_string(&header).map_err(unwritable)?)
        .map_err(foreign)?;
    if bytes.len() as u64 > MAX_MODEL_BYTES {
        return Err(ModelFileError::TooLarge { bytes: bytes.len() as u64 });
    }
    Ok(bytes)
}

/// Reads a model, checked whole: it can be run as it stands. Its identity is the SHA-256 of the bytes.
///
/// # Errors
/// See [`ModelFileError`]; whatever the bytes are, nothing panics.
pub fn model_from_bytes(bytes: &[u8]) -> Result<(CheckedModel, ModelId), ModelFileError> {
    Ok((CheckedModel::new(read(bytes)?)?, identity(bytes)))
}

fn identity(bytes: &[u8]) -> ModelId {
    ModelId(Sha256::digest(bytes).into())
}

fn read(bytes: &[u8]) -> Result<Model, ModelFileError> {
    check_frame(bytes)?;
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(foreign)?;
    let header = metadata
        .metadata()
        .as_ref()
        .and_then(|entries| entries.get(METADATA_KEY))
        .ok_or(ModelFileError::NotKalmind)?;
    let header = parse_header(header)?;
    let n = FeatureLayout::count(&header.streams);
    let d = header.components.len();
    let mut tensors = ReadTensors::new(&SafeTensors::deserialize(bytes).map_err(foreign)?);
    let training_mean = tensors.vector(TRAINING_MEAN, n)?;
    let zscore = if tensors.has(ZSCORE_MEAN) || tensors.has(ZSCORE_DEVIATION) {
        let mean = tensors.vector(ZSCORE_MEAN, n)?;
        Some(ZScore { mean, standard_deviation: tensors.vector(ZSCORE_DEVIATION, n)? })
    } else {
        None
    };
    let reduction = reduction_tensors::read(&mut tensors, n)?;
    if reduction.is_some() && header.version < MODEL_VERSION {
        let problem = format!("selected features and principal components need `version` {MODEL_VERSION}");
        return Err(ModelFileError::Header { problem });
    }
    let taken = reduction.as_ref().map_or(n, |reduction| reduction.width(n));
    let mut source = Source { tensors: &mut tensors, features: taken, dimension: d };
    let parameters = header.decoder.decoder.read(header.parameters, &mut source)?;
    let guard = header.guard.map(|guard| guard_parameters::read(guard, &mut tensors, n)).transpose()?;
    let click = header.click.map(|click| click_parameters::read(click, &mut tensors, n)).transpose()?;
    if let Some(tensor) = tensors.left() {
        return Err(ModelFileError::UnknownTensor { tensor: tensor.chars().take(60).collect() });
    }
    Ok(Model {
        decoder: header.decoder,
        streams: header.streams,
        bin_ms: header.bin_ms,
        components: header.components,
        training_mean,
        zscore,
        label_law: header.label_law,
        participant: header.participant,
        training_hash: header.training_hash,
        report: header.report,
        guard,
        reduction,
        click,
        parameters,
    })
}

/// Reads a model file; see [`model_from_bytes`].
///
/// # Errors
/// See [`ModelFileError`].
pub fn read_model(path: &Path) -> Result<(CheckedModel, ModelId), ModelFileError> {
    model_from_bytes(&read_model_bytes(path)?)
}

/// The bytes of a model file, as they stand: what its identity is the SHA-256 of.
///
/// # Errors
/// [`ModelFileError::Io`] and [`ModelFileError::TooLarge`].
pub fn read_model_bytes(path: &Path) -> Result<Vec<u8>, ModelFileError> {
    let io = |source| ModelFileError::Io { file: path.display().to_string(), source };
    let mut bytes = Vec::new();
    // one byte more than allowed tells a file that is too large, also one that grows while it is read
    File::open(path).map_err(io)?.take(MAX_MODEL_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_MODEL_BYTES {
        return Err(ModelFileError::TooLarge { bytes: bytes.len() as u64 });
    }
    Ok(bytes)
}

/// Writes a model file and gives its identity. The file appears whole or not at all; one that stands there is replaced, a
/// link is refused (see [`NewFile`](crate::NewFile)).
///
/// # Errors
/// When the model is not valid or the file cannot be written.
pub fn write_model(path: &Path, model: &Model) -> Result<ModelId, ModelFileError> {
    let bytes = model_to_bytes(model)?;
    write_new_file(path, Existing::Replace, &bytes)?;
    Ok(identity(&bytes))
}

#[expect(clippy::needless_pass_by_value, reason = "as an error is mapped")]
fn foreign(error: SafeTensorError) -> ModelFileError {
    ModelFileError::NotSafetensors { problem: error.to_string() }
}

/// Tells a file that is cut off from one that is none of ours, before anything is parsed.
fn check_frame(bytes: &[u8]) -> Result<(), ModelFileError> {
    let size = bytes.len() as u64;
    let Some(length) = bytes.first_chunk::<8>().map(|length| u64::from_le_bytes(*length)) else {
        return Err(ModelFileError::NotSafetensors {
            problem: format!("{size} bytes are no file of that format"),
        });
    };
    if bytes.get(8).is_some_and(|first| *first != b'{') || length > MAX_HEADER_BYTES {
        return Err(ModelFileError::NotSafetensors {
            problem: "it does not begin with a JSON header".to_owned(),
        });
    }
    let needed = length + 8;
    if size < needed {
        return Err(ModelFileError::Truncated { bytes: size, needed });
    }
    let offsets = |header: serde_json::Value| -> Option<u64> {
        let ends =
            header.as_object()?.values().filter_map(|tensor| tensor.get("data_offsets")?.get(1)?.as_u64());
        ends.max()
    };
    let header = bytes.get(8..).and_then(|rest| rest.get(..length as usize)).unwrap_or_default();
    if let Some(key) = repeated_key(header) {
        return Err(ModelFileError::Repeated { key });
    }
    let data = serde_json::from_slice(header).ok().and_then(offsets).unwrap_or(0);
    let needed = needed.saturating_add(data);
    if size < needed {
        return Err(ModelFileError::Truncated { bytes: size, needed });
    }
    Ok(())
}

fn parse_header(text: &str) -> Result<Header, ModelFileError> {
    let problem = |problem: String| ModelFileError::Header { problem };
    if let Some(key) = repeated_key(text.as_bytes()) {
        return Err(ModelFileError::Repeated { key });
    }
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| problem(error.to_string()))?;
    // the version is looked at first: a later one may have other keys
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(FIRST_VERSION..=MODEL_VERSION) => {}
        Some(found) if found > MODEL_VERSION => return Err(ModelFileError::FutureVersion { found }),
        _ => return Err(problem(format!("`version` has to be from {FIRST_VERSION} to {MODEL_VERSION}"))),
    }
    let header: Header = serde_json::from_value(value).map_err(|error| problem(error.to_string()))?;
    // before sizes are computed from them
    let within = |name: &str, value: usize, most: usize| {
        if (1..=most).contains(&value) {
            Ok(())
        } else {
            Err(problem(format!("{name}: {value}, but 1 to {most} are possible")))
        }
    };
    within("streams", header.streams.len(), MAX_STREAMS)?;
    for stream in &header.streams {
        within("channels of a stream", stream.channels, MAX_FEATURES)?;
    }
    FeatureLayout::new(&header.streams).map_err(|error| problem(error.to_string()))?;
    if header.version < version(&header.streams, header.click.is_some()) {
        return Err(problem(format!("`outputs` of a stream, and `click`, need `version` {MODEL_VERSION}")));
    }
    within("components", header.components.len(), MAX_COMPONENTS)?;
    let report = header.report.as_ref().map_or(0, |report| report.to_string().len());
    if report > MAX_REPORT_BYTES {
        return Err(problem(format!(
            "`report` has {report} bytes, more than the {MAX_REPORT_BYTES} that a report may have"
        )));
    }
    Ok(header)
}
