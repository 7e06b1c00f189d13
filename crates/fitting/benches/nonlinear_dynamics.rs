//! The thesis's table 2.2 beside ours: a state that moves by sines under features that are whole numbers.
//!
//! `cargo bench -p kalmind-fitting --bench nonlinear_dynamics`
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a table says what it finds and stops where it cannot"
)]

#[path = "../tests/particle_filter/mod.rs"]
mod particle_filter;
#[path = "../tests/sine_and_floor/mod.rs"]
mod sine_and_floor;

fn main() {
    const SEEDS: u64 = 5;
    let runs: Vec<sine_and_floor::Errors> = (1..=SEEDS).map(sine_and_floor::run).collect();
    let mean =
        |figure: fn(&sine_and_floor::Errors) -> f64| runs.iter().map(figure).sum::<f64>() / SEEDS as f64;
    println!("root of the squared error over the squared truth   published   ours ({SEEDS} seeds)");
    for (name, published, ours) in [
        ("extended prediction, discriminative update", 0.331, mean(|errors| errors.extended_discriminative)),
        (
            "unscented prediction, discriminative update",
            0.331,
            mean(|errors| errors.unscented_discriminative),
        ),
        ("extended Kalman filter", 0.415, mean(|errors| errors.extended)),
        ("unscented Kalman filter", 0.472, mean(|errors| errors.unscented)),
        ("particle filter", 0.329, mean(|errors| errors.particles)),
    ] {
        println!("{name:50} {published:9.3} {ours:6.3}");
    }
}
