//! Acquisition against real outlets: programs that run pylsl, and are killed, stopped and changed.

#[cfg(test)]
mod delivery;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod selection;
#[cfg(test)]
mod stages;
