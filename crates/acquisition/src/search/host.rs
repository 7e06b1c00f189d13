//! This machine among the hosts that send streams.

/// This machine's name as LSL writes it into headers; `None` where it cannot be told, and then every clock is measured
/// before its samples are used.
pub(crate) fn this_host() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned())
}
