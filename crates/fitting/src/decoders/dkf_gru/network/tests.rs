use rand::SeedableRng as _;

use super::*;
use kalmind_filter::{NetworkScaling, RecurrentRegressor, Regressor};

const SEQUENCES: usize = 3;
const BINS: usize = 6;

fn shape(cell: Cell) -> Shape {
    Shape { cell, inputs: 4, hidden: 5, layers: 2, outputs: 2 }
}

fn random_values(count: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
    (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for cell in [Cell::Gru, Cell::Lstm] {
        let shape = shape(cell);
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut weights = random_values(shape.weights(), &mut random);
        let columns = SEQUENCES * BINS;
        let inputs = random_values(shape.inputs * columns, &mut random);
        // the loss is a weighted sum of the outputs, its weights the gradient by them
        let by_outputs = random_values(shape.outputs * columns, &mut random);
        let dropout: Vec<Vec<f32>> =
            (0..shape.layers).map(|_| random_values(shape.hidden * columns, &mut random)).collect();
        let mut trace = Trace::default();
        let mut gradient = vec![f32::NAN; shape.weights()];
        let batch = Batch { inputs: &inputs, sequences: SEQUENCES, dropout: &dropout };
        shape.forward(&weights, &batch, &mut trace);
        shape.backward(&weights, &batch, &mut trace, &by_outputs, &mut gradient);
        let mut loss = |weights: &[f32]| -> f64 {
            shape.forward(weights, &batch, &mut trace);
            let terms = trace.outputs.iter().zip(&by_outputs);
            terms.map(|(output, by)| f64::from(*output) * f64::from(*by)).sum()
        };
        for at in 0..weights.len() {
            let here = weights[at];
            let (above, below) = (here + 5e-3, here - 5e-3);
            weights[at] = above;
            let high = loss(&weights);
            weights[at] = below;
            let low = loss(&weights);
            weights[at] = here;
            let expected = (high - low) / f64::from(above - below);
            let difference = (f64::from(gradient[at]) - expected).abs();
            assert!(difference < 2e-3 * (1.0 + expected.abs()), "{cell:?} {at}: {} {expected}", gradient[at]);
        }
    }
}

#[test]
fn training_and_the_decoder_that_runs_compute_the_same() {
    for cell in [Cell::Gru, Cell::Lstm] {
        let shape = shape(cell);
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let weights = random_values(shape.weights(), &mut random);
        let inputs = random_values(shape.inputs * SEQUENCES * BINS, &mut random);
        let mut trace = Trace::default();
        let batch = Batch { inputs: &inputs, sequences: SEQUENCES, dropout: &[] };
        shape.forward(&weights, &batch, &mut trace);
        let mut decoder = Regressor::Recurrent(RecurrentRegressor {
            cell,
            scaling: NetworkScaling {
                input_mean: vec![0.0; 4],
                input_scale: vec![1.0; 4],
                output_scale: vec![1.0; 2],
            },
            networks: vec![shape.network(&weights)],
        })
        .regression(KernelPath::detect());
        for sequence in 0..SEQUENCES {
            decoder.restart();
            for bin in 0..BINS {
                let column = bin * SEQUENCES + sequence;
                let input: Vec<f64> =
                    inputs[column * 4..(column + 1) * 4].iter().map(|&value| f64::from(value)).collect();
                let mut mean = [0.0; kalmind_types::MAX_COMPONENTS];
                decoder.mean(&input, &mut mean);
                for (mean, expected) in mean.iter().zip(&trace.outputs[column * 2..column * 2 + 2]) {
                    assert!((mean - f64::from(*expected)).abs() < 1e-5, "{cell:?} {mean} {expected}");
                }
            }
        }
    }
}

#[test]
fn a_forget_gate_starts_open_and_biases_do_not_decay() {
    let shape = shape(Cell::Lstm);
    let weights = shape.first_weights(&mut ChaCha8Rng::seed_from_u64(1));
    let first = &shape.network(&weights).layers[0];
    assert_eq!(first.input_bias.rows(5, 5).iter().copied().collect::<Vec<_>>(), [1.0; 5]);
    let decaying = shape.decaying().iter().filter(|decaying| **decaying).count();
    assert_eq!(decaying, 20 * 4 + 20 * 5 + 20 * 5 + 20 * 5 + 2 * 5);
}
