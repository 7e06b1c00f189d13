//! The limit of open files: whether the connections that the configuration allows fit under it.
//!
//! A server that runs out of descriptors can take no connection in, so no STOP either. The soft limit (often 1024) is
//! raised where the connections need more, up to the hard one, which only an administrator can raise.

use kalmind_output::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What everything but the server may need: streams, outlets with their readers, recordings, models, the console's page.
const OTHERS: u64 = 384;

/// Open files that a run whose server has these limits may need.
fn needed(limits: &Limits) -> u64 {
    limits.open_files() + OTHERS
}

/// The most connections that fit under the hard limit of open files, where `connections` do not.
#[must_use]
pub fn most_connections(connections: usize) -> Option<u64> {
    let most = getrlimit(Resource::Nofile).maximum?;
    let limits = Limits { connections, ..Limits::default() };
    (needed(&limits) > most).then(|| most.saturating_sub(needed(&Limits { connections: 0, ..limits })))
}

/// Raises the soft limit of open files to what a server with these limits may need. Where the system refuses, that is
/// logged, with the remedy, and the server does with what there is.
pub fn raise_limit(limits: &Limits) {
    let (now, needed) = (getrlimit(Resource::Nofile), needed(limits));
    if now.current.is_none_or(|current| current >= needed) {
        return;
    }
    let wanted = now.maximum.map_or(needed, |most| needed.min(most));
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: now.maximum }) {
        tracing::warn!(
            %error,
            needed,
            "the limit of open files could not be raised: raise it before the start (ulimit -n), or set a smaller \
             [server] max_connections"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_do_not_fit_are_told_with_the_most_that_do() {
        assert_eq!(most_connections(1), None);
        if let Some(limit) = getrlimit(Resource::Nofile).maximum {
            let most = most_connections(limit as usize).expect("as many connections as files do not fit");
            assert!(most < limit);
            assert_eq!(most_connections(most as usize), None);
            assert_eq!(most_connections(most as usize + 1), Some(most));
        }
    }
}
