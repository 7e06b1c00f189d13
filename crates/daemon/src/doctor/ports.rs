//! Whether the ports are free that the server and the LSL outlets take: each is taken, and given back.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    ops::RangeInclusive,
    thread,
    time::Duration,
};

use kalmind_acquisition::clock::Deadline;
use kalmind_types::Seconds;

use super::{
    finding::{Finding, Status},
    patient::Patient,
};

const NAME: &str = "ports";
/// How long whoever holds the server's port may take to say who it is.
const ANSWER: Duration = Duration::from_secs(1);
/// How long programs may go on searching for streams, and how often is looked.
const SEARCHING: Seconds = Seconds(3.0);
const BETWEEN: Duration = Duration::from_millis(50);
/// The longest answer that is read.
const ANSWER_BYTES: u64 = 1 << 20;

/// Takes the server's port, and every port that LSL may give to an outlet.
pub(super) fn ports(patient: &Patient<'_>) -> Finding {
    let configuration = patient.configuration;
    let bind = configuration.server.bind;
    let (base_port, port_range) = configuration.lsl.ports();
    let last = u32::from(base_port) + u32::from(port_range) - 1;
    let range = base_port..=u16::try_from(last).unwrap_or(u16::MAX);
    let (first, last) = (*range.start(), *range.end());
    let all = range.clone().count();
    // the events are an outlet too
    let needed = configuration.output.lsl.len() + 1;
    let free = free_for_outlets(&range, needed);
    let outlets = format!("LSL: {free} of the ports {first} to {last} are free, and {needed} are needed.");
    // as the server itself listens
    let server = TcpListener::bind(bind);
    let finding = match server {
        Ok(_taken) if free < needed => Finding::bad(
            NAME,
            Status::Problem,
            format!("The server's {bind} is free. {outlets}"),
            "end programs that hold them (`ss -lntup` names them), or give [lsl] another base_port or a larger port_range; the \
             other programs need the same. Outlets on other ports are not found where multicast does not reach.",
        ),
        Ok(_taken) => Finding::ok(NAME, format!("The server's address {bind} is free. {outlets}")),
        Err(error) => {
            let (status, found, remedy) = refused(bind, &error);
            Finding::bad(NAME, status, format!("{found} {outlets}"), remedy)
        }
    };
    finding
        .with("server", bind.to_string())
        .with("lsl_free", free)
        .with("lsl_ports", all)
        .with("lsl_needed", needed)
}

/// How many ports are free, once enough are: programs that search for streams hold many of them for moments.
fn free_for_outlets(range: &RangeInclusive<u16>, needed: usize) -> usize {
    let deadline = Deadline::after(SEARCHING);
    loop {
        let free = range.clone().filter(|port| is_free(*port)).count();
        if free >= needed || deadline.passed() {
            return free;
        }
        thread::park_timeout(BETWEEN);
    }
}

/// Whether an outlet could take a port: one of both kinds.
fn is_free(port: u16) -> bool {
    let address = (Ipv4Addr::UNSPECIFIED, port);
    UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()
}

fn refused(bind: SocketAddr, error: &std::io::Error) -> (Status, String, String) {
    match error.kind() {
        ErrorKind::AddrInUse => match kalmind_at(bind) {
            Some(instance) => (
                Status::Warning,
                format!("A Kalmind is already running at {bind} (instance {instance:?})."),
                "nothing, if that is the one you want; a second one needs another `[server] bind` and `[instance] name`."
                    .to_owned(),
            ),
            None => (
                Status::Problem,
                format!("{bind} is in use by another program."),
                format!("end that program (`ss -ltnp 'sport = :{}'` names it), or set another `[server] bind`.", bind.port()),
            ),
        },
        ErrorKind::PermissionDenied => (
            Status::Problem,
            format!("This program may not listen at {bind} ({error})."),
            "set a port above 1023 in `[server] bind`.".to_owned(),
        ),
        ErrorKind::AddrNotAvailable => (
            Status::Problem,
            format!("This machine has no address {}.", bind.ip()),
            "set one that `ip address` lists in `[server] bind`, or 127.0.0.1.".to_owned(),
        ),
        _ => (
            Status::Problem,
            format!("Listening at {bind} failed ({error})."),
            "set another address in `[server] bind`.".to_owned(),
        ),
    }
}

/// The instance of the Kalmind that answers at an address, if one does.
fn kalmind_at(address: SocketAddr) -> Option<String> {
    let mut reached = address;
    if reached.ip().is_unspecified() {
        reached.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let mut stream = TcpStream::connect_timeout(&reached, ANSWER).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    write!(stream, "GET /v1/status HTTP/1.1\r\nHost: {reached}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES).read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let status: serde_json::Value = serde_json::from_str(body).ok()?;
    // where reading needs the token, the refusal says no more than that it is one
    let refused = status["code"] == "unauthorized" && status["type"] == "error";
    let instance = status["protocol"].is_number().then(|| status["instance"].as_str()).flatten();
    instance.map(str::to_owned).or_else(|| refused.then(|| "not told".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Configuration;

    fn of(bind: SocketAddr) -> Finding {
        let mut configuration = Configuration::default();
        configuration.server.bind = bind;
        ports(&Patient { configuration: &configuration, given: true })
    }

    #[test]
    fn a_port_that_another_program_holds_is_a_problem_with_the_command_that_names_it() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        // it accepts, and never says that it is a Kalmind
        let finding = of(address);
        assert_eq!(finding.status, Status::Problem, "{finding:?}");
        assert!(finding.found.contains("in use by another program"), "{finding:?}");
        assert!(finding.remedy.unwrap().contains(&format!("sport = :{}", address.port())));
    }

    #[test]
    fn a_foreign_address_is_a_problem() {
        // TEST-NET-1 (RFC 5737) belongs to nobody
        let finding = of("192.0.2.1:8765".parse().unwrap());
        assert_eq!(finding.status, Status::Problem, "{finding:?}");
        assert!(finding.found.contains("This machine has no address 192.0.2.1"), "{finding:?}");
    }

    #[test]
    fn too_few_ports_for_the_outlets_are_a_problem() {
        let mut configuration = Configuration::default();
        configuration.server.bind = "127.0.0.1:0".parse().unwrap();
        let held: Vec<_> = (0..200)
            .filter_map(|_| {
                let first = UdpSocket::bind("0.0.0.0:0").ok()?;
                let next = first.local_addr().ok()?.port().checked_add(1)?;
                Some((UdpSocket::bind(("0.0.0.0", next)).ok()?, first))
            })
            .take(1)
            .collect();
        configuration.lsl.base_port = Some(held[0].1.local_addr().unwrap().port());
        configuration.lsl.port_range = Some(2);
        let finding = ports(&Patient { configuration: &configuration, given: true });
        assert_eq!(finding.status, Status::Problem, "{finding:?}");
        assert_eq!(finding.details["lsl_free"], 0);
    }
}
