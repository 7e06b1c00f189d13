//! However a run ends, its recording has its footers and nothing of it is left behind.

use std::{fs, path::Path};

use crate::harness::{Laboratory, Process};

#[test]
fn every_signal_that_ends_a_process_ends_a_run_in_order() {
    let laboratory = Laboratory::new("signals");
    let stream = format!("{}-sine", laboratory.name);
    let _outlet = laboratory.outlet(&stream, &[]);
    let configuration = laboratory.controlled(&format!("name = \"{stream}\""), "");
    let file = configuration.to_str().expect("a path");
    for signal in ["-HUP", "-QUIT", "-USR1", "-USR2", "-ALRM", "-INT"] {
        let recording = laboratory.path(&format!("signal{signal}.xdf"));
        // whoever runs the tests may have had a signal ignored, as nohup does, and a hangup that is ignored stays so
        let mut run = laboratory.command(Path::new("env"));
        run.args(["--default-signal", env!("CARGO_BIN_EXE_kalmind")]);
        run.args(["run", "--json", "--wait", "30", "--config", file, "--record"]).arg(&recording);
        let run = Process::start(run);
        run.expect_line("running");
        run.signal(signal);
        let (code, lines) = run.wait();
        assert_eq!(code, Some(0), "{signal}: {lines:?}");
        let recording = recording.to_str().expect("a path");
        let checked = laboratory.run(&["recording", "check", recording]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(checked.status.success(), "{signal}: no footers: {said}");
    }
}

/// Files and folders in a folder.
fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).expect("a folder").count()
}

#[test]
fn settings_of_the_programs_own_leave_nothing_behind_even_when_it_is_killed() {
    let laboratory = Laboratory::new("leftovers");
    let temporary = laboratory.path("temporary");
    fs::create_dir_all(&temporary).expect("a folder");
    let configuration = laboratory.write(
        "kalmind.toml",
        &format!(
            "instance.name = \"{0}\"\nserver.bind = \"127.0.0.1:0\"\n[lsl]\nnetwork = \"loopback\"\n\
             session_id = \"{0}\"\nbase_port = 16000\nmulticast_port = 15999\n[[stream]]\nname = \"none\"\n",
            laboratory.name
        ),
    );
    let mut run = laboratory.kalmind();
    run.env_remove("LSLAPICFG").env("TMPDIR", &temporary);
    run.args(["run", "--wait", "60", "--config"]).arg(&configuration);
    let run = Process::start(run);
    let said = run.expect_line("LSL: ");
    assert!(said.contains(&format!("loopback (127.0.0.1 only), session \"{}\"", laboratory.name)), "{said}");
    assert_eq!(entries(&temporary), 0);
    run.signal("-KILL");
    run.wait();
    assert_eq!(entries(&temporary), 0);
}

#[test]
fn no_variable_makes_it_delete_a_file() {
    let laboratory = Laboratory::new("variable");
    let settings = laboratory.path("somebodys");
    fs::create_dir_all(&settings).expect("a folder");
    let settings = settings.join("lsl_api.cfg");
    fs::copy(laboratory.path("lsl_api.cfg"), &settings).expect("a file");
    let configuration = laboratory.write("kalmind.toml", "[[stream]]\nname = \"none\"\n");
    let mut streams = laboratory.kalmind();
    streams.args(["streams", "--seconds", "0.1", "--config"]).arg(&configuration);
    streams.env("LSLAPICFG", &settings).env("KALMIND_LSLAPICFG_WRITTEN", &settings);
    assert!(streams.output().expect("it starts").status.success());
    assert!(settings.is_file());
}
