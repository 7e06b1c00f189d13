//! States that do not move linearly: the discriminative update after an extended or unscented prediction.
#![expect(clippy::unwrap_used, reason = "functions that several tests share fail like tests")]

mod particle_filter;
mod sine_and_floor;

/// The order of the thesis (2019, table 2.2): the discriminative filters are about as good as a particle filter, and both
/// Kalman filters, which know more of the model but only see its slopes and moments, are worse.
#[test]
fn discriminative_filters_come_close_to_particles_where_kalman_filters_do_not() {
    let errors = sine_and_floor::run(1);
    println!("{errors:?}");
    for discriminative in [errors.extended_discriminative, errors.unscented_discriminative] {
        assert!(discriminative < 1.03 * errors.particles, "{errors:?}");
        assert!(discriminative < 0.97 * errors.unscented, "{errors:?}");
        assert!(discriminative < 0.9 * errors.extended, "{errors:?}");
    }
}
