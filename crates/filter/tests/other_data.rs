#![allow(warnings)]
mod other_data;
use other_data::*;
use nalgebra::{DMatrix, DVector};
#[test]
fn probe() {
    let only = std::env::var("ONLY").ok();
    let cases: Vec<(&str, Rows)> = {
        let base = linear(1000, 8, 0.95, Noise::Gaussian(1.0), 1);
        let rows = base.features.nrows();
        let mut car = linear(1000, 32, 0.95, Noise::Gaussian(1.0), 1);
        for mut row in car.features.row_iter_mut() { let m = row.mean(); row.add_scalar_mut(-m); }
        let circle = { let mut r = linear(1000, 8, 0.95, Noise::Gaussian(1.0), 1); 
            let old = r.states.clone();
            let tuning = { let f = &r.features; f.clone() };
            for t in 0..rows { let (s,c) = (t as f64 * 0.1).sin_cos(); 
                for ch in 0..8 { let k = ch as f64; let dv = (c - old[(t,0)]) * (k*1.3).sin() + (s - old[(t,1)]) * (k*2.1).cos(); r.features[(t,ch)] = (k*1.3).sin()*c + (k*2.1).cos()*s + 0.7*(tuning[(t,ch)] - 0.0).sin(); }
                r.states[(t,0)] = c; r.states[(t,1)] = s; } r };
        vec![
        ("base", base.clone()),
        ("state mean .2", base.states_in(&[1.0], &[0.2, -0.2])),
        ("state mean 1000", base.states_in(&[1.0], &[1000.0, -300.0])),
        ("states 1e-6", base.states_in(&[1e-6], &[1e-3])),
        ("states px", base.states_in(&[300.0], &[960.0, 540.0])),
        ("mixed states", base.states_in(&[300.0, 0.01], &[960.0, 0.0])),
        ("features units", base.features_in(&[1e-6, 1e3, 1.0, 50.0], &[0.0, 1e6, -3.0])),
        ("constant", base.and(&[DVector::from_element(rows, 0.1), DVector::zeros(rows)])),
        ("repeated", base.and(&[base.features.column(0).into_owned()])),
        ("common average", car),
        ("no noise", linear(1000, 8, 0.95, Noise::Gaussian(0.0), 1)),
        ("counts", linear(1000, 8, 0.95, Noise::Counts, 1)),
        ("400 channels", linear(1000, 400, 0.95, Noise::Gaussian(5.0), 1)),
        ("400 channels, 500 rows", linear(500, 400, 0.95, Noise::Gaussian(5.0), 1)),
        ("10 Hz", linear(1000, 8, 0.7, Noise::Gaussian(1.0), 1)),
        ("100 Hz", linear(3000, 8, 0.99, Noise::Gaussian(1.0), 1)),
        ("circle", circle),
        ]
    };
    let specs: Vec<String> = std::env::var("SPECS").unwrap_or("kalman kalman-steady wiener wiener-cascade ole dkf-linear".into()).split_whitespace().map(String::from).collect();
    for (name, rows) in cases {
        if only.as_ref().is_some_and(|o| !name.contains(o.as_str())) { continue }
        print!("{name:<24} reg {:.3}", rows.regression_error());
        for spec in &specs {
            match rows.decoded(spec) {
                Ok((d, report)) => print!(" | {spec} {:.3}{}", rows.error(&d), if report.warnings.is_empty() { "" } else { "!" }),
                Err(e) => print!(" | {spec} ERR {}", &e.to_string()[..60.min(e.to_string().len())]),
            }
        }
        println!();
    }
}
