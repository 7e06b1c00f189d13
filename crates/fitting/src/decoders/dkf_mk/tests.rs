use super::*;
use crate::learner::predict;
use kalmind_filter::TrainingData;

fn number(at: usize) -> f64 {
    libm::sin((at * at * 7 + 3 * at) as f64 * 0.37)
}

fn learnt(text: &str, data: &TrainingData) -> Result<(Regressor, FitReport), FitError> {
    let spec = text.parse().unwrap();
    let background = vec![0.0; data.features.ncols()];
    let examples = Examples { data, background: &background, lags: 1 };
    let rows: Vec<usize> = (0..data.rows()).collect();
    let mut report = FitReport::default();
    let settings = FitSettings::default();
    let learner = learner(Lesson {
        spec: &spec,
        examples: &examples,
        rows: &rows,
        settings: &settings,
        report: &mut report,
        progress: &mut |_| (),
    })?;
    Ok((learner.learn(&examples, &rows)?, report))
}

fn additive() -> TrainingData {
    let features = DMatrix::from_fn(150, 3, |row, column| 2.0 * number(row * 3 + column));
    let states = DMatrix::from_fn(150, 2, |row, column| {
        let sum: f64 = (0..3).map(|entry| libm::sin(2.0 * features[(row, entry)] + column as f64)).sum();
        3.0 + sum + 0.3 * number(row * 2 + column + 900)
    });
    TrainingData::new(features, states)
}

#[test]
fn it_is_the_mean_of_the_gaussian_process_that_the_paper_defines() {
    let data = additive();
    let (regressor, report) = learnt("dkf-mk:weights=equal", &data).unwrap();
    let Regressor::MultipleKernel(MultipleKernelRegressor { scales, weights, offset, joint, .. }) =
        &regressor
    else {
        panic!()
    };
    assert!(joint.is_none() && weights.iter().all(|weight| (weight - weights[0]).abs() < 1e-12));
    let noise = report.hyperparameters["noise-variance"].as_f64().unwrap();
    let kernel = |left: usize, right: usize| -> f64 {
        (0..3)
            .map(|entry| {
                let distance = data.features[(left, entry)] - data.features[(right, entry)];
                weights[entry] * gaussian(distance * scales[entry])
            })
            .sum()
    };
    let matrix = DMatrix::from_fn(150, 150, kernel);
    let centred = DMatrix::from_fn(150, 2, |row, column| data.states[(row, column)] - offset[column]);
    let solved = (&matrix + DMatrix::identity(150, 150) * noise).lu().solve(&centred).unwrap();
    let expected = matrix * solved;
    let background = vec![0.0; 3];
    let examples = Examples { data: &data, background: &background, lags: 1 };
    let rows: Vec<usize> = (0..150).collect();
    let found = predict(&regressor, &examples, &rows);
    for row in 0..150 {
        for column in 0..2 {
            let found = found[(row, column)] - offset[column];
            assert!((found - expected[(row, column)]).abs() < 2e-3, "{found} {}", expected[(row, column)]);
        }
    }
}

#[test]
fn a_product_of_channels_gets_a_joint_kernel_and_a_sum_none() {
    let (regressor, _report) = learnt("dkf-mk", &additive()).unwrap();
    assert!(matches!(regressor, Regressor::MultipleKernel(MultipleKernelRegressor { joint: None, .. })));
    let features = DMatrix::from_fn(300, 2, |row, column| 2.0 * number(row * 2 + column));
    let states =
        DMatrix::from_fn(300, 1, |row, _| features[(row, 0)] * features[(row, 1)] + 0.1 * number(row + 900));
    let (regressor, _report) = learnt("dkf-mk", &TrainingData::new(features, states)).unwrap();
    assert!(matches!(regressor, Regressor::MultipleKernel(MultipleKernelRegressor { joint: Some(_), .. })));
}

#[test]
fn sectors_are_means_by_direction() {
    let angles = [0.1, -0.1, 1.6, 3.0, -3.0];
    let states = DMatrix::from_fn(6, 2, |row, column| match (angles.get(row), column) {
        (Some(angle), 0) => libm::cos(*angle),
        (Some(angle), _) => libm::sin(*angle),
        (None, _) => 0.0,
    });
    let inputs = DMatrix::from_fn(6, 1, |row, _| row as f64);
    let (points, values, counts) = sectors(&inputs, &states);
    assert_eq!(points.as_slice(), [0.5, 2.0, 3.5]);
    assert_eq!(counts, [2, 1, 2]);
    assert!(values[(0, 1)].abs() < 1e-15 && (values[(0, 0)] - libm::cos(0.1)).abs() < 1e-15);
    let (points, _, counts) = sectors(&inputs, &states.columns(0, 1).into_owned());
    assert_eq!((points.nrows(), counts), (2, vec![3, 2]));
}

#[test]
fn hard_data_have_an_answer() {
    let data = additive();
    let constant = TrainingData::new(DMatrix::from_element(150, 3, 1.0), data.states.clone());
    assert_eq!(learnt("dkf-mk", &constant).err(), Some(FitError::NoBandwidth));
    let mut repeated = data.clone();
    repeated.features =
        DMatrix::from_fn(
            150,
            400,
            |row, column| {
                if column == 7 { 2.0 } else { data.features[(row, column % 3)] }
            },
        );
    let (regressor, _report) = learnt("dkf-mk:steps=2", &repeated).unwrap();
    let Regressor::MultipleKernel(MultipleKernelRegressor { coefficients, .. }) = regressor else { panic!() };
    assert!(coefficients.iter().all(|coefficient| coefficient.is_finite()));
    let still = TrainingData::new(data.features.clone(), DMatrix::from_element(150, 2, 0.0));
    assert!(matches!(learnt("dkf-mk:sparsify=octants", &still), Err(FitError::TooFewRows { .. })));
    let centred = TrainingData::new(data.features.clone(), data.states.map(|value| value - 3.0));
    assert!(learnt("dkf-mk:sparsify=octants", &centred).is_ok());
}
