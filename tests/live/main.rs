//! The daemon as its users meet it: real processes, real LSL, peers that no part of Kalmind wrote.

#![expect(
    clippy::panic,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::float_cmp,
    reason = "a test ends by panicking, and numbers that are sent as they are have to arrive as they are; what was measured is \
              told on request"
)]

mod adaptive;
mod arrival;
mod blocked_output;
mod channel_health;
mod confirmation;
mod ending;
mod examples;
mod faults;
mod finding;
mod golden;
mod hand;
mod harness;
mod models;
mod passage;
mod recording;
mod replacing;
mod rest;
mod round_trip;
mod run_models;
mod sessions;
mod side_by_side;
mod signals;
mod stages;
mod start;
mod states;
mod stop;
mod task;
mod tutorial;
mod windows;
