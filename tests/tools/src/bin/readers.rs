//! Many WebSocket readers in one program, for measuring what they cost: they read everything and answer pings.
//!
//! `cargo run --release -p kalmind-tools --bin readers -- ADDRESS READERS` prints `ready` when all have had `hello`
//! and a line of counts each second, and runs until it is ended.

use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{env, io, process::ExitCode, sync::Arc};

use futures_util::StreamExt as _;
use tokio::{task::JoinSet, time};
use tokio_tungstenite::{connect_async, tungstenite::Message};

#[derive(Debug, Default)]
struct Counts {
    messages: AtomicU64,
    gaps: AtomicU64,
}

#[expect(clippy::print_stderr, reason = "a program that people start by hand")]
fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let (Some(address), Some(Ok(readers))) =
        (arguments.next(), arguments.next().map(|text| text.parse::<usize>()))
    else {
        eprintln!("readers: ADDRESS READERS");
        return ExitCode::from(2);
    };
    match read(&address, readers) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("readers: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a program that people start by hand")]
#[tokio::main(flavor = "current_thread")]
async fn read(address: &str, readers: usize) -> io::Result<()> {
    let url = format!("ws://{address}/v1/state");
    let counts = Arc::new(Counts::default());
    let mut reading = JoinSet::new();
    for _ in 0..readers {
        let (mut socket, _) = connect_async(&url).await.map_err(io::Error::other)?;
        let hello = socket.next().await.transpose().map_err(io::Error::other)?;
        if hello.is_none() {
            return Err(io::Error::other("no hello"));
        }
        let counts = Arc::clone(&counts);
        reading.spawn(async move {
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Text(text) = message {
                    counts.messages.fetch_add(1, Ordering::Relaxed);
                    counts.gaps.fetch_add(u64::from(text.starts_with(r#"{"type":"gap""#)), Ordering::Relaxed);
                }
            }
        });
    }
    println!("ready");
    let mut seconds = time::interval(Duration::from_secs(1));
    while !reading.is_empty() {
        tokio::select! {
            _ = seconds.tick() => {
                let [messages, gaps] = [&counts.messages, &counts.gaps].map(|count| count.swap(0, Ordering::Relaxed));
                println!("{} readers, {messages} messages, {gaps} gaps", reading.len());
            }
            Some(_) = reading.join_next() => {}
        }
    }
    Err(io::Error::other("all were disconnected"))
}
