//! What the system lets this program have: real-time priority, locked memory, open files. Each is asked for as a run does.

use std::fs::File;

use rustix::{
    mm::munlockall,
    process::{Resource, getrlimit},
};

use super::{
    finding::{Finding, Status},
    patient::Patient,
};
use crate::{
    configuration::{Insistence, Realtime},
    process::realtime::{Outcome, RealtimeSettings, Role},
};

/// Files that a run holds besides its clients' connections: streams, outlets, the recording, the server.
const OWN_FILES: usize = 192;

/// How bad a refusal is, by how much the configuration insists.
fn refused(insistence: Insistence) -> Status {
    if insistence == Insistence::Require { Status::Problem } else { Status::Warning }
}

/// Asks for the priorities of a run, in a thread that ends thereafter.
pub(super) fn priority(patient: &Patient<'_>) -> Finding {
    const NAME: &str = "priority";
    let configured = &patient.configuration.realtime;
    let wish = Realtime { priority: Insistence::Try, pin: Insistence::Off, ..configured.clone() };
    let tried = std::thread::spawn(move || {
        let settings = RealtimeSettings::new(wish);
        // the outlet's is the highest
        let _only_required_ones_fail = settings.apply(Role::Outlet, "trial");
        settings.outcomes()
    });
    let outcomes: Vec<Outcome> = tried.join().unwrap_or_default();
    let level = configured.priority_level;
    let finding = match outcomes.first() {
        Some(Outcome { granted: true, .. }) => {
            let asked = if configured.priority == Insistence::Off {
                "; the configuration does not ask for it"
            } else {
                ""
            };
            Finding::ok(NAME, format!("Real-time priority {level} was asked for and granted{asked}."))
        }
        outcome => {
            let said =
                outcome.and_then(|outcome| outcome.detail.as_deref()).unwrap_or("no thread could be started");
            let said = said.split(';').next().unwrap_or(said);
            Finding::bad(
                NAME,
                refused(configured.priority),
                format!(
                    "Real-time priority {level} was asked for and refused ({said}). Without it the cursor may \
                     hesitate when the machine is busy."
                ),
                "as root, write the line `@kalmind - rtprio 99` into /etc/security/limits.d/kalmind.conf, put the \
                 operator's account into a group `kalmind`, log in again (a service: LimitRTPRIO=99), and set priority = \
                 \"try\" under [realtime].",
            )
        }
    };
    finding.with("level", level)
}

/// Locks this process's memory, and lets go of it.
pub(super) fn locked_memory(patient: &Patient<'_>) -> Finding {
    const NAME: &str = "locked memory";
    let configured = &patient.configuration.realtime;
    let settings = RealtimeSettings::new(Realtime { lock_memory: Insistence::Try, ..configured.clone() });
    let _only_required_ones_fail = settings.lock_memory();
    // what was not locked needs no letting go
    let _not_locked = munlockall();
    match settings.outcomes().first() {
        Some(Outcome { granted: true, .. }) => Finding::ok(NAME, "All memory could be locked."),
        outcome => {
            let said = outcome
                .and_then(|outcome| outcome.detail.as_deref())
                .unwrap_or("the system does not say why");
            let said = said.split(';').next().unwrap_or(said);
            Finding::bad(
                NAME,
                refused(configured.lock_memory),
                format!(
                    "Memory cannot be locked ({said}). Where the machine runs short of memory, parts of the program may \
                     be paged out and be late."
                ),
                "as root, write the line `@kalmind - memlock unlimited` into /etc/security/limits.d/kalmind.conf, put the \
                 operator's account into a group `kalmind`, log in again (a service: LimitMEMLOCK=infinity), and set \
                 lock_memory = \"try\" under [realtime].",
            )
        }
    }
}

/// Opens as many files at once as a run may hold.
pub(super) fn open_files(patient: &Patient<'_>) -> Finding {
    const NAME: &str = "open files";
    let clients = patient.configuration.server.limits.connections;
    let needed = clients + OWN_FILES;
    let mut held = Vec::with_capacity(needed);
    let failed = loop {
        if held.len() == needed {
            break None;
        }
        match File::open("/dev/null") {
            Ok(file) => held.push(file),
            Err(error) => break Some(error),
        }
    };
    let opened = held.len();
    drop(held);
    let limit = getrlimit(Resource::Nofile).current;
    let shown = limit.map_or_else(|| "no limit".to_owned(), |limit| format!("the limit is {limit}"));
    let finding = match failed {
        None => Finding::ok(
            NAME,
            format!(
                "{opened} more could be opened at once, as many as a run with {clients} clients may need ({shown})."
            ),
        ),
        Some(error) => Finding::bad(
            NAME,
            Status::Problem,
            format!(
                "Only {opened} more could be opened at once ({error}; {shown}); a run with {clients} clients may need {needed}."
            ),
            format!(
                "raise the limit (`ulimit -n {}` before the start, or LimitNOFILE= of a service), or lower max_connections \
                 under [server].",
                (2 * needed).next_power_of_two()
            ),
        ),
    };
    finding.with("opened", opened).with("needed", needed).with("limit", limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Configuration;

    #[test]
    fn more_clients_than_files_are_a_problem_with_the_limit_that_would_do() {
        let mut configuration = Configuration::default();
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(1 << 20);
        configuration.server.limits.connections = usize::try_from(limit).unwrap();
        let finding = open_files(&Patient { configuration: &configuration, given: true });
        assert_eq!(finding.status, Status::Problem, "{finding:?}");
        assert!(finding.found.contains(&limit.to_string()), "{finding:?}");
        assert!(finding.remedy.unwrap().contains("ulimit -n"));
    }

    #[test]
    fn what_the_configuration_requires_and_the_system_refuses_is_a_problem() {
        for (insistence, status) in [
            (Insistence::Off, Status::Warning),
            (Insistence::Try, Status::Warning),
            (Insistence::Require, Status::Problem),
        ] {
            assert_eq!(refused(insistence), status);
        }
    }
}
