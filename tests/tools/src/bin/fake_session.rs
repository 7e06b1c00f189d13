//! A session without a brain: a cursor that runs in a circle, a target that jumps, an uncertainty that breathes, behind
//! the real server. For looking at the console and for the browser test; STOP and resume work, and a session can be run.
//!
//! `cargo run -p kalmind-tools --bin fake_session -- [PORT [CONNECTIONS [ORIGIN ..]]]` prints the console's address, with
//! the token, takes so many connections, lets pages of those origins in, and runs until it is ended.

use core::time::Duration;
use std::{env, process::ExitCode, sync::atomic::AtomicU64, thread};

use kalmind_output::{LedgerWriter, ServerConfig, Token};
use kalmind_tools::{Walk, fake};
use kalmind_types::{EventKind, LslTime, OutputState};
use serde_json::json;

/// 50 ticks a second.
const TICK: f64 = 0.02;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that people start by hand")]
fn main() -> ExitCode {
    let port = env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(8765);
    let Ok(token) = Token::new(fake::TOKEN) else { return ExitCode::FAILURE };
    let allowed_origins = env::args().skip(3).collect();
    let mut config =
        ServerConfig { allowed_origins, ..ServerConfig::new(([127, 0, 0, 1], port).into(), token) };
    if let Some(connections) = env::args().nth(2).and_then(|text| text.parse().ok()) {
        config.limits.connections = connections;
    }
    let daemon = match fake::FakeDaemon::start(config) {
        Ok(daemon) => daemon,
        Err(error) => {
            eprintln!("fake_session: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("http://{}/#token={}", daemon.server.local_addr(), fake::TOKEN);
    run(&daemon)
}

fn run(daemon: &fake::FakeDaemon) -> ! {
    let clock = daemon.hub.clock().clone();
    let walk = Walk::begin(&daemon.hub, &daemon.controls);
    let mut ledger = LedgerWriter::new(&daemon.ledger);
    let targets = AtomicU64::new(0);
    let start = clock.lsl();
    let mut ticks = 0_u64;
    loop {
        let next = LslTime(start.0 + ticks as f64 * TICK);
        let left = (next - clock.lsl()).0;
        if left > 0.0 {
            thread::park_timeout(Duration::from_secs_f64(left));
            continue;
        }
        if ticks.is_multiple_of(150) {
            let which = targets.fetch_add(1, core::sync::atomic::Ordering::Relaxed) as f64;
            let angle = which * core::f64::consts::FRAC_PI_4;
            let position = [0.5 + 0.3 * angle.cos(), 0.5 + 0.3 * angle.sin()];
            daemon.controls.emit(EventKind::Target, json!({"position": position, "radius": 0.06}));
        }
        daemon.controls.session.show(walk.look());
        daemon.controls.tick();
        let tick = fake::tick(ticks, clock.lsl(), OutputState::Control, None);
        ledger.record(&tick, clock.lsl());
        ticks += 1;
    }
}
