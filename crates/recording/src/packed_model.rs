//! A model's file in a form in which one every two seconds is affordable in a recording (docs/recording.md).
//!
//! Three things make it small. Tensors that no tick needs are left out where the decoder can do without (the noise of a
//! Kalman filter, n x n), and named by their SHA-256. Rows of a tensor that are windows of the bins that it was fitted to stand as
//! the numbers of their ticks, whose features the recording has anyway: they are standardised again with the model's own
//! means and deviations, which is plain arithmetic and gives the same bits everywhere. The rest is compressed, numbers
//! with equal bytes beside each other. Whatever is packed has been unpacked again and compared, byte for byte.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    io::{Read as _, Write as _},
    ops::Range,
};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use kalmind_filter::{Model, Reduction, ZScore};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::model_file::{
    MAX_MODEL_BYTES, METADATA_KEY, TRAINING_MEAN, ZSCORE_DEVIATION, ZSCORE_MEAN, model_from_bytes, write,
};
use crate::reduction_tensors;
use crate::tensors::ModelTensors;

/// Tensors of a file by name: shape and bytes.
type Tensors<'a> = BTreeMap<String, (Vec<usize>, &'a [u8])>;

/// Bytes of a number.
const NUMBER: usize = 8;

/// The rows that a model was fitted to.
#[derive(Clone, Copy, Debug, Default)]
pub struct FittedRows<'a> {
    /// Which tick each is of, rising.
    pub seqs: &'a [u64],
    /// Their raw features, one row after the other, NaN where there was no valid value.
    pub features: &'a [f64],
}

/// A model's file, packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedModel {
    /// What stands in the recording.
    pub bytes: Vec<u8>,
    /// Ticks whose features it takes to unpack it.
    pub ticks: Vec<Range<u64>>,
}

/// What was packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpackedModel {
    /// The model file.
    pub file: Vec<u8>,
    /// Whether it has all tensors of the model, so that its SHA-256 is the model's.
    pub whole: bool,
}

/// Why a packed model cannot be unpacked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// Its bytes are no packed model.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// The features of a tick are not there.
    #[error("it was fitted to the features of tick {0}, which are not there")]
    TickMissing(u64),
    /// What comes out is another file than went in.
    #[error("what comes out has the SHA-256 {found}, and what went in had {expected}")]
    Differs {
        /// Of what came out.
        found: String,
        /// Of what went in.
        expected: String,
    },
}

/// What is written of a model beside its numbers.
#[derive(Debug, Serialize, Deserialize)]
struct Contents {
    /// SHA-256 of the file that comes out, in hexadecimal.
    sha256: String,
    /// The header of that file.
    header: String,
    tensors: Vec<Entry>,
    /// Tensors that the model has and the file that comes out does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    omitted: Vec<Omitted>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    name: String,
    shape: Vec<usize>,
    /// The bins that its rows are windows of; its numbers are stored where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ticks: Option<Vec<Run>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Omitted {
    name: String,
    shape: Vec<usize>,
    sha256: String,
}

/// Windows at ticks that follow each other: the first, how many, and how many bins before the first its window has; further
/// back it holds the background, as at row one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Run(u64, u64, u64);

impl PackedModel {
    /// Packs a model, whose file is `file`; without the tensors that no tick needs where the whole file `is_kept` elsewhere.
    /// `None` where that does not give back what went in: then it has to be recorded as it stands.
    #[must_use]
    pub fn of(model: &Model, file: &[u8], rows: FittedRows<'_>, is_kept: bool) -> Option<Self> {
        let runtime = model.runtime_only().filter(|_| is_kept).and_then(|runtime| write(&runtime).ok());
        let kept = runtime.as_deref().unwrap_or(file);
        let (header, tensors) = parts_of(kept)?;
        let (_, all) = parts_of(file)?;
        let omitted =
            all.into_iter().filter(|(name, _)| !tensors.contains_key(name)).map(|(name, tensor)| {
                let (shape, data) = tensor;
                Omitted { name, shape, sha256: hexadecimal(data) }
            });
        let omitted = omitted.collect();
        let scale = Scale::of(|name| tensors.get(name).map(|(_, data)| numbers(data)))?;
        let known = Known::new(&scale, rows);
        let mut stored = Vec::new();
        let mut entries = Vec::with_capacity(tensors.len());
        for (name, (shape, data)) in &tensors {
            let ticks = known.as_ref().and_then(|known| known.runs(shape, data));
            if ticks.is_none() {
                stored.extend_from_slice(data);
            }
            entries.push(Entry { name: name.clone(), shape: shape.clone(), ticks });
        }
        let ticks = merged(entries.iter().filter_map(|entry| entry.ticks.as_deref()).flatten().copied());
        let contents = Contents { sha256: hexadecimal(kept), header, tensors: entries, omitted };
        let packed = Self { bytes: pack(&contents, &stored)?, ticks };
        let places: BTreeMap<u64, usize> =
            rows.seqs.iter().enumerate().map(|(place, seq)| (*seq, place)).collect();
        let width = scale.width();
        let features = |seq| rows.features.get(places.get(&seq)? * width..)?.get(..width);
        // what comes out is compared by its hash, and read as a replay will
        let unpacked = unpack_model(&packed.bytes, &features).ok()?;
        model_from_bytes(&unpacked.file).is_ok().then_some(packed)
    }
}

/// The model file that was packed, given the raw features of the ticks that it was fitted to.
///
/// # Errors
/// [`UnpackError`]; whatever the bytes are, nothing panics and no more than [`MAX_MODEL_BYTES`] are taken for the tensors.
pub fn unpack_model<'a>(
    bytes: &[u8],
    features: &dyn Fn(u64) -> Option<&'a [f64]>,
) -> Result<UnpackedModel, UnpackError> {
    let damaged = |what: &str| UnpackError::Damaged(what.to_owned());
    let (contents, stored) = open(bytes)?;
    let total = contents.tensors.iter().try_fold(0_usize, |total, entry| {
        let size = entry.shape.iter().try_fold(NUMBER, |size, axis| size.checked_mul(*axis))?;
        total.checked_add(size)
    });
    if total.is_none_or(|total| total as u64 > MAX_MODEL_BYTES) {
        return Err(damaged("its tensors are larger than a model may be"));
    }
    let mut left = stored.as_slice();
    let mut tensors: BTreeMap<&str, (_, Cow<'_, [u8]>)> = BTreeMap::new();
    for entry in contents.tensors.iter().filter(|entry| entry.ticks.is_none()) {
        let size = entry.shape.iter().try_fold(NUMBER, |size, axis| size.checked_mul(*axis));
        let taken = size.and_then(|size| left.split_at_checked(size));
        let (data, rest) = taken.ok_or_else(|| damaged("a tensor is cut off"))?;
        left = rest;
        tensors.insert(&entry.name, (entry.shape.clone(), data.into()));
    }
    let scale = Scale::of(|name| tensors.get(name).map(|(_, data)| numbers(data)));
    for entry in &contents.tensors {
        if let Some(runs) = &entry.ticks {
            let scale = scale.as_ref().ok_or_else(|| damaged("it has no training means"))?;
            tensors.insert(
                &entry.name,
                (entry.shape.clone(), windows(&entry.shape, runs, scale, features)?.into()),
            );
        }
    }
    let mut file = ModelTensors::default();
    for (name, (shape, data)) in tensors {
        file.bytes(name, shape, data.into_owned());
    }
    let file = file.into_bytes(METADATA_KEY, contents.header).map_err(|error| damaged(&error.to_string()))?;
    let found = hexadecimal(&file);
    if found != contents.sha256 {
        return Err(UnpackError::Differs { found, expected: contents.sha256 });
    }
    Ok(UnpackedModel { file, whole: contents.omitted.is_empty() })
}

/// The fit report of a packed model, where it has one that can be read.
#[must_use]
pub fn packed_report(bytes: &[u8]) -> Option<serde_json::Value> {
    let (contents, _) = open(bytes).ok()?;
    let mut header: serde_json::Value = serde_json::from_str(&contents.header).ok()?;
    Some(header.get_mut("report")?.take()).filter(|report| !report.is_null())
}

/// The header of a model file and its tensors; none where it is no file of ours.
fn parts_of(file: &[u8]) -> Option<(String, Tensors<'_>)> {
    let (_, metadata) = SafeTensors::read_metadata(file).ok()?;
    let header = metadata.metadata().as_ref()?.get(METADATA_KEY)?.clone();
    let mut tensors = BTreeMap::new();
    for (name, tensor) in SafeTensors::deserialize(file).ok()?.tensors() {
        if tensor.dtype() != Dtype::F64 {
            return None;
        }
        tensors.insert(name, (tensor.shape().to_vec(), tensor.data()));
    }
    Some((header, tensors))
}

/// Raw features as the decoder takes them.
#[derive(Debug)]
struct Scale {
    mean: Vec<f64>,
    zscore: Option<ZScore>,
    reduction: Option<Reduction>,
    /// Numbers of a bin that the decoder takes.
    taken: usize,
}

impl Scale {
    fn of(tensor: impl Fn(&str) -> Option<Vec<f64>>) -> Option<Self> {
        let mean = tensor(TRAINING_MEAN)?;
        let zscore = tensor(ZSCORE_MEAN).zip(tensor(ZSCORE_DEVIATION));
        let zscore = zscore.map(|(mean, standard_deviation)| ZScore { mean, standard_deviation });
        let reduction = reduction_tensors::known(tensor);
        let taken = reduction.as_ref().map_or(mean.len(), |reduction| reduction.width(mean.len()));
        (!mean.is_empty() && taken > 0).then_some(Self { mean, zscore, reduction, taken })
    }

    fn width(&self) -> usize {
        self.mean.len()
    }

    /// What has no valid value takes its mean.
    fn apply(&self, raw: &[f64], into: &mut Vec<u8>) {
        let whole = raw.iter().zip(&self.mean).map(|(raw, mean)| if raw.is_finite() { *raw } else { *mean });
        let whole: Vec<f64> = whole.collect();
        let scored = self.zscore.as_ref().map_or(whole.clone(), |zscore| zscore.apply(&whole));
        let decoded = self.reduction.as_ref().map_or(scored.clone(), |reduction| reduction.apply(&scored));
        into.extend(decoded.into_iter().flat_map(f64::to_le_bytes));
    }

    /// What a window holds before the first bin.
    fn background(&self) -> Vec<u8> {
        let mut background = Vec::new();
        self.apply(&self.mean, &mut background);
        background
    }
}

/// The rows that a model was fitted to, to be found by what they are.
struct Known<'a> {
    rows: FittedRows<'a>,
    /// Bytes of a row.
    size: usize,
    /// All of them as the decoder took them.
    decoded: Vec<u8>,
    background: Vec<u8>,
    places: HashMap<u64, Vec<usize>>,
}

impl<'a> Known<'a> {
    fn new(scale: &Scale, rows: FittedRows<'a>) -> Option<Self> {
        let width = scale.width();
        if rows.seqs.is_empty() || rows.features.len() != rows.seqs.len() * width {
            return None;
        }
        let mut decoded = Vec::with_capacity(rows.features.len() * NUMBER);
        rows.features.chunks(width).for_each(|raw| scale.apply(raw, &mut decoded));
        let size = scale.taken * NUMBER;
        let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
        for (place, row) in decoded.chunks(size).enumerate() {
            places.entry(hash(row)).or_default().push(place);
        }
        Some(Self { rows, size, decoded, background: scale.background(), places })
    }

    fn row(&self, place: usize) -> Option<&[u8]> {
        self.decoded.get(place * self.size..)?.get(..self.size)
    }

    /// Which ticks' windows the rows of a tensor are; `None` where one of them is none.
    fn runs(&self, shape: &[usize], data: &[u8]) -> Option<Vec<Run>> {
        let [_, columns] = *shape else { return None };
        let window = columns * NUMBER;
        if window == 0 || !window.is_multiple_of(self.size) {
            return None;
        }
        let most = (window / self.size - 1) as u64;
        let mut runs: Vec<Run> = Vec::new();
        let mut next = 0;
        for window in data.chunks(window) {
            let newest = window.get(..self.size)?;
            let place = if self.row(next) == Some(newest) {
                next
            } else {
                let places = self.places.get(&hash(newest))?;
                *places.iter().find(|place| self.row(**place) == Some(newest))?
            };
            let behind = self.behind(place, window)?;
            let seq = *self.rows.seqs.get(place)?;
            match runs.last_mut() {
                Some(Run(first, count, before))
                    if *first + *count == seq && behind == most.min(*before + *count) =>
                {
                    *count += 1;
                }
                _ => runs.push(Run(seq, 1, behind)),
            }
            next = place + 1;
        }
        Some(runs)
    }

    /// How many bins before this row its window has.
    fn behind(&self, place: usize, window: &[u8]) -> Option<u64> {
        let seq = self.rows.seqs.get(place)?;
        let mut blocks = window.chunks(self.size).zip(0..).skip(1).peekable();
        let mut behind = 0;
        while let Some((block, lag)) = blocks.peek() {
            let earlier = place.checked_sub(*lag);
            let follows = earlier.and_then(|earlier| self.rows.seqs.get(earlier)).map(|at| at + *lag as u64);
            if follows != Some(*seq) || earlier.and_then(|earlier| self.row(earlier)) != Some(*block) {
                break;
            }
            behind += 1;
            blocks.next();
        }
        blocks.all(|(block, _)| block == self.background).then_some(behind)
    }
}

/// Only to find rows: what is found is compared.
fn hash(row: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hasher as _};
    let mut hasher = DefaultHasher::new();
    hasher.write(row);
    hasher.finish()
}

/// The bytes of a tensor whose rows are windows of these ticks.
fn windows<'a>(
    shape: &[usize],
    runs: &[Run],
    scale: &Scale,
    features: &dyn Fn(u64) -> Option<&'a [f64]>,
) -> Result<Vec<u8>, UnpackError> {
    let damaged = |what: &str| UnpackError::Damaged(what.to_owned());
    let &[rows, columns] = shape else { return Err(damaged("rows of a tensor that has none")) };
    let bytes = rows.checked_mul(columns).and_then(|count| count.checked_mul(NUMBER));
    if bytes.is_none_or(|bytes| bytes as u64 > MAX_MODEL_BYTES) {
        return Err(damaged("a tensor is larger than a model may be"));
    }
    let lags = (columns / scale.taken) as u64;
    let counted = runs.iter().try_fold(0_u64, |sum, run| sum.checked_add(run.1));
    if lags == 0 || !columns.is_multiple_of(scale.taken) || counted != Some(rows as u64) {
        return Err(damaged("the shape of a tensor does not fit its rows"));
    }
    let background = scale.background();
    // grows with what is found: the shape may say anything
    let mut data = Vec::new();
    for &Run(first, count, before) in runs {
        for at in 0..count {
            let behind = before.saturating_add(at);
            for lag in 0..lags {
                if lag > behind {
                    data.extend_from_slice(&background);
                    continue;
                }
                let seq = first.checked_add(at).and_then(|seq| seq.checked_sub(lag));
                let seq = seq.ok_or_else(|| damaged("a tick before the first one"))?;
                let row = features(seq).filter(|row| row.len() == scale.width());
                scale.apply(row.ok_or(UnpackError::TickMissing(seq))?, &mut data);
            }
        }
    }
    Ok(data)
}

/// The ticks of windows, in order.
fn merged(runs: impl Iterator<Item = Run>) -> Vec<Range<u64>> {
    let ranges: BTreeSet<(u64, u64)> = runs
        .map(|Run(first, count, behind)| (first.saturating_sub(behind), first.saturating_add(count)))
        .collect();
    let mut merged: Vec<Range<u64>> = Vec::new();
    for (first, end) in ranges {
        match merged.last_mut() {
            Some(last) if first <= last.end => last.end = last.end.max(end),
            _ => merged.push(first..end),
        }
    }
    merged
}

/// The contents' text behind its length, then the numbers byte by byte: first all lowest bytes, and so on.
fn pack(contents: &Contents, stored: &[u8]) -> Option<Vec<u8>> {
    let text = serde_json::to_vec(contents).ok()?;
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&u32::try_from(text.len()).ok()?.to_le_bytes()).ok()?;
    encoder.write_all(&text).ok()?;
    for byte in 0..NUMBER {
        let bytes: Vec<u8> = stored.iter().skip(byte).step_by(NUMBER).copied().collect();
        encoder.write_all(&bytes).ok()?;
    }
    encoder.finish().ok()
}

fn open(bytes: &[u8]) -> Result<(Contents, Vec<u8>), UnpackError> {
    let damaged = |what: String| UnpackError::Damaged(what);
    let mut opened = Vec::new();
    let read = ZlibDecoder::new(bytes).take(MAX_MODEL_BYTES + 1).read_to_end(&mut opened);
    read.map_err(|error| damaged(error.to_string()))?;
    if opened.len() as u64 > MAX_MODEL_BYTES {
        return Err(damaged("it is larger than a model may be".to_owned()));
    }
    let cut = || damaged("it is cut off".to_owned());
    let (length, rest) = opened.split_first_chunk::<4>().ok_or_else(cut)?;
    let (text, shuffled) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(cut)?;
    let contents = serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
    let count = shuffled.len() / NUMBER;
    let mut stored = vec![0; count * NUMBER];
    for (byte, bytes) in shuffled.chunks(count.max(1)).take(NUMBER).enumerate() {
        for (to, from) in stored.iter_mut().skip(byte).step_by(NUMBER).zip(bytes) {
            *to = *from;
        }
    }
    Ok((contents, stored))
}

fn numbers(data: &[u8]) -> Vec<f64> {
    data.as_chunks::<NUMBER>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    kalmind_types::ModelId(Sha256::digest(bytes).into()).to_hex()
}
