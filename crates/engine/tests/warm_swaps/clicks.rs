//! A model that takes over warmed knows how likely a click is meant as if it had decoded all along.

use kalmind_filter::{ClickParameters, ClickSettings};

use super::*;

fn clicking(model: Model) -> Model {
    let settings = ClickSettings {
        begin: 0.01,
        end: 0.06,
        threshold: 0.8,
        release: 0.4,
        hold_ms: 0.0,
        refractory_ms: 100.0,
    };
    let weights = (0..FEATURES).map(|feature| [0.9, -0.7, 0.4][feature % 3]).collect();
    Model { click: Some(ClickParameters { weights, intercept: -1.0, settings }), ..model }
}

fn probabilities(outputs: &[TickOutput]) -> Vec<f64> {
    outputs.iter().filter_map(|output| output.click).map(|click| click.probability).collect()
}

#[test]
fn what_was_decoded_of_clicks_goes_on_over_a_warmed_swap() {
    let (model, old) = (clicking(other()), other());
    let incidents = [
        Incidents::default(),
        Incidents { gap: true, ..Incidents::default() },
        Incidents { fault: true, ..Incidents::default() },
    ];
    for incidents in incidents {
        let expected = probabilities(&outputs_all_along(&model, incidents));
        let (outputs, _) = swapped(&model, &old, incidents, 250, 1);
        let found = probabilities(&outputs);
        assert_eq!(found.len(), (TICKS - SWAP) as usize);
        let (least, most) = found.iter().fold((1.0_f64, 0.0_f64), |(a, b), p| (a.min(*p), b.max(*p)));
        assert!(least < 0.2 && most > 0.8, "clicks come and go: {least} {most}");
        let differs = found.iter().zip(&expected).map(|(found, expected)| (found - expected).abs());
        let differs = differs.fold(0.0, f64::max);
        assert!(differs < 1e-12, "{differs:e}");
    }
}
