//! Acquisition against real outlets: programs that run pylsl, and are killed, stopped and changed.

mod delivery;
mod faults;
mod harness;
mod selection;
