//! The daemon as its users meet it: real processes, real LSL, peers that no part of Kalmind wrote.

mod harness;
mod round_trip;
