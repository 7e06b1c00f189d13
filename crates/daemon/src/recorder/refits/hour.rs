//! An hour of a session that is fitted anew all the time: what its models add to a recording, and what a replay takes.

use std::path::Path;

use kalmind_acquisition::clock;
use kalmind_filter::Model;
use kalmind_offline::{calibration_fit::CalibrationFit, model::IdentifiedModel};
use kalmind_session::Calibration;

use super::Session;
use crate::commands::replay::replay;

/// An hour in which a decoder is fitted anew all the time.
struct Hour {
    spec: &'static str,
    /// Ticks that it is fitted to, and ticks from one fit to the next.
    rows: usize,
    every: u64,
    /// So many of the models are fitted, of which every so many-th seeks hyperparameters and the others keep those of the one
    /// before. Later ones are these again under other names: fits differ in their numbers and not in how many there are.
    fits: u64,
    whole: u64,
    megabytes: f64,
}

impl Hour {
    fn refits(&self) -> u64 {
        180_000 / self.every
    }

    /// A session of so many times `every` ticks after the first rows; in the first `refits` of them a model takes over.
    fn session(
        &self,
        path: &Path,
        (refits, count): (u64, u64),
        fits: &mut Vec<(CalibrationFit, Calibration)>,
    ) {
        let mut session = Session::new(path, 192);
        session.fitted_to = self.rows;
        session.ticks(self.rows as u64);
        for refit in 0..refits {
            // every session begins alike
            if fits.len() as u64 == refit && refit < self.fits {
                let earlier = fits.last().filter(|_| !refit.is_multiple_of(self.whole));
                let (begin, earlier) = (clock::now(), earlier.map(|(fit, _)| fit.report.clone()));
                let what = if earlier.is_some() { "weights" } else { "a whole fit" };
                fits.push((session.fit(self.spec, earlier), session.calibration()));
                println!("{}: {what}, {:.2} s", self.spec, (clock::now() - begin).0);
            }
            let (fit, rows) = &fits[(refit % self.fits) as usize];
            let other = Model { participant: Some(refit.to_string()), ..(*fit.model.model).clone() };
            session.put_in(&IdentifiedModel::of(other).expect("a model"), rows.clone());
            session.ticks(self.every - 1);
        }
        session.ticks(self.every * (count - refits));
        session.end();
    }
}

/// A line of what the system says of this process's memory, in MB.
fn memory(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the process");
    let line = status.lines().find_map(|text| text.strip_prefix(line)).expect("the line");
    let kilobytes: f64 =
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes / 1e3
}

/// What an hour of refits adds to the recording, and what a replay of it takes.
fn hour(of: &Hour) {
    let (spec, all) = (of.spec, of.refits());
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let bytes = |path: &Path| std::fs::metadata(path).expect("the file").len() as f64;
    let mut fits = Vec::new();
    for (name, refits, count) in [("one", 1, 20), ("longer", 1, 40), ("few", 20, 20), ("hour", all, all)] {
        of.session(&path(name), (refits, count), &mut fits);
    }
    drop(fits);
    let each = (bytes(&path("longer")) - bytes(&path("one"))) / 20.0;
    for (name, refits) in [("few", 20), ("hour", all)] {
        let without = bytes(&path("one")) + each * (refits - 20) as f64;
        let added = (bytes(&path(name)) - without) / 1e6 * refits as f64 / (refits - 1) as f64;
        // the largest resident set is that from here on
        std::fs::write("/proc/self/clear_refs", "5").expect("it is forgotten");
        let (before, begin) = (memory("VmRSS"), clock::now());
        let replayed = replay(&path(name), false, |_, _| {}).expect("a replay");
        assert!(replayed.identical(), "{:?}", replayed.comparison.first_difference);
        println!(
            "{spec}: {refits} refits add {added:.1} MB, {:.1} kB each; bit for bit replayed in {:.1} s, {:.0} MB at most \
             ({before:.0} MB before)",
            added * 1e3 / refits as f64,
            (clock::now() - begin).0,
            memory("VmHWM"),
        );
        assert!(added * all as f64 / refits as f64 <= of.megabytes, "{added} MB");
    }
}

#[test]
#[ignore = "takes minutes: tests/endurance/refits.sh runs it"]
fn an_hour_of_refits_of_a_kalman_filter() {
    hour(&Hour { spec: "kalman-steady", rows: 3000, every: 100, fits: 1, whole: 1, megabytes: 150.0 });
}

#[test]
#[ignore = "takes minutes: tests/endurance/refits.sh runs it"]
fn an_hour_of_refits_of_a_gaussian_process() {
    // 3000 of these rows are past the trials' first moments; weights every 5 s, hyperparameters every 30 s in a few steps
    hour(&Hour { spec: "dkf-gp:steps=3", rows: 4050, every: 250, fits: 24, whole: 6, megabytes: 400.0 });
}
