//! Kalmind in the place of another program's decoder: configured by the page about it, in a closed loop that knows nothing of
//! Kalmind.

use std::fs;

use serde_json::Value;

use crate::harness::{Laboratory, repository};

/// The page's configuration with the names of this test, and `more` in front.
fn configuration(name: &str, more: &str) -> String {
    let page = fs::read_to_string(repository("docs/replacing-a-decoder.md")).expect("the page");
    let toml = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
    format!("{more}{}", toml.replace("\"Lab-", &format!("\"{name}-")))
}

#[test]
fn a_foreign_closed_loop_holds_targets_and_meets_no_invisible_wall() {
    let laboratory = Laboratory::new("replacing");
    let name = laboratory.name.clone();
    // limits are so wide that a busy machine drops nothing
    let more = format!(
        "instance.name = \"{name}\"\nserver.bind = \"127.0.0.1:0\"\nsafety.auto_resume_ms = 600000\n\
         safety.stale_after_ms = 10000\n"
    );
    let configuration = configuration(&name, &more).replace("-counts\"\n", "-counts\"\nbacklog_ms = 10000\n");
    let configuration = laboratory.write("lab.toml", &configuration);
    // it settles for longer than Kalmind measures how the stream arrives, and than a fit takes on a busy machine
    let task = laboratory
        .python("foreign_task.py", &["--name", &name, "--open", "30", "--closed", "12", "--settle", "12"]);
    task.expect_line("ready");
    let daemon = laboratory.daemon(&configuration, "30");
    let ended: Value = task.expect_json("the task's result", |line| line["held"].is_number());
    let events = daemon.end();
    assert!(ended["ticks"].as_u64() > Some(100), "{ended} {events:#}");
    // no tick of a decoder that moves is exactly 0, wherever Kalmind's own cursor is
    assert!(ended["still"].as_f64() <= ended["ticks"].as_f64().map(|ticks| 0.05 * ticks), "{ended}");
    assert!(ended["held"].as_u64() > Some(0), "{ended}");
}
