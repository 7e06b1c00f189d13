//! What holds for every registered decoder, whichever it is; `allocations` and `any_input` walk the registry as well.
#![expect(clippy::unwrap_used, clippy::panic, reason = "functions that tests share fail like tests")]

mod small_models;

use std::collections::BTreeMap;

use kalmind_filter::tensors::{ParametersError, Source, TensorReader, TensorWriter};
use kalmind_filter::{Decoder, DecoderName, DecoderSpec, LookBack, Model, Parameters, StepReport};
use kalmind_types::{Intent, Position};
use nalgebra::DMatrix;
use serde_json::Value;

const FEATURES: usize = 4;

/// Tensors in memory: shape and values, row by row.
#[derive(Clone, Default, PartialEq, Debug)]
struct Tensors(BTreeMap<String, (Vec<usize>, Vec<f64>)>);

impl TensorWriter for Tensors {
    fn vector(&mut self, name: &str, values: &[f64]) {
        assert!(
            self.0.insert(name.to_owned(), (vec![values.len()], values.to_vec())).is_none(),
            "{name} twice"
        );
    }

    fn matrix(&mut self, name: &str, matrix: &DMatrix<f64>) {
        let values = matrix.transpose().as_slice().to_vec();
        let shape = vec![matrix.nrows(), matrix.ncols()];
        assert!(self.0.insert(name.to_owned(), (shape, values)).is_none(), "{name} twice");
    }
}

impl TensorReader for Tensors {
    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn take(
        &mut self,
        name: &str,
        expected: &[Option<usize>],
    ) -> Result<(Vec<usize>, Vec<f64>), ParametersError> {
        let (tensor, text) = (name.to_owned(), format!("{expected:?}"));
        let (shape, values) = self.0.remove(name).ok_or_else(|| ParametersError::MissingTensor {
            tensor: tensor.clone(),
            expected: text.clone(),
        })?;
        let fits = shape.len() == expected.len()
            && shape.iter().zip(expected).all(|(size, expected)| expected.is_none_or(|of| of == *size));
        if fits {
            Ok((shape, values))
        } else {
            Err(ParametersError::WrongTensor { tensor, found: format!("{shape:?}"), expected: text })
        }
    }
}

/// Every decoder with every variant of its options, fitted.
fn models() -> impl Iterator<Item = Model> {
    let data = small_models::training_data(300, FEATURES);
    DecoderName::ALL
        .into_iter()
        .flat_map(small_models::variants)
        .map(move |spec| small_models::model(&spec, &data))
}

fn written(model: &Model) -> (Value, Tensors) {
    let mut tensors = Tensors::default();
    let header = model.decoder.decoder.write(&model.parameters, &mut tensors).unwrap();
    (header, tensors)
}

fn read(model: &Model, header: &Value, tensors: &mut Tensors) -> Result<Parameters, ParametersError> {
    let mut source =
        Source { tensors, features: model.decoded_features(), dimension: model.components.len() };
    model.decoder.decoder.read(header.clone(), &mut source)
}

/// Everything that a decoder says of features that come and go.
fn said(decoder: &mut dyn Decoder) -> Vec<u64> {
    let mut intent = Intent::zero(decoder.dimension());
    let mut bits = Vec::new();
    for tick in 0..60_usize {
        let features: Vec<f64> = (0..FEATURES).map(|at| ((tick * 5 + at * 3) as f64).sin() + 0.5).collect();
        decoder.observe_cursor(Position([features[0], 0.5]));
        let report = decoder.step((tick % 6 != 4).then_some(&features), &mut intent);
        bits.push(u64::from(report.valid));
        bits.extend(intent.mean().iter().chain(intent.covariance()).map(|value| value.to_bits()));
    }
    bits
}

#[test]
fn tensors_written_and_read_back_give_the_same_bits() {
    for model in models() {
        let (header, mut tensors) = written(&model);
        let parameters = read(&model, &header, &mut tensors).unwrap();
        assert_eq!(tensors, Tensors::default(), "{}: tensors that nobody reads", model.decoder);
        assert_eq!(parameters, model.parameters, "{}", model.decoder);
        let again = Model { parameters, ..model.clone() };
        assert_eq!(
            said(&mut *again.decoder().unwrap()),
            said(&mut *model.decoder().unwrap()),
            "{}",
            model.decoder
        );
    }
}

#[test]
fn after_a_restart_a_decoder_is_as_new() {
    for model in models() {
        let mut decoder = model.decoder().unwrap();
        let fresh = said(&mut *decoder);
        decoder.restart();
        assert_eq!(said(&mut *decoder), fresh, "{}", model.decoder);
    }
}

#[test]
fn numbers_that_are_none_and_shapes_that_do_not_fit_are_refused() {
    for model in models() {
        let (header, tensors) = written(&model);
        for name in tensors.0.keys().filter(|name| !tensors.0[*name].1.is_empty()) {
            let mut strange = tensors.clone();
            strange.0.get_mut(name).unwrap().1[0] = f64::NAN;
            let refused = match read(&model, &header, &mut strange) {
                Ok(parameters) => Model { parameters, ..model.clone() }.validate().is_err(),
                Err(_) => true,
            };
            assert!(refused, "{}: {name} with a value that is no number", model.decoder);
            let mut narrow = tensors.clone();
            let (shape, values) = narrow.0.get_mut(name).unwrap();
            shape.push(1);
            values[0] = 0.0;
            assert!(read(&model, &header, &mut narrow).is_err(), "{}: {name} of more axes", model.decoder);
        }
    }
}

#[test]
fn every_default_can_be_written_and_the_name_is_its_own() {
    for decoder in DecoderName::ALL {
        let spec: DecoderSpec = decoder.as_str().parse().unwrap();
        assert_eq!((spec.decoder, spec.to_string()), (decoder, decoder.to_string()));
        for option in decoder.options() {
            let text = format!("{decoder}:{}={}", option.info.name, option.default);
            assert_eq!(text.parse::<DecoderSpec>().map(|spec| spec.to_string()), Ok(text));
        }
        assert!(!decoder.summary().is_empty());
    }
}

#[test]
fn tensors_of_another_decoder_are_refused() {
    let models: Vec<Model> = models().collect();
    for model in &models {
        for other in &models {
            let wrong = Model { parameters: other.parameters.clone(), ..model.clone() };
            let as_wide = model.decoded_features() == other.decoded_features();
            let holds = model.decoder.decoder.holds(&other.parameters) && as_wide;
            assert_eq!(wrong.validate().is_ok(), holds, "{} with {}", model.decoder, other.decoder);
        }
    }
}

/// What it says of the last of `bins` bins after a past of its own: report, mean and covariance.
fn said_after(decoder: &mut dyn Decoder, past: f64, bins: usize) -> (bool, Vec<f64>) {
    let mut intent = Intent::zero(decoder.dimension());
    let row = |tick: usize, shift: f64| -> Vec<f64> {
        (0..FEATURES).map(|at| ((tick * 5 + at * 3) as f64).sin() + 0.5 + shift).collect()
    };
    for tick in 0..40 {
        decoder.step(Some(&row(3 * tick + 1, past)), &mut intent);
    }
    let mut report = StepReport::default();
    // counted from the last one, which has features
    for tick in (0..bins).rev() {
        report = decoder.step((tick % 4 != 2).then_some(&row(tick, 0.0)), &mut intent);
    }
    (report.valid, intent.mean().iter().chain(intent.covariance()).copied().collect())
}

#[test]
fn a_decoder_looks_back_no_farther_than_it_says() {
    for model in models() {
        let spec = model.decoder;
        let mut decoder = model.decoder().unwrap();
        let LookBack { bins, fades } = decoder.look_back();
        let lags = spec.to_string().contains("lags=3");
        assert!(bins >= if lags { 3 } else { 1 } && bins < 20, "{spec}: {bins}");
        let seen = if fades { 2000 } else { bins };
        let mut after = |past, bins| {
            decoder.restart();
            said_after(&mut *decoder, past, bins)
        };
        let (one, other) = (after(0.1, seen), after(-0.1, seen));
        assert!(one.0 && other.0, "{spec}");
        let size = one.1.iter().fold(0.0_f64, |size, value| size.max(value.abs()));
        for (one, other) in one.1.iter().zip(&other.1) {
            let same =
                if fades { (one - other).abs() <= 1e-9 * size } else { one.to_bits() == other.to_bits() };
            assert!(same, "{spec} over {seen} bins: {one} and {other}");
        }
        assert!(!lags || after(0.1, 2) != after(-0.1, 2), "{spec}: the oldest lag counts");
    }
}
