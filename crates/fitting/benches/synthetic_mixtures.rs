//! The synthetic experiments of Burkhart et al., Neural Computation 2020, sec. 4.2 and 4.3, at their size: ten components,
//! 10,000 steps, 10,000 particles. `cargo bench -p kalmind-fitting --bench synthetic_mixtures -- [STEPS]`; takes
//! minutes.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a table is printed, and ends where it cannot go on"
)]

#[path = "../tests/mixtures/mod.rs"]
mod mixtures;
#[path = "../tests/particle_filter/mod.rs"]
mod particle_filter;

use mixtures::{BernoulliMixture, KalmanMixture, StateLaw, run};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

const COMPONENTS: usize = 10;
const PARTICLES: usize = 10_000;

fn main() {
    let steps = std::env::args()
        .skip(1)
        // cargo adds one of its own
        .find(|argument| !argument.starts_with("--"))
        .map_or(10_000, |text| text.parse().expect("a number of steps"));
    println!("RMSE over {steps} steps; saying zero, as a Kalman filter does, has about 1\n");
    println!(
        "{:<42} {:>5} {:>7} {:>10} {:>7} {:>10} {:>18}",
        "experiment", "n", "zero", "f alone", "DKF", "particles", "published DKF/PF"
    );
    for n in [10, 32, 100, 316] {
        let published = match n {
            32 => "0.485 / 0.491",
            100 => "0.337 / 0.350",
            _ => "-",
        };
        // the scripts published with the paper: A = 0.95 I - 0.05, L_1 = I, L_2 = 5 I, H with entries N(0, 1/d)
        let mut random = ChaCha8Rng::seed_from_u64(42);
        let mixture = KalmanMixture::new(n, COMPONENTS, [1.0, 5.0], &mut random);
        print(
            "Kalman mixture, noise I and 5 I",
            n,
            &StateLaw::new(COMPONENTS, 0.95, 0.05),
            &mixture,
            steps,
            published,
        );
    }
    for n in [10, 32, 100, 316] {
        let mut random = ChaCha8Rng::seed_from_u64(42);
        let mixture = KalmanMixture::new(n, COMPONENTS, [1.0, 0.125], &mut random);
        print(
            "Kalman mixture, A = 0.91 I - 0.1, I / 8",
            n,
            &StateLaw::new(COMPONENTS, 0.91, 0.1),
            &mixture,
            steps,
            "-",
        );
    }
    for n in [10, 32, 100, 316] {
        let mut random = ChaCha8Rng::seed_from_u64(42);
        let mixture = BernoulliMixture::new(n, COMPONENTS, &mut random);
        print("Bernoulli mixture", n, &StateLaw::new(COMPONENTS, 0.95, 0.05), &mixture, steps, "-");
    }
}

fn print(
    name: &str,
    n: usize,
    law: &StateLaw,
    observation: &impl mixtures::Observation,
    steps: usize,
    published: &str,
) {
    let errors = run(law, observation, steps, PARTICLES, 7);
    println!(
        "{name:<42} {n:>5} {:>7.3} {:>10.3} {:>7.3} {:>10.3} {published:>18}",
        errors.zero, errors.unfiltered, errors.dense, errors.particle
    );
}
