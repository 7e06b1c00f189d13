//! The model file: what is written comes back, and what is wrong is refused with its reason.
#![expect(clippy::unwrap_used, reason = "a test that cannot build its subject has failed")]

mod models;

use kalmind_filter::{
    DecoderName, Model, Parameters, PrincipalComponents, Reduction, Start, StationarySource,
};
use kalmind_recording::{
    MODEL_VERSION, ModelFileError, model_from_bytes, model_to_bytes, read_model, write_model,
};
use kalmind_types::{Binning, StreamFeatures, StreamOutput};
use models::{click, every_decoder, matrix, number};
use proptest::prelude::*;
use serde_json::{Value, json};

/// How a test makes a header wrong.
type Change = fn(&mut Value);

/// The JSON of the safetensors header, and the tensors' bytes.
fn opened(bytes: &[u8]) -> (Value, Vec<u8>) {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (serde_json::from_slice(&bytes[8..8 + length]).unwrap(), bytes[8 + length..].to_vec())
}

fn closed(header: &Value, data: &[u8]) -> Vec<u8> {
    let text = header.to_string().into_bytes();
    [&(text.len() as u64).to_le_bytes(), text.as_slice(), data].concat()
}

fn header_of(bytes: &[u8]) -> Value {
    serde_json::from_str(opened(bytes).0["__metadata__"]["kalmind"].as_str().unwrap()).unwrap()
}

/// The file with its own header changed.
fn with_header(bytes: &[u8], change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let (mut outer, data) = opened(bytes);
    let mut header = header_of(bytes);
    change(&mut header);
    outer["__metadata__"]["kalmind"] = Value::String(header.to_string());
    closed(&outer, &data)
}

fn refusal(bytes: &[u8]) -> String {
    model_from_bytes(bytes).unwrap_err().to_string()
}

fn kalman_bytes() -> Vec<u8> {
    model_to_bytes(&every_decoder()[0]).unwrap()
}

/// The file with the JSON in front of its tensors changed as text.
fn with_outer_text(bytes: &[u8], change: impl FnOnce(String) -> String) -> Vec<u8> {
    let (outer, data) = opened(bytes);
    let text = change(outer.to_string()).into_bytes();
    [&(text.len() as u64).to_le_bytes(), text.as_slice(), &data].concat()
}

#[test]
fn what_stands_twice_is_refused() {
    let bytes = kalman_bytes();
    let tensor = opened(&bytes).0["training_mean"].to_string();
    for name in ["training_mean", "training_\\u006dean"] {
        let twice = with_outer_text(&bytes, |text| text.replacen('{', &format!("{{\"{name}\":{tensor},"), 1));
        assert_eq!(
            refusal(&twice),
            "`training_mean` stands twice in the file; nobody can tell which one is meant"
        );
    }
    let twice = with_outer_text(&bytes, |text| {
        text.replacen("\\\"bin_ms\\\":", "\\\"bin_ms\\\":40,\\\"bin_ms\\\":", 1)
    });
    assert!(refusal(&twice).contains("`bin_ms` stands twice"), "{}", refusal(&twice));
    let twice = with_header(&bytes, |header| {
        header["components"][1]["name"] = header["components"][0]["name"].clone();
    });
    assert!(refusal(&twice).contains("two components are called \"vx\""), "{}", refusal(&twice));
}

#[test]
fn bins_that_cannot_be_are_refused() {
    for bin_ms in [0.0, -20.0, 1e300, 1e-300] {
        let absurd = with_header(&kalman_bytes(), |header| header["bin_ms"] = json!(bin_ms));
        assert!(refusal(&absurd).contains("bin_ms"), "{}", refusal(&absurd));
    }
}

#[test]
fn every_decoder_comes_back_bit_for_bit() {
    for model in every_decoder() {
        let bytes = model_to_bytes(&model).unwrap();
        let (read, id) = model_from_bytes(&bytes).unwrap();
        assert_eq!(*read, model);
        let again = model_to_bytes(&read).unwrap();
        assert_eq!(again, bytes, "equal models give equal bytes");
        assert_eq!(model_from_bytes(&again).unwrap().1, id);
        assert!(read.decoder().is_ok());
    }
}

#[test]
fn the_identity_is_the_hash_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let models = every_decoder();
    let id = write_model(&path, &models[2]).unwrap();
    let (read, read_id) = read_model(&path).unwrap();
    assert_eq!((&*read, read_id), (&models[2], id));
    let other = write_model(&path, &models[0]).unwrap();
    assert_ne!(id, other);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing but the model is left in the folder");
    let nowhere = write_model(&folder.path().join("no such folder/m"), &models[0]).unwrap_err();
    assert!(matches!(nowhere, ModelFileError::Write(_)), "{nowhere}");
}

#[test]
fn headers_that_are_written_follow_the_schema() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/model.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(page).unwrap()).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for model in every_decoder().into_iter().chain([derived(), clicking()]) {
        let header = header_of(&model_to_bytes(&model).unwrap());
        let errors: Vec<_> = schema.iter_errors(&header).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", model.decoder);
    }
    // and it refuses what the reader refuses
    let header = header_of(&kalman_bytes());
    let wrong: [(&str, Change); 12] = [
        ("version", |header| header["version"] = json!(3)),
        ("outputs in version 1", |header| {
            header["streams"][0]["outputs"] = json!([{"name": "a"}, {"name": "b"}]);
        }),
        ("clicks in version 1", |header| header["click"] = json!(click().settings)),
        ("a click without its threshold", |header| {
            header["version"] = json!(2);
            header["click"] =
                json!({"begin": 0.1, "end": 0.1, "release": 0.1, "hold_ms": 0, "refractory_ms": 0});
        }),
        ("an unknown key", |header| header["units"] = json!("mm")),
        ("no streams", |header| header["streams"] = json!([])),
        ("an unknown decoder", |header| header["decoder"] = json!("svr")),
        ("another decoder's parameters", |header| header["parameters"]["lags"] = json!(2)),
        ("no bin width", |header| header["bin_ms"] = json!(0)),
        ("nine components", |header| header["components"] = json!(vec![json!({"name": "v", "unit": ""}); 9])),
        ("an unknown binning", |header| header["streams"][0]["binning"] = json!("median")),
        ("a missing key", |header| drop(header.as_object_mut().unwrap().remove("parameters"))),
    ];
    for (what, change) in wrong {
        let mut header = header.clone();
        change(&mut header);
        assert!(!schema.is_valid(&header), "the schema allows {what}");
        assert!(
            model_from_bytes(&with_header(&kalman_bytes(), |own| *own = header)).is_err(),
            "{what} is read"
        );
    }
}

/// A model that decodes clicks as well.
fn clicking() -> Model {
    Model { click: Some(click()), ..every_decoder().remove(0) }
}

#[test]
fn what_decodes_clicks_comes_back_and_needs_version_two() {
    let model = clicking();
    let bytes = model_to_bytes(&model).unwrap();
    assert_eq!(
        (&header_of(&bytes)["version"], &header_of(&kalman_bytes())["version"]),
        (&json!(2), &json!(1))
    );
    let (read, _) = model_from_bytes(&bytes).unwrap();
    assert_eq!(*read, model);
    assert!(read.click_decoder().is_some() && every_decoder()[0].click_decoder().is_none());
    let first = with_header(&bytes, |header| header["version"] = json!(1));
    assert!(refusal(&first).contains("`click`, need `version` 2"));
    let without = with_header(&bytes, |header| drop(header.as_object_mut().unwrap().remove("click")));
    assert!(refusal(&without).contains("tensor `click.intercept` is not one that this decoder has"));
    let begins = with_header(&bytes, |header| header["click"]["begin"] = json!(0));
    assert!(refusal(&begins).contains("click begin is 0, but has to be at least 1e-9 and at most 0.5"));
    let unknown = with_header(&bytes, |header| header["click"]["taps"] = json!(2));
    assert!(refusal(&unknown).contains("unknown field `taps`"));
}

/// A model of three features, two of which are made of one channel.
fn derived() -> Model {
    let output = |name: &str, channel: Option<usize>, sources: Vec<core::ops::Range<usize>>| StreamOutput {
        name: name.to_owned(),
        unit: "uV2".to_owned(),
        channel,
        sources,
    };
    let outputs = vec![output("e0 theta", Some(0), Vec::new()), output("mean", None, vec![0..1, 2..4])];
    let array =
        StreamFeatures { outputs: Some(outputs), ..StreamFeatures::of_channels(Binning::Mean, 4, None) };
    let further = StreamFeatures::of_channels(Binning::Sum, 1, None);
    Model { streams: vec![array, further], ..every_decoder()[0].clone() }
}

#[test]
fn a_layout_of_features_comes_back_and_makes_the_file_one_of_version_2() {
    let bytes = model_to_bytes(&derived()).unwrap();
    assert_eq!(header_of(&bytes)["version"], 2);
    assert_eq!(header_of(&kalman_bytes())["version"], 1, "as ever where features are channels");
    assert!(!header_of(&kalman_bytes())["streams"].to_string().contains("outputs"));
    let (read, _) = model_from_bytes(&bytes).unwrap();
    assert_eq!(*read, derived());
    let first = with_header(&bytes, |header| header["version"] = json!(1));
    assert!(refusal(&first).contains("`outputs` of a stream, and `click`, need `version` 2"));
    let elsewhere = with_header(&bytes, |header| header["streams"][0]["outputs"][0]["channel"] = json!(4));
    assert!(refusal(&elsewhere).contains("\"e0 theta\" cannot come from channels 4 to 5"));
    let twice = with_header(&bytes, |header| header["streams"][0]["outputs"][1]["name"] = json!("e0 theta"));
    assert!(refusal(&twice).contains("\"e0 theta\" is the name of two features"));
}

#[test]
fn what_a_decoder_takes_of_the_features_comes_back_and_makes_the_file_one_of_version_2() {
    let principal = PrincipalComponents { mean: (0..3).map(number).collect(), axes: matrix(3, 3, 5) };
    let both = Reduction { selected: Some(vec![0, 1, 2]), principal: Some(principal) };
    let of = |reduction: Reduction| Model { reduction: Some(reduction), ..every_decoder()[0].clone() };
    for model in every_decoder() {
        for reduction in [both.clone(), Reduction { selected: None, ..both.clone() }] {
            let model = Model { reduction: Some(reduction), ..model.clone() };
            let bytes = model_to_bytes(&model).unwrap();
            assert_eq!(header_of(&bytes)["version"], 2);
            assert_eq!(*model_from_bytes(&bytes).unwrap().0, model);
        }
    }
    let bytes = model_to_bytes(&of(both.clone())).unwrap();
    let first = with_header(&bytes, |header| header["version"] = json!(1));
    assert!(refusal(&first).contains("selected features and principal components need `version` 2"));
    let unnamed = with_outer_text(&bytes, |text| text.replace("principal.mean", "principal_mean"));
    assert!(refusal(&unnamed).contains("no tensor `principal.mean`"), "{}", refusal(&unnamed));
    let mut odd = bytes;
    let places = [0.0_f64, 1.0, 2.0].map(f64::to_le_bytes).concat();
    let at = odd.windows(places.len()).position(|bytes| bytes == places).unwrap();
    odd[at + 16..][..8].copy_from_slice(&2.5_f64.to_le_bytes());
    assert!(refusal(&odd).contains("whole numbers from 0 to 2"), "{}", refusal(&odd));
    let wrong = |selected: Option<Vec<usize>>, axes| {
        let principal = Some(PrincipalComponents { mean: vec![0.0; 3], axes });
        of(Reduction { selected, principal }).validate().unwrap_err().to_string()
    };
    assert!(wrong(Some(vec![0, 2, 1]), matrix(3, 3, 5)).contains("each feature once, in their order"));
    assert!(wrong(Some(vec![]), matrix(3, 3, 5)).contains("at least 1"));
    assert!(wrong(Some(vec![0, 1, 3]), matrix(3, 3, 5)).contains("below the number of features"));
    assert!(wrong(Some(vec![0, 1]), matrix(3, 3, 5)).starts_with("principal.mean is 3, but"));
    assert!(wrong(None, matrix(4, 3, 5)).starts_with("the number of principal components is 4"));
    assert!(wrong(None, matrix(2, 3, 5)).contains("observation"), "a decoder of three numbers");
}

#[test]
fn optional_keys_and_tensors_have_the_documented_defaults() {
    let bytes = with_header(&kalman_bytes(), |header| {
        header["parameters"] = json!({});
        for key in ["label_law", "participant", "training_hash", "report"] {
            header.as_object_mut().unwrap().remove(key);
        }
    });
    let (model, _) = model_from_bytes(&bytes).unwrap();
    let Parameters::Kalman(kalman) = &model.parameters else { panic!("{model:?}") };
    assert_eq!((kalman.start, kalman.state.order), (Start::First, 1));
    assert_eq!(kalman.state.stationary_source, StationarySource::Training);
    assert_eq!((&model.label_law, &model.participant, &model.report), (&None, &None, &None));
}

#[test]
fn a_file_that_is_cut_off_is_told_from_a_foreign_one() {
    let bytes = kalman_bytes();
    for length in [9, 100, bytes.len() - 1] {
        let error = model_from_bytes(&bytes[..length]).unwrap_err();
        assert!(matches!(error, ModelFileError::Truncated { .. }), "{length}: {error}");
    }
    assert!(matches!(
        model_from_bytes(&bytes[..bytes.len() - 1]),
        Err(ModelFileError::Truncated { bytes: found, needed }) if found + 1 == needed
    ));
    for foreign in [&b""[..], b"1,2,3\n4,5,6\n", &[0; 64], b"\x89HDF\r\n\x1a\n........", &[0xff; 20]] {
        let error = model_from_bytes(foreign).unwrap_err();
        assert!(matches!(error, ModelFileError::NotSafetensors { .. }), "{foreign:?}: {error}");
    }
    let longer = [bytes.as_slice(), b"more"].concat();
    assert!(matches!(model_from_bytes(&longer), Err(ModelFileError::NotSafetensors { .. })));
    let (mut outer, data) = opened(&bytes);
    outer["__metadata__"] = json!({"format": "pt"});
    assert!(matches!(model_from_bytes(&closed(&outer, &data)), Err(ModelFileError::NotKalmind)));
}

#[test]
fn a_later_version_says_which_one_can_be_read() {
    let bytes = with_header(&kalman_bytes(), |header| {
        *header = json!({"version": MODEL_VERSION + 6, "shape": "of things to come"});
    });
    assert!(matches!(model_from_bytes(&bytes), Err(ModelFileError::FutureVersion { found: 8 })));
    assert!(refusal(&bytes).contains("reads versions up to 2"));
}

#[test]
fn tensors_are_checked_by_name_type_and_shape() {
    let (outer, data) = opened(&kalman_bytes());
    let changed = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut outer = outer.clone();
        change(outer.as_object_mut().unwrap());
        refusal(&closed(&outer, &data))
    };
    let renamed = changed(&|tensors| {
        let tensor = tensors.remove("observation").unwrap();
        tensors.insert("H".to_owned(), tensor);
    });
    assert_eq!(renamed, "no tensor `observation`; expected F64 [3, 2]");
    let more = changed(&|tensors| {
        let tensor = tensors.remove("observation_offset").unwrap();
        tensors.insert("offset".to_owned(), tensor);
    });
    assert_eq!(more, "tensor `offset` is not one that this decoder has");
    let transposed = changed(&|tensors| tensors["observation"]["shape"] = json!([2, 3]));
    assert_eq!(transposed, "tensor `observation` is F64 [2, 3]; expected F64 [3, 2]");
    let flat = changed(&|tensors| tensors["observation"]["shape"] = json!([6]));
    assert_eq!(flat, "tensor `observation` is F64 [6]; expected F64 [3, 2]");
    let integers = changed(&|tensors| tensors["observation"]["dtype"] = json!("I64"));
    assert_eq!(integers, "tensor `observation` is I64 [3, 2]; expected F64 [3, 2]");
    let lone = changed(&|tensors| tensors["zscore_mean"]["shape"] = json!([1, 3]));
    assert_eq!(lone, "tensor `zscore_mean` is F64 [1, 3]; expected F64 [3]");
}

/// The file with one number of a tensor replaced.
fn with_number(tensor: &str, at: usize, value: f64) -> Vec<u8> {
    let (outer, mut data) = opened(&kalman_bytes());
    let start = outer[tensor]["data_offsets"][0].as_u64().unwrap() as usize + 8 * at;
    data[start..start + 8].copy_from_slice(&value.to_le_bytes());
    closed(&outer, &data)
}

#[test]
fn numbers_that_make_no_filter_are_refused() {
    for tensor in ["transition", "process_noise", "stationary_covariance", "observation", "observation_noise"]
    {
        for value in [f64::NAN, f64::INFINITY] {
            let bytes = with_number(tensor, 0, value);
            assert!(matches!(model_from_bytes(&bytes), Err(ModelFileError::Invalid(_))), "{tensor} {value}");
        }
    }
    assert!(
        refusal(&with_number("process_noise", 0, -1.0)).contains("process_noise is not symmetric positive")
    );
    assert!(
        refusal(&with_number("observation_noise", 1, 9.0))
            .contains("observation_noise is not symmetric positive")
    );
    assert!(
        refusal(&with_number("transition", 0, 1.5))
            .contains("the transition is unstable (spectral radius 1.")
    );
    assert!(refusal(&with_number("zscore_standard_deviation", 0, -1.0)).contains("standard_deviation"));
}

#[test]
fn wrong_headers_are_refused_with_the_key() {
    let wrong: [(Change, &str); 13] = [
        (|header| header["decoder"] = json!("kalmann"), "did you mean `kalman`"),
        (|header| header["decoder"] = json!("wiener"), "unknown field `start"),
        (|header| header["bin_ms"] = json!(-20), "bin_ms"),
        (|header| header["streams"][1]["channels"] = json!(u64::MAX), "channels of a stream"),
        (|header| header["streams"][0]["labels"] = json!(["a"]), "stream 0 has 2 channels but 1 labels"),
        (|header| header["components"] = json!([]), "components"),
        (|header| header["colour"] = json!("red"), "unknown field `colour`"),
        (|header| header["label_law"]["speed"] = json!(1), "unknown field `speed`"),
        (|header| header["parameters"]["state_order"] = json!(0), "state_order is 0"),
        (|header| header["parameters"]["state_order"] = json!(3), "tensor `transition`"),
        (|header| header["parameters"]["start"] = json!("middle"), "unknown variant `middle`"),
        (|header| header["version"] = json!("one"), "`version` has to be from 1 to 2"),
        (|header| header["version"] = json!(0), "`version` has to be from 1 to 2"),
    ];
    for (change, expected) in wrong {
        let error = refusal(&with_header(&kalman_bytes(), change));
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let kernel = |model: &Model| model.decoder.decoder == DecoderName::DkfNw;
    let bytes = model_to_bytes(&every_decoder().into_iter().find(kernel).unwrap()).unwrap();
    let bandwidth = |value| with_header(&bytes, |header| header["parameters"]["bandwidth"] = value);
    let without = with_header(&bytes, |header| {
        drop(header["parameters"].as_object_mut().unwrap().remove("bandwidth"));
    });
    assert!(refusal(&without).contains("missing field `bandwidth`"));
    assert!(refusal(&bandwidth(json!(0))).contains("bandwidth"));
}

#[test]
fn a_model_that_is_not_valid_is_not_written() {
    let mut model = every_decoder().remove(0);
    model.training_mean[1] = f64::NAN;
    assert!(matches!(model_to_bytes(&model), Err(ModelFileError::Invalid(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Files of every decoder with bytes changed, cut or added: read or refused, never a panic, and what is read runs.
    #[test]
    fn damaged_files_never_panic(
        which in 0..7_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        in_header in any::<bool>(),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = model_to_bytes(&every_decoder()[which]).unwrap();
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        for (place, value) in changes {
            let place = place.index(if in_header { header } else { bytes.len() });
            bytes[place] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        match model_from_bytes(&bytes) {
            Ok((model, _)) => prop_assert!(model.decoder().is_ok()),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
