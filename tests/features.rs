//! From a recording by another program to features, spikes and a model, on the real program.

#![expect(clippy::expect_used, reason = "a test ends by panicking")]

mod program;

use std::{fs, fs::File, path::Path, process::Command};

use kalmind::{
    configuration::load,
    starting::{finding::Found, plan::plan, prepared::prepare},
};
use kalmind_recording::xdf::{encode::HeaderFields, recording::read_xdf, writer::Writer};
use kalmind_types::{NumberFormat, SampleRows, StreamTime};
use serde_json::Value;

use program::Folder;

const RATE_HZ: f64 = 2000.0;
const UNITS: usize = 8;
/// Samples between two cursor positions.
const EVERY: usize = 40;

const CONFIGURATION: &str = r#"
[[stream]]
type = "Broadband"
binning = "sum"
unit = "microvolts"
stages = [
    { stage = "filter", kind = "high_pass", hz = 250 },
    { stage = "spikes", scales = [6], multiple = -4.5 },
]
"#;

/// A minute of eight channels, each with a unit that is tuned to a direction of a cursor that wanders.
fn record(path: &Path, seed: u64, unit: &str) {
    let mut state = seed;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    let mut writer = Writer::new(File::create_new(path).expect("a file"), "1970-01-01T00:00:00+0000", "");
    let channel = |label: String| format!("<channel><label>{label}</label><unit>{unit}</unit></channel>");
    let channels: String = (0..UNITS).map(|unit| channel(format!("e{unit}"))).collect();
    let desc = format!("<channels>{channels}</channels>");
    let array = writer.add_stream(&HeaderFields {
        name: "Amplifier",
        content_type: "Broadband",
        channels: UNITS,
        nominal_rate_hz: RATE_HZ,
        format: Some(NumberFormat::Int16),
        desc: &desc,
        ..HeaderFields::default()
    });
    let desc = "<channels><channel><label>x</label><unit>m</unit></channel><channel><label>y</label><unit>m</unit></channel></channels>";
    let hand = writer.add_stream(&HeaderFields {
        name: "Hand",
        content_type: "Mocap",
        channels: 2,
        nominal_rate_hz: RATE_HZ / EVERY as f64,
        format: Some(NumberFormat::Double64),
        desc,
        ..HeaderFields::default()
    });
    let (mut velocity, mut place) = ([0.0_f64; 2], [0.0_f64; 2]);
    for step in 0..3000 {
        velocity = velocity.map(|value| 0.97 * value + 0.25 * noise());
        place = [0, 1].map(|axis| place[axis] + velocity[axis] * EVERY as f64 / RATE_HZ);
        let stamps: Vec<StreamTime> =
            (0..EVERY).map(|sample| StreamTime(500.0 + (step * EVERY + sample) as f64 / RATE_HZ)).collect();
        let mut values = vec![0_i16; EVERY * UNITS];
        for unit in 0..UNITS {
            let angle = core::f64::consts::TAU * unit as f64 / UNITS as f64;
            let drive = velocity[0] * angle.cos() + velocity[1] * angle.sin();
            let spikes = (noise() < (2.0 * drive - 0.2).tanh()).then_some(10 + unit);
            for sample in 0..EVERY {
                let spike = if Some(sample) == spikes { -90.0 } else { 0.0 };
                values[sample * UNITS + unit] = (6.0 * noise() + spike) as i16;
            }
        }
        writer.rows(array, &stamps, SampleRows::Int16(&values));
        writer.rows(hand, &stamps[..1], SampleRows::Double64(&place));
        writer.commit().expect("it is written");
    }
    writer.footers();
    writer.commit().expect("it is written");
}

/// A folder with two recordings and a configuration.
fn laboratory() -> Folder {
    let folder = Folder::new();
    record(&folder.path("monday.xdf"), 1, "uV");
    record(&folder.path("friday.xdf"), 2, "uV");
    folder.write("daemon.toml", CONFIGURATION);
    folder
}

#[test]
fn features_and_spikes_are_written_and_read_by_others() {
    let folder = laboratory();
    let features = "features monday.xdf --config daemon.toml";
    let text = folder.succeeds(&format!("{features} -o x.csv --events spikes.csv --json"));
    let told: Value = serde_json::from_str(&text).expect("JSON");
    let table = fs::read_to_string(folder.path("x.csv")).expect("a table");
    let mut lines = table.lines();
    assert_eq!(lines.next(), Some("time,e0,e1,e2,e3,e4,e5,e6,e7"));
    let spikes = fs::read_to_string(folder.path("spikes.csv")).expect("spikes");
    assert!(spikes.starts_with("time,channel\n500."), "{:?}", spikes.lines().nth(1));
    let counted: f64 = lines
        .clone()
        .flat_map(|line| line.split(',').skip(1).filter(|cell| !cell.is_empty()))
        .map(|cell| cell.parse::<f64>().expect("a number"))
        .sum();
    let told_spikes = spikes.lines().count() - 1;
    assert_eq!(told["events"], told_spikes, "{told}");
    assert_eq!(told["rows"], lines.count());
    // the last bin is not closed
    assert!(told_spikes > 1000 && (told_spikes as f64 - counted).abs() < 10.0, "{told_spikes} {counted}");
    folder.succeeds(&format!("{features} -o x.npz"));
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    assert!(python.exists(), "no Python peers: `make .venv/peers-ready` makes them");
    let script = "import numpy,sys; f=numpy.load(sys.argv[1]); x=numpy.genfromtxt(sys.argv[2],delimiter=',',skip_header=1); \
                  k=~f['incomplete']; v=f['features'][k]; assert numpy.array_equal(x[:,1:],v,equal_nan=True) and (x[:,0]==f['time'][k]).all(); \
                  print(*f['names'], v.shape[1], str(f['units'][0]))";
    let npz = Command::new(python)
        .args(["-c", script])
        .arg(folder.path("x.npz"))
        .arg(folder.path("x.csv"))
        .output();
    let npz = npz.expect("Python runs");
    let said = String::from_utf8_lossy(&npz.stdout).into_owned() + &String::from_utf8_lossy(&npz.stderr);
    assert_eq!(said.trim(), "e0 e1 e2 e3 e4 e5 e6 e7 8 spikes");
}

#[test]
fn arrays_of_several_recordings_are_written_as_they_are_made() {
    let folder = laboratory();
    let pairs = "channels = [[\"e0\", \"e1\"], [\"e2\", \"e3\"], [\"e4\", \"e5\"], [\"e6\", \"e7\"]]";
    let stages = format!("stages = [{{ stage = \"reference\", kind = \"bipolar\", {pairs} }}]");
    folder.write("pairs.toml", &format!("[[stream]]\ntype = \"Broadband\"\nbinning = \"mean\"\n{stages}\n"));
    folder.succeeds("features monday.xdf friday.xdf --config pairs.toml -o x.npz");
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let script = "import numpy,sys,zipfile; assert zipfile.ZipFile(sys.argv[1]).testzip() is None; f=numpy.load(sys.argv[1]); \
                  v=f['features']; print(v.shape[1], v.shape[0]==len(f['time'])==len(f['recording']), \
                  f['recording'].min(), f['recording'].max(), v.dtype)";
    let said =
        Command::new(python).args(["-c", script]).arg(folder.path("x.npz")).output().expect("Python runs");
    let said = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.trim(), "4 True 0 1 float64");
}

#[test]
fn a_model_fitted_to_a_recording_decodes_another_one_and_runs() {
    let folder = laboratory();
    let states = "--config daemon.toml --states-stream Hand --velocity";
    folder.succeeds(&format!("fit monday.xdf {states} --decoder kalman -o m.kalmind"));
    let text = folder.succeeds(&format!(
        "evaluate monday.xdf friday.xdf {states} --test friday.xdf --decoders kalman --json"
    ));
    let found: Value = serde_json::from_str(&text).expect("JSON");
    let correlation = found["decoders"][0]["correlation"][0].as_f64().expect("a number");
    assert!(correlation > 0.6, "{found}");
    // a run with that configuration takes the model as its own
    let configuration = format!("{CONFIGURATION}\n[decoder]\nmodel = \"m.kalmind\"\n");
    folder.write("run.toml", &configuration);
    let configuration = load(&folder.path("run.toml")).expect("a configuration");
    let recorded = read_xdf(&folder.path("friday.xdf")).expect("a recording");
    let found = Found { streams: vec![Some(recorded.streams[0].header.description())], ..Found::default() };
    let plan = plan(prepare(configuration, false).expect("prepared"), &found).expect("a plan");
    let names: Vec<&str> =
        plan.configuration.intent.components.iter().map(|component| component.name.as_str()).collect();
    assert_eq!((names, plan.model.is_some()), (vec!["vx", "vy"], true));
}

#[test]
fn what_does_not_fit_is_named() {
    let folder = laboratory();
    record(&folder.path("volts.xdf"), 3, "V");
    let features = |config: &str, with: &str| format!("features {with} --config {config} -o x.csv");
    folder.refuses(&features("daemon.toml", "volts.xdf"), 2, &["is in \"V\"", "unit = \"microvolts\""]);
    let written = |name: &str, from: &str, to: &str| folder.write(name, &CONFIGURATION.replace(from, to));
    written("eeg.toml", "Broadband", "EEG");
    let parts = ["no stream with type = \"EEG\"", "\"Amplifier\" (type \"Broadband\"", "\"Hand\""];
    folder.refuses(&features("eeg.toml", "monday.xdf"), 2, &parts);
    written("nyquist.toml", "hz = 250", "hz = 1200");
    folder.refuses(&features("nyquist.toml", "monday.xdf"), 2, &["stage 1 (filter)", "1200"]);
    written("rate.toml", "unit = \"microvolts\"", "rate_hz = 2500");
    folder.refuses(&features("rate.toml", "monday.xdf"), 2, &["2500 samples a second", "2000.0", "rate_hz"]);
    written("any.toml", "unit = \"microvolts\"", "");
    let mixed = "features monday.xdf volts.xdf --config any.toml -o x.csv";
    folder.succeeds(&mixed.replace("volts", "friday"));
    written("power.toml", "{ stage = \"spikes\", scales = [6], multiple = -4.5 }", "{ stage = \"power\" }");
    let mixed = "features monday.xdf volts.xdf --config power_any.toml -o x.csv";
    let power = CONFIGURATION.replace("unit = \"microvolts\"", "");
    folder.write(
        "power_any.toml",
        &power.replace("{ stage = \"spikes\", scales = [6], multiple = -4.5 }", "{ stage = \"power\" }"),
    );
    folder.refuses(mixed, 2, &["volts.xdf", "its features are in", "V"]);
    let no_spikes = "features monday.xdf --config power.toml -o x.csv --events spikes.csv";
    folder.refuses(no_spikes, 2, &["--events", "no stream of power.toml has the stage `spikes`"]);
    let nowhere = "--config daemon.toml -o nowhere/x";
    let parts = ["nowhere/x.csv cannot be written: there is no folder nowhere; make it, or write elsewhere"];
    folder.refuses(&format!("features monday.xdf {nowhere}.csv"), 1, &parts);
    let fit = format!("fit monday.xdf --states-stream Hand --decoder kalman {nowhere}.kalmind");
    folder.refuses(&fit, 1, &["there is no folder nowhere"]);
    folder.write("notes.txt", "no recording");
    folder.refuses(&features("daemon.toml", "notes.txt"), 2, &["notes.txt: this is no recording"]);
    written("slow.toml", "hz = 250", "hz = 0.001");
    let parts = ["no bin is complete: stream \"Amplifier\"", "before its filters have settled, after "];
    folder.refuses(&features("slow.toml", "monday.xdf"), 2, &parts);
    written("zero.toml", "scales = [6]", "scales = [0]");
    let parts =
        ["\"Amplifier\" has 120000 samples", "its stages make no valid value", "scales and divisors of 0"];
    folder.refuses(&features("zero.toml", "monday.xdf"), 2, &parts);
    let reference = |with: &str| format!("reference monday.xdf --config daemon.toml -o r.json {with}");
    let parts = [
        "monday.xdf: stream \"Amplifier\": the stretch from 100 to 120 s is not in the recording",
        "ends 60.0 s after",
    ];
    folder.refuses(&reference("--from 100 --to 120"), 2, &parts);
    folder.refuses(&reference("--from -3"), 2, &["a number of seconds"]);
    folder.refuses(
        "reference monday.xdf --config rate.toml -o r.json",
        2,
        &["2500 samples a second", "2000.0"],
    );
    let swapped = "features daemon.toml --config monday.xdf -o x.csv";
    folder.refuses(swapped, 2, &["monday.xdf", "this is a recording (XDF)"]);
    folder.refuses("features monday.xdf --config daemon.toml -o x.mat", 2, &[".csv or .npz"]);
    let fit = "fit monday.xdf --config daemon.toml --decoder kalman -o m.kalmind";
    folder.refuses(fit, 2, &["--states-stream"]);
    let over = "fit monday.xdf --config daemon.toml --states-stream Hand --decoder kalman -o daemon.toml";
    folder.refuses(over, 2, &["-o", "daemon.toml"]);
    let optional = "[[stream]]\nkey = \"gaze\"\ntype = \"Gaze\"\nbinning = \"latest\"\nrequired = false\n";
    folder.write("optional.toml", &format!("{CONFIGURATION}{optional}"));
    folder.refuses(&features("optional.toml", "monday.xdf"), 2, &["type = \"Gaze\"", "`channels`"]);
}

#[test]
fn several_streams_may_be_of_one_outlet_and_channels_have_the_names_that_a_montage_gives() {
    let folder = laboratory();
    let pairs = "{ stage = \"reference\", kind = \"bipolar\", channels = [[\"e0\", \"e1\"], [\"e2\", \"e3\"]] },\n    { stage = \"spikes\"";
    let bipolar = CONFIGURATION.replace("{ stage = \"spikes\"", pairs);
    folder.write("pairs.toml", &bipolar);
    folder.succeeds("features monday.xdf --config pairs.toml -o x.csv --events spikes.csv");
    let table = fs::read_to_string(folder.path("x.csv")).expect("a table");
    let names: Vec<&str> = table.lines().next().expect("a header").split(',').skip(1).collect();
    let spikes = fs::read_to_string(folder.path("spikes.csv")).expect("spikes");
    let mut channels: Vec<&str> =
        spikes.lines().skip(1).map(|line| line.split(',').nth(1).expect("a channel")).collect();
    channels.sort_unstable();
    channels.dedup();
    assert_eq!(channels, names);
    let keyed = |text: &str, key: &str| text.replace("[[stream]]", &format!("[[stream]]\nkey = \"{key}\""));
    folder.write("both.toml", &(keyed(CONFIGURATION, "one") + &keyed(&bipolar, "two")));
    folder.succeeds("features monday.xdf friday.xdf --config both.toml -o both.csv");
    let both = fs::read_to_string(folder.path("both.csv")).expect("a table");
    assert_eq!(both.lines().next().expect("a header").split(',').count(), 2 + UNITS + 2);
    let last: f64 = both
        .lines()
        .skip(1)
        .map(|line| line.rsplit(',').next().expect("a cell").parse::<f64>().expect("a number"))
        .sum();
    assert!(last > 100.0, "{last}");
}

#[test]
fn what_rest_fixed_counts_for_every_command_that_makes_features() {
    let folder = laboratory();
    let learn = "reference monday.xdf --config daemon.toml --scale mad --to 30 -o rest.json";
    folder.succeeds(learn);
    let learnt: Value =
        serde_json::from_str(&fs::read_to_string(folder.path("rest.json")).expect("a file")).expect("JSON");
    let scales = learnt["streams"][0]["stages"][1]["scales"].as_array().expect("scales");
    // uniform noise of +-6 through a high-pass: neither the spikes nor the 6 that the configuration said
    assert!(
        scales.len() == UNITS
            && scales.iter().all(|scale| (2.0..6.0).contains(&scale.as_f64().expect("a number"))),
        "{scales:?}"
    );
    folder.write("learnt.toml", &format!("{CONFIGURATION}\n[reference]\nfile = \"rest.json\"\n"));
    // learnt anew, it is that of the configuration itself, whether the file is there or not
    fs::rename(folder.path("rest.json"), folder.path("first.json")).expect("it is moved");
    for _ in 0..2 {
        folder.succeeds(&learn.replace("daemon", "learnt"));
        assert_eq!(
            fs::read(folder.path("rest.json")).expect("a file"),
            fs::read(folder.path("first.json")).expect("a file")
        );
    }
    let spikes = |config: &str| -> u64 {
        let text =
            folder.succeeds(&format!("features monday.xdf --config {config} -o x.csv --events e.csv --json"));
        serde_json::from_str::<Value>(&text).expect("JSON")["events"].as_u64().expect("a count")
    };
    assert_ne!(spikes("learnt.toml"), spikes("daemon.toml"));
    // a model belongs to the generation that it was fitted behind
    let fit = "fit monday.xdf --states-stream Hand --velocity --decoder kalman -o m.kalmind --config";
    folder.succeeds(&format!("{fit} learnt.toml"));
    folder.write("run.toml", &format!("{CONFIGURATION}\n[decoder]\nmodel = \"m.kalmind\"\n"));
    let recorded = read_xdf(&folder.path("friday.xdf")).expect("a recording");
    let found = Found { streams: vec![Some(recorded.streams[0].header.description())], ..Found::default() };
    let prepared =
        prepare(load(&folder.path("run.toml")).expect("a configuration"), false).expect("prepared");
    let refused = plan(prepared, &found).expect_err("another generation").to_string();
    assert!(refused.contains("stages with other settings"), "{refused}");
    let evaluated = |config: &str| -> bool {
        let test =
            "evaluate friday.xdf --states-stream Hand --velocity --model m.kalmind --test 0..500 --json";
        let text = folder.succeeds(&format!("{test} --config {config}"));
        let found: Value = serde_json::from_str(&text).expect("JSON");
        found["remarks"].to_string().contains("stages with other settings")
    };
    assert_eq!((evaluated("daemon.toml"), evaluated("learnt.toml")), (true, false));
    folder.write(
        "other.toml",
        &fs::read_to_string(folder.path("learnt.toml"))
            .expect("text")
            .replace("high_pass\", hz = 250 },", "high_pass\", hz = 250 }, { stage = \"rectify\" },"),
    );
    folder.refuses(
        "features monday.xdf --config other.toml -o x.csv",
        2,
        &["filter, rectify, spikes", "learn it anew", "other.toml:"],
    );
    // what nobody learnt is not replaced in silence
    let learnt = fs::read_to_string(folder.path("learnt.toml")).expect("text");
    folder.write("hz.toml", &learnt.replace("hz = 250", "hz = 300"));
    let parts = ["stage 1 (filter)", "other settings", "learn it anew"];
    folder.refuses("features monday.xdf --config hz.toml -o x.csv", 2, &parts);
    folder.write("rate.toml", &learnt.replace("unit = ", "rate_hz = 1999\nunit = "));
    folder.refuses("features monday.xdf --config rate.toml -o x.csv", 2, &["another rate", "2000 Hz"]);
    folder.write(
        "nothing.toml",
        &CONFIGURATION.replace("    { stage = \"spikes\", scales = [6], multiple = -4.5 },\n", ""),
    );
    folder.refuses(&learn.replace("daemon", "nothing"), 2, &["no stage takes anything"]);
    folder.refuses(&learn.replace("--to 30", "--from 100 --to 130"), 2, &["--from and --to"]);
}

#[test]
fn an_edf_file_is_a_stream_without_a_name() {
    let folder = Folder::new();
    folder.write("eeg.toml", "[bins]\nbin_ms = 200\n[[stream]]\ntype = \"EEG\"\nbinning = \"mean\"\n");
    let file = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/foreign").join(name);
    let path = file("e02_decimal_comma.edf");
    folder.succeeds(&format!("features {} --config eeg.toml -o x.csv", path.display()));
    let table = fs::read_to_string(folder.path("x.csv")).expect("a table");
    let mut lines = table.lines();
    assert_eq!(lines.next(), Some("time,EEG C3,EEG C4"));
    let edf = kalmind_recording::edf::read_edf(&path, None).expect("an EDF file");
    let mut bins = 0;
    for (bin, line) in lines.enumerate() {
        let row: Vec<f64> = line.split(',').map(|cell| cell.parse().expect("a number")).collect();
        // two samples each, the first bin from half a sample before the first one on
        assert!((row[0] - (0.2 * bin as f64 + 0.15)).abs() < 1e-12, "{row:?}");
        for (signal, value) in edf.signals.iter().zip(&row[1..]) {
            let mean = signal.values[2 * bin..2 * bin + 2].iter().sum::<f64>() / 2.0;
            assert!((mean - value).abs() < 1e-12 * mean.abs().max(1.0), "{row:?}: {mean}");
        }
        bins += 1;
    }
    assert_eq!(bins, 25);

    let features =
        |file: &Path, config: &str| format!("features {} --config {config} -o y.csv", file.display());
    folder.refuses(&features(&file("e09_duration_zero_two_rates.edf"), "eeg.toml"), 2, &["rate"]);
    folder.write("wide.toml", "[[stream]]\ntype = \"EEG\"\nbinning = \"mean\"\nchannels = 3\n");
    folder.refuses(&features(&path, "wide.toml"), 2, &["no stream with 3 channels"]);
    let fit = format!(
        "fit {} --config eeg.toml --states-stream Hand --decoder kalman -o m.kalmind",
        path.display()
    );
    folder.refuses(&fit, 2, &["has no stream of states"]);
}

#[test]
fn bins_of_a_sample_each_are_as_wide_as_what_the_stages_give() {
    let folder = laboratory();
    let stages = "stages = [{ stage = \"filter\", kind = \"high_pass\", hz = 250 }, { stage = \"power\", output_ms = 50 }]";
    let stream = format!("[[stream]]\ntype = \"Broadband\"\nbinning = \"sample\"\n{stages}\n");
    folder.write("power.toml", &stream);
    let text = folder.succeeds("features monday.xdf --config power.toml -o x.csv --json");
    let told: Value = serde_json::from_str(&text).expect("JSON");
    let table = fs::read_to_string(folder.path("x.csv")).expect("a table");
    let times: Vec<f64> =
        table.lines().skip(1).filter_map(|line| line.split(',').next()?.parse().ok()).collect();
    // a minute
    assert!((1190..=1200).contains(&times.len()), "{told}");
    assert!(times.windows(2).all(|pair| (pair[1] - pair[0] - 0.05).abs() < 1e-9));
    folder.write("other.toml", &format!("[bins]\nbin_ms = 20\n{stream}"));
    folder.refuses("features monday.xdf --config other.toml -o y.csv", 2, &["bin_ms = 50"]);
}
