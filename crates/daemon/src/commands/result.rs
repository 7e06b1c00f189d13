//! What a command says when it has ended: its result on stdout, or why it failed on stderr.

use std::{io::Write as _, sync::mpsc, time::Duration};

use crate::{
    failure::{Failure, OrFail as _, Outcome},
    log,
};

/// How long whoever reads stdout may leave a result lying.
const RESULT_WITHIN: Duration = Duration::from_secs(5);

/// Prints a failure to stderr.
pub fn print_failure(failure: &Failure) {
    log::say(&format!("kalmind: {failure}"));
}

/// Prints a result on stdout, for a command that has ended its work: where nobody takes it, the program ends all the same.
///
/// # Errors
/// Exit code 1 where stdout is closed or has taken nothing for five seconds.
pub fn print_result(text: String) -> Outcome<()> {
    let (done, result) = mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name("kalmind-result".to_owned())
        .spawn(move || {
            let mut out = std::io::stdout().lock();
            // nobody listens any more where it took too long
            let _late = done.send(writeln!(out, "{text}").and_then(|()| out.flush()));
        })
        .or_work()?;
    match result.recv_timeout(RESULT_WITHIN) {
        Ok(written) => {
            written.map_err(|error| anyhow::anyhow!("the result cannot be printed: {error}")).or_work()
        }
        Err(_nobody_reads) => Err(anyhow::anyhow!("stdout was not read, so the result is lost")).or_work(),
    }
}
