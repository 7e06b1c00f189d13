//! Keys that are right by themselves and do not go together.

use super::*;

#[test]
fn a_command_that_decodes_nothing_needs_no_stream() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lsl.toml");
    fs::write(&path, "[lsl]\nnetwork = \"machine\"\n").expect("it is written");
    let settings = configuration::load_settings(&path).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(settings.lsl.network, Network::Machine);
    assert!(configuration::load(&path).is_err());
    // what stands there is checked all the same
    fs::write(&path, "[[stream]]\nbinning = \"sum\"\n").expect("it is written");
    assert!(configuration::load_settings(&path).is_err());
}

#[test]
fn a_component_without_a_unit_is_one_of_a_model_that_states_none() {
    let components =
        "[intent]\ncomponents = [{ name = \"vx\", unit = \"\" }, { name = \"vy\", unit = \"\" }]\n";
    let read = accepted(&format!("{STREAM}{components}"));
    assert!(read.intent.components.iter().all(|component| component.unit.is_empty()));
    assert_eq!(accepted(&read.to_toml()).intent, read.intent);
    let (_, title, ..) = only_problem("[[intent.components]]\nname = \"\"\n");
    assert_eq!(title, "`intent.components[0].name` is empty");
}

#[test]
fn nothing_is_concluded_from_values_that_could_not_be_read() {
    for (text, title) in [
        ("[[streem]]\ntype = \"Features\"\n", "unknown key \"streem\""),
        ("[[stream]]\nnmae = \"Features\"\n", "unknown key \"nmae\""),
        ("[[stream]]\ntype = 3\n", "`stream[0].type` has the wrong type"),
        ("stream = 3\n", "`stream` has the wrong type"),
        (
            "[[stream]]\ntype = \"F\"\n[realtime]\npin = \"try\"\ncore = \"1\"\n",
            "`realtime.core` has the wrong type",
        ),
    ] {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].2.starts_with(title), "{found:?}");
    }
}

#[test]
fn conflicts_are_reported_at_the_key_that_conflicts() {
    for (text, line, title) in [
        ("rate_hz = 50\n[bins]\nbin_ms = 10\n", 3, "`bins.bin_ms` = 10 contradicts"),
        ("rate_hz = 2000\n", 1, "`stream[0].rate_hz` = 2000 Hz makes bins of 0.500 ms"),
        ("[[stream]]\ntype = \"Features\"\nbinning = \"mean\"\n", 1, "two streams are called \"features\""),
        ("[[stream]]\nname = \"b\"\n", 1, "two streams have binning = \"sample\""),
        ("[[stream]]\nkey = \"b\"\nbinning = \"sum\"\n", 1, "`stream[1]` does not say which stream it is"),
        ("required = false\n[[stream]]\nname = \"b\"\nbinning = \"sum\"\n", 1, "`stream[0]` leads the bins"),
        ("[lsl]\nnetwork = \"loopback\"\nknown_peers = [\"a\"]\n", 3, "`lsl.known_peers` has no effect"),
        ("[lsl]\nbase_port = 65530\n", 2, "`lsl.base_port` and `lsl.port_range`"),
        ("[safety]\nstale_after_ms = 20\n", 2, "`safety.stale_after_ms` = 20 is not longer than a bin"),
        ("[realtime]\npin = \"try\"\n", 2, "`realtime.pin` is on, but no `core` is given"),
        ("[realtime]\ncore = 1\n", 2, "`realtime.core` is given, but `pin` is \"off\""),
        ("[cursor]\nstart_position = [0.5, 1.5]\n", 2, "`cursor.start_position` lies outside"),
        (
            "[cursor]\ncomponents = [\"vx\", \"vx\"]\n",
            2,
            "`cursor.components` names the same component twice",
        ),
        ("[cursor]\ncomponents = [\"vx\", \"vz\"]\n", 2, "`cursor.components` moves y by \"vz\""),
        (
            "[intent]\ncomponents = [{ name = \"vx\" }, { name = \"vy\" }, { name = \"vy\" }]\n",
            2,
            "two components are called \"vy\"",
        ),
        ("[server]\nbind = \"0.0.0.0:8765\"\n", 2, "`server.bind` listens on every address"),
        ("[[output.lsl]]\n[[output.lsl]]\n", 2, "two outlets are called \"Kalmind-Cursor\""),
        (
            "[[output.lsl]]\nname = \"Kalmind-Events\"\n[output.events]\n",
            3,
            "two outlets are called \"Kalmind-Events\"",
        ),
        ("[[output.lsl]]\nscale = 0\n", 2, "`output.lsl[0].scale` is 0"),
        ("[[output.lsl]]\nscale = [1, 2]\n", 2, "`output.lsl[0].scale` does not fit the outlet's channels"),
        ("[[output.lsl]]\nchannels = [\"x\"]\nscale = [0]\n", 3, "`output.lsl[0].scale` is 0 for x"),
        ("[[output.lsl]]\noffset = [1]\n", 2, "`output.lsl[0].offset` does not fit the outlet's channels"),
        (
            "[[output.lsl]]\nformat = \"int16\"\n",
            2,
            "`output.lsl[0]` sends `newest` in whole numbers that cannot hold it",
        ),
        ("[cursor.position_from]\nchannels = [0]\n", 2, "`cursor.position_from.channels` names 1 channels"),
        (
            "[task.targets_from]\nchannels = [0, 1, 2, 3]\n",
            2,
            "`task.targets_from.channels` names 4 channels",
        ),
        ("[[output.lsl]]\nchannels = []\n", 2, "`output.lsl[0].channels` is empty"),
        ("[[output.lsl]]\nchannels = [\"x\", \"z\"]\n", 2, "\"z\" is not a channel of the cursor"),
        ("[[output.lsl]]\nchannels = [\"x\", \"x\"]\n", 2, "`output.lsl[0].channels` names \"x\" twice"),
        (
            "[task.markers]\na = { kind = \"trial\", trial = 1, phase = \"end\", radius = 1 }\n",
            2,
            "`radius` does not belong",
        ),
        ("[task.markers]\na = { kind = \"trial\" }\n", 2, "the marker \"a\" needs `trial` and `phase`"),
        ("[task.markers]\na = { kind = \"trial\", phase = \"end\" }\n", 2, "the marker \"a\" needs `trial`"),
        ("[task.markers]\na = { kind = \"task_block\" }\n", 2, "the marker \"a\" needs `phase` and `block`"),
        (
            "[task.markers]\na = { kind = \"target\", position = [0, 0] }\n",
            2,
            "the marker \"a\" needs `radius`",
        ),
        ("[task.markers]\na = { kind = \"operator\" }\n", 2, "the marker \"a\" needs `action`"),
    ] {
        let (at, given, found, _) = only_problem(text);
        assert!(given.starts_with(title), "{text}: {given} ({found})");
        assert_eq!(at, line, "{text}: {given}");
    }
}

#[test]
fn control_from_the_start_needs_a_model() {
    let text = format!("start = \"control\"\n{STREAM}");
    assert_eq!(problems(&text), [(1, 9, "`start` = \"control\" needs a model".to_owned())]);
    assert_eq!(accepted(&format!("{text}[decoder]\nmodel = \"m\"\n")).start, Mode::Control);
}

#[test]
fn components_that_only_the_model_knows_are_left_to_it() {
    let names = "[cursor]\ncomponents = [\"a\", \"b\"]\n[[output.lsl]]\nchannels = [\"x\", \"intent_a\"]\n";
    accepted(&format!("{STREAM}[decoder]\nmodel = \"m\"\n{names}"));
    assert_eq!(problems(&format!("{STREAM}{names}")).len(), 3);
}

#[test]
fn too_many_streams_and_no_required_stream_are_refused() {
    let many: Vec<String> = (0..9)
        .map(|index| {
            format!(
                "[[stream]]
name = \"s{index}\"
binning = \"sum\"
"
            )
        })
        .collect();
    assert_eq!(problems(&many.concat())[0].0, 25);
    let none = "[[stream]]\nname = \"a\"\nbinning = \"sum\"\nrequired = false\n";
    assert_eq!(problems(none), [(4, 1, "no [[stream]] is required".to_owned())]);
}

#[test]
fn a_relative_model_starts_at_the_configuration_and_has_to_be_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.toml");
    fs::write(&path, format!("{STREAM}[decoder]\nmodel = \"m.safetensors\"\n")).expect("it can be written");
    let errors = configuration::load(&path).expect_err("there is no model");
    let problem = &errors.problems()[0];
    assert_eq!((problem.line(), problem.column()), (4, 9), "{errors}");
    // what is about to be fitted cannot be there yet
    assert!(configuration::load_offline(&path).is_ok());
    let model = folder.path().join("m.safetensors");
    fs::write(&model, b"").expect("it can be written");
    let configuration = configuration::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(configuration.decoder.model, Some(model));
}

#[test]
fn a_mistyped_stage_or_key_is_answered_with_what_was_meant() {
    for (stage, column, title, help) in [
        ("{ stage = \"fir\" }", 11, "`stream[0].stages[0].stage` is no stage", "one of identity, iir,"),
        ("{ stage = \"bandpass\" }", 11, "is no stage", "did you mean `filter` with `kind = \"band_pass\"`?"),
        ("{ stage = \"powr\" }", 11, "is no stage", "did you mean `power`?"),
        ("{ stage = 3 }", 11, "`stream[0].stages[0].stage` has the wrong type", "one of identity"),
        ("{ kind = \"notch\" }", 1, "missing key `stage` in `stream[0].stages[0]`", "one of identity"),
        (
            "{ stage = \"iir\", section = [] }",
            18,
            "unknown key \"section\" in `stream[0].stages[0]`, the stage `iir`",
            "did you mean `sections`? known here: sections",
        ),
        ("{ stage = \"identity\", hz = 3 }", 23, "unknown key \"hz\"", "it has no settings"),
        (
            "{ stage = \"filter\", hz = 3 }",
            1,
            "missing key `kind` in `stream[0].stages[0]`",
            "settings as in {",
        ),
        (
            "{ stage = \"filter\", kind = \"bandpass\", hz = [1, 2] }",
            28,
            "`stream[0].stages[0].kind` of the stage `filter` has a wrong value",
            "did you mean `band_pass`? expected: one of low_pass, high_pass, band_pass, band_stop, notch",
        ),
        (
            "{ stage = \"filter\", kind = \"notch\", hz = 50, order = \"two\" }",
            54,
            "`stream[0].stages[0].order` of the stage `filter` has a wrong value",
            "expected: whole number, 0 or more",
        ),
        (
            "{ stage = \"filter\", kind = \"notch\", hz = \"fifty\" }",
            42,
            "`stream[0].stages[0].hz` of",
            "expected: a frequency in Hz, or `[lower, upper]` of a band",
        ),
        (
            "{ stage = \"reference\", kind = \"bipolar\", channels = [[0, 1.5]] }",
            53,
            "`stream[0].stages[0].channels` of the stage `reference`",
            "expected: channels by place, counted from 0, or by label",
        ),
        ("{ stage = \"power\", over_ms = true }", 30, "`stream[0].stages[0].over_ms` of", "expected: number"),
    ] {
        let text = format!("[[stream]]\ntype = \"EEG\"\nbinning = \"mean\"\nstages = [\n{stage}\n]\n");
        let errors = parse(&text, "a.toml").expect_err(stage);
        let [problem] = errors.problems() else { panic!("{stage}: {errors}") };
        assert!(problem.title().contains(title) && problem.help().contains(help), "{stage}: {errors}");
        assert_eq!((problem.line(), problem.column()), (5, column), "{stage}: {errors}");
    }
}

#[test]
fn channels_are_watched_unless_they_count() {
    let watched = |keys: &str, stages: &str, units: &[&str]| {
        let text = format!("[[stream]]\ntype = \"EEG\"\n{keys}\nstages = [{stages}]\n");
        let units: Vec<String> = units.iter().map(|unit| (*unit).to_owned()).collect();
        accepted(&text).stream[0].watches_channels(&units)
    };
    let (identity, spikes) = ("{ stage = \"identity\" }", "{ stage = \"spikes\", scales = [1] }");
    assert!(
        watched("binning = \"mean\"", identity, &[])
            && watched("binning = \"mean\"", identity, &["uV", "counts"])
    );
    assert!(watched("binning = \"sum\"", spikes, &["uV"]), "they are found in a signal");
    assert!(!watched("binning = \"sum\"", identity, &["uV"]), "what is summed is a count");
    assert!(!watched("binning = \"mean\"", identity, &["counts", "Spikes"]));
    assert!(watched("binning = \"sum\"\nchannel_health = true", identity, &["counts"]));
    assert!(!watched("binning = \"mean\"\nchannel_health = false", identity, &[]));
}

#[test]
fn maps_of_electrodes_become_arrays_and_stand_in_what_is_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.toml");
    let reference =
        "{ stage = \"reference\", kind = \"common_average\", maps = [\"left.cmp\", \"right.cmp\"] }";
    let text = format!(
        "[[stream]]\ntype = \"EEG\"\nbinning = \"mean\"\nstages = [\n{reference}\n]\n[decoder]\nmodel = \"m\"\n"
    );
    fs::write(&path, &text).expect("it can be written");
    let write =
        |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("it can be written");
    write("left.cmp", "Left\r\n0\t0\tA\t1\tchan1\r\n1\t0\tA\t2\tchan2\r\n");
    let refused = || {
        let errors = configuration::load_offline(&path).expect_err("a map cannot be used");
        let [problem] = errors.problems() else { panic!("{errors}") };
        (problem.line(), problem.title().to_owned(), problem.found().to_owned())
    };
    let (line, title, found) = refused();
    assert_eq!((line, title.as_str()), (5, "`maps` of `stream[0].stages[0]` cannot be used"));
    assert!(found.contains("right.cmp: No such file"), "{found}");
    write("right.cmp", "0 0 A 2 chan2");
    assert!(
        refused()
            .2
            .contains("right.cmp, line 1: bank A electrode 2 (channel 2) stands in line 3 of left.cmp")
    );
    for (right, arrays) in [
        ("0 0 A 3 chan3\n1 0 A 4 chan4", "arrays = [[0, 2], [2, 4]]"),
        ("0 0 A 3 chan3\n1 0 B 1 chan33", "array_channels = [[0, 1], [2, 32]]"),
    ] {
        write("right.cmp", right);
        let configuration = configuration::load_offline(&path).unwrap_or_else(|errors| panic!("{errors}"));
        let written = configuration.to_toml();
        assert!(written.contains(arrays) && !written.contains("maps"), "{written}");
        assert_eq!(accepted(&written).stream, configuration.stream);
    }
}

#[test]
fn stages_that_cannot_be_used_are_refused_where_they_stand() {
    let with =
        |stages: &str| format!("[[stream]]\ntype = \"EEG\"\nbinning = \"mean\"\nstages = [\n{stages}\n]\n");
    let good = accepted(&with("{ stage = \"iir\", sections = [[1, 0, 0, 1, -0.5, 0]] }"));
    assert_eq!(accepted(&good.to_toml()).stream, good.stream);
    for (stages, line, title) in [
        ("{ stage = \"filter\", kind = \"low_pass\", hz = [1, 2] }", 5, "this kind of filter has one"),
        ("{ stage = \"spikes\", scales = [] }", 5, "`scales` has to be"),
        (
            "{ stage = \"identity\" },\n{ stage = \"iir\", sections = [[1, 0, 0, 1, -2, 1]] }",
            6,
            "is not stable",
        ),
        ("3", 5, "has the wrong type"),
    ] {
        let found = problems(&with(stages));
        let [(at, column, problem)] = found.as_slice() else { panic!("{found:?}") };
        assert!(problem.contains(title) && (*at, *column) == (line, 1), "{found:?}");
    }
    let found = problems(&(with("{ stage = \"identity\" }") + "required = false\n"));
    assert!(
        found.iter().any(|(line, _, title)| *line == 7 && title.contains("has stages and is not required")),
        "{found:?}"
    );
}
