//! Presets: those that come with Kalmind, and what is said of files that are wrong.

use kalmind::configuration::{built_in_presets, load_preset, parse_preset, preset};
use kalmind_session::Preset;
use kalmind_types::{Assistance, TaskBlock};

use super::*;

fn built_in() -> Vec<Preset> {
    built_in_presets().unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn every_file_of_presets_is_built_in_and_can_be_run() {
    let built_in = built_in();
    let mut seen = 0;
    for entry in fs::read_dir(root().join("config/presets")).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        let loaded = load_preset(&path).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(path.file_stem().and_then(|name| name.to_str()), Some(loaded.name.as_str()));
        assert!(!loaded.about.is_empty() && loaded.blocks.iter().all(|block| !block.instruction.is_empty()));
        assert_eq!(loaded.check(), Ok(()));
        assert_eq!(preset(&loaded.name), Ok(loaded.clone()));
        assert_eq!(preset(&path.display().to_string()), Ok(loaded.clone()));
        assert!(built_in.contains(&loaded), "{} is not built in", path.display());
        seen += 1;
    }
    assert_eq!(seen, built_in.len());
}

#[test]
fn presets_last_as_long_as_their_names_promise() {
    let seconds = |name: &str| preset(name).unwrap_or_else(|errors| panic!("{errors}")).seconds();
    let of_blocks = |name: &str, block: TaskBlock| {
        let preset = preset(name).unwrap_or_else(|errors| panic!("{errors}"));
        preset.blocks.iter().filter(|plan| plan.block != block).map(|plan| plan.seconds).sum::<f64>()
    };
    assert_eq!((seconds("quick-start"), seconds("demo")), (60.0, 90.0));
    assert_eq!(of_blocks("rapid-calibration", TaskBlock::Evaluation), 180.0);
    assert_eq!(of_blocks("rest-and-calibration", TaskBlock::ClosedLoop), 120.0);
    assert_eq!(of_blocks("eleven-minutes", TaskBlock::Evaluation), 660.0);
    assert_eq!(of_blocks("grid-evaluation", TaskBlock::Evaluation), 120.0);
}

#[test]
fn after_its_rest_the_preset_calibrates_as_the_one_without() {
    let mut rested = preset("rest-and-calibration").unwrap_or_else(|errors| panic!("{errors}"));
    let calibrated = preset("rapid-calibration").unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(rested.blocks.remove(0).block, TaskBlock::Rest);
    rested.blocks[0].rest_s = calibrated.blocks[0].rest_s;
    assert_eq!((rested.blocks, rested.decoder), (calibrated.blocks, calibrated.decoder));
}

#[test]
fn the_help_of_the_presets_fades_as_their_comments_say() {
    let help = |name: &str, block: usize, at: f64| {
        preset(name).unwrap_or_else(|errors| panic!("{errors}")).blocks[block].assistance_at(at)
    };
    let mixing = |mixing: f64| Assistance { mixing, attenuation: 0.0 };
    assert_eq!(help("quick-start", 0, 0.0), mixing(1.0));
    assert_eq!(help("quick-start", 0, 20.0), mixing(0.2));
    assert_eq!(help("quick-start", 1, 0.0), Assistance::NONE);
    assert_eq!(help("rapid-calibration", 0, 10.0), mixing(0.2));
    assert_eq!(help("rapid-calibration", 0, 90.0), Assistance::NONE);
    for (block, attenuation) in [(1, 0.8), (2, 0.5), (3, 0.2)] {
        assert_eq!(help("eleven-minutes", block, 100.0), Assistance { attenuation, mixing: 0.0 });
    }
}

const TOP: &str = "name = \"a\"\ntitle = \"A\"\n";
const BLOCK: &str = "[[block]]\nblock = \"closed_loop\"\ntitle = \"B\"\ntask = \"radial8\"\nseconds = 60\n";

#[test]
fn what_is_wrong_with_a_preset_is_said_where_it_stands() {
    let block = |more: &str| format!("{TOP}{BLOCK}{more}\n");
    for (text, line, column, said) in [
        (block("secnds = 3"), 8, 1, "unknown key \"secnds\""),
        (block("seconds = 3"), 8, 1, "not valid TOML"),
        (block("rest_s = -1"), 8, 10, "`block[0].rest_s` is out of range"),
        (block("options = { hold = true }"), 8, 20, "has the wrong type"),
        (block("options = { radius = -1 }"), 8, 11, "block 1 (B): `options`: radius is -1"),
        (block("options = { distance = 0.6 }"), 8, 11, "`options`: targets lie outside the workspace"),
        (block("options = { radus = 1 }"), 8, 11, "`options`: the task radial8 has no option radus"),
        (
            block("assistance = [{ at_s = 3, mixing = 1 }, { at_s = 3 }]"),
            8,
            14,
            "`assistance`: its times have to grow",
        ),
        (block("assistance = [{ mixing = 0.5 }]"), 8, 15, "missing key `at_s` in [block[0].assistance[0]]"),
        (
            block("assistance = [{ at_s = 0, mixing = 1.5 }]"),
            8,
            36,
            "`block[0].assistance[0].mixing` is out of",
        ),
        (block("fit_decoder = \"kalmn\""), 8, 15, "`block[0].fit_decoder` cannot be fitted"),
        (
            block("[[block]]\nblock = \"evaluation\"\ntitle = \"C\"\ntask = \"radail8\"\nseconds = 3"),
            11,
            8,
            "block 2 (C): `task`: there is no task \"radail8\"",
        ),
        (
            block("[[block]]\nblock = \"evaluation\"\ntitle = \"C\"\nseconds = 3"),
            8,
            1,
            "block 2 (C): `task` is missing",
        ),
        (
            format!(
                "{}[compare]\ndecoders = [\"kalman\"]\nrounds = 2\nblock = {{ block = \"evaluation\", title = \"C\", seconds = 3, task = \"grid\" }}",
                block("")
            ),
            9,
            2,
            "`compare`: it compares 1 decoders",
        ),
        (
            format!("{}[compare]\ndecoders = [\"kalmn\"]\nrounds = 2", block("")),
            10,
            13,
            "`compare.decoders[0]` cannot be fitted",
        ),
        (format!("name = \"a b\"\n{BLOCK}"), 1, 8, "`name` has the wrong format"),
        (TOP.to_owned(), 1, 1, "the preset a has 0 blocks"),
        (format!("{TOP}decoder = \"nothing\"\n{BLOCK}"), 3, 11, "`decoder` cannot be fitted"),
    ] {
        let errors = parse_preset(&text, "test.toml").expect_err(&text);
        let fits = errors.problems().iter().any(|problem| {
            (problem.line(), problem.column()) == (line, column) && problem.title().contains(said)
        });
        assert!(fits, "{said} at {line}:{column}: {errors}");
        assert!(errors.to_string().contains("test.toml"));
    }
    let two = block("rest_s = -1\n[[block]]\nblock = \"closed_loop\"\ntitle = \"C\"\nseconds = 3");
    assert_eq!(parse_preset(&two, "test.toml").expect_err("two are wrong").problems().len(), 2);
}

#[test]
fn a_rest_has_a_length_and_an_instruction_of_its_own() {
    let rest = format!("{TOP}[[block]]\nblock = \"rest\"\ntitle = \"Rest\"\n");
    let read = |text: &str| parse_preset(text, "test.toml").unwrap_or_else(|errors| panic!("{errors}"));
    let plan = &read(&rest).blocks[0];
    assert_eq!((plan.seconds, plan.instruction.as_str()), (60.0, "Rest, and do nothing."));
    assert_eq!(read(&format!("{rest}seconds = 20\n")).blocks[0].seconds, 20.0);
    for (more, said) in [
        ("task = \"grid\"", "`task`: a signal check or a rest presents none"),
        ("gather = true", "`gather`: of a rest no rows are gathered"),
        ("seconds = 0", "`block[0].seconds` is out of range"),
    ] {
        let errors = parse_preset(&format!("{rest}{more}\n"), "test.toml").expect_err(more);
        assert!(errors.to_string().contains(said), "{errors}");
    }
    // any other block states its length
    let open = format!("{TOP}[[block]]\nblock = \"open_loop\"\ntitle = \"B\"\ntask = \"grid\"\n");
    let errors = parse_preset(&open, "test.toml").expect_err("no length");
    assert!(errors.to_string().contains("`seconds` is from 1 to 14400"), "{errors}");
}

#[test]
fn a_preset_that_is_not_there_is_answered_with_those_that_are() {
    let errors = preset("quick").expect_err("there is none");
    assert!(errors.to_string().contains("quick-start, rapid-calibration, rest-and-calibration"), "{errors}");
    let errors = load_preset(&root().join("config/presets/none.toml")).expect_err("there is none");
    assert!(errors.to_string().contains("config/presets/quick-start.toml is one to start from"), "{errors}");
}
