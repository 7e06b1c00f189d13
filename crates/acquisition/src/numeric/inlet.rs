//! The handle of the threads that receive a numeric stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use kalmind_signal::ChainError;
use kalmind_types::SampleBlock;

use crate::companion::Companion;
use crate::monitor::StreamMonitor;
use crate::numeric::config::InletConfig;
use crate::numeric::delivery::{BlockSender, Senders};
use crate::numeric::derivation::Derivation;
use crate::numeric::generations::{GenerationControl, generations};
use crate::numeric::receiver::Receiver;
use crate::numeric::stages::Stages;
use crate::pool::{PoolReader, pool};
use crate::search::resolve::{ResolveError, checked_predicate};
use crate::waker::Waker;

/// Why an inlet could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The description is of a string stream; see [`MarkerInlet`](crate::MarkerInlet).
    #[error("stream {0:?} sends text, not numbers")]
    NotNumeric(String),
    /// The selector cannot be used.
    #[error(transparent)]
    Selector(#[from] ResolveError),
    /// The stream's stages cannot be built for it.
    #[error(transparent)]
    Stages(#[from] ChainError),
    /// The system gave no thread.
    #[error("no thread for the stream: {0}")]
    Thread(#[from] std::io::Error),
}

impl SpawnError {
    /// Whether the selector itself is wrong (see [`ResolveError::is_configuration`]), or the stages are.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Selector(error) => error.is_configuration(),
            Self::Stages(_) => true,
            Self::NotNumeric(_) | Self::Thread(_) => false,
        }
    }
}

/// A running inlet, to be taken apart so that each part goes where it is used.
#[derive(Debug)]
pub struct NumericInlet {
    /// Where the samples come out; for the tick thread.
    pub blocks: PoolReader<SampleBlock>,
    /// Where they come out as received for a recorder, if one is configured.
    pub recorded: Option<PoolReader<SampleBlock>>,
    /// Where those that `blocks` gives come out for a recorder, if one is configured and the stream has stages.
    pub derived: Option<PoolReader<SampleBlock>>,
    /// By which other generations of its stages are put in force, where the stream has stages.
    pub generations: Option<GenerationControl>,
    /// What is known of the stream; for anyone.
    pub status: Arc<StreamMonitor>,
    /// Ends the threads when it is dropped.
    pub guard: InletGuard,
}

/// Keeps an inlet's threads running; dropping it ends them and waits for that.
#[derive(Debug)]
pub struct InletGuard {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NumericInlet {
    /// Starts receiving; `waker` is woken after each block and each change of state.
    ///
    /// Returns at once: the connection is made by the new thread, and its progress shows in `status`.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn(config: InletConfig, waker: Waker) -> Result<Self, SpawnError> {
        let status = Arc::new(StreamMonitor::new(config.key.clone()));
        Self::spawn_under(config, waker, status)
    }

    /// As [`spawn`](Self::spawn), for a stream that has been shown as awaited: `status` is what it was shown by.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn_under(
        config: InletConfig,
        waker: Waker,
        status: Arc<StreamMonitor>,
    ) -> Result<Self, SpawnError> {
        let Some(format) = config.description.format else {
            return Err(SpawnError::NotNumeric(config.description.name));
        };
        let predicate = checked_predicate(&config.selector)?;
        let channels = config.description.channels;
        let samples = config.block_samples.max(1);
        let chain = config.stages.as_ref().map(Stages::chain).transpose()?;
        let raw = || SampleBlock::with_capacity(format, channels, samples);
        let derived = || chain.as_ref().map_or_else(raw, |chain| Stages::block(chain, samples));
        let (writer, blocks) = pool(config.blocks, derived);
        let tick = BlockSender::new(writer, samples);
        let records_raw = chain.is_none() || config.records_raw;
        let recorder = config.recorded_blocks.filter(|_| records_raw).map(|count| pool(count, raw));
        let recorder_of_derived = config
            .recorded_blocks
            .filter(|_| chain.is_some() && config.records_derived)
            .map(|count| pool(count, derived));
        let [(recorder, recorded), (derived, derived_recorded)] = [recorder, recorder_of_derived]
            .map(|ends| ends.map(|(writer, reader)| (BlockSender::new(writer, samples), reader)).unzip());
        let senders = Senders { tick, recorder, derived };
        let derivation = config.stages.as_ref().zip(chain).map(|(stages, chain)| {
            let (control, port) = generations();
            (control, Derivation::new(stages, chain, samples, config.on_given.clone(), port))
        });
        let (generations, derivation) = derivation.unzip();
        let stop = Arc::new(AtomicBool::new(false));
        let companion = Companion::spawn(&config.key, predicate.clone(), Arc::clone(&status))?;
        let monitor = Arc::clone(&status);
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name(format!("lsl {}", config.key)).spawn(move || {
            if let Some(on_start) = &config.on_start {
                (on_start.0)();
            }
            Receiver::new(config, predicate, senders, derivation, monitor, companion, waker, stopped).run();
        })?;
        Ok(Self {
            blocks,
            recorded,
            derived: derived_recorded,
            generations,
            status,
            guard: InletGuard { stop, thread: Some(thread) },
        })
    }
}

impl InletGuard {
    /// Ends the threads and waits for them: milliseconds while samples arrive, at most a few seconds while a dead outlet
    /// is being asked for its header.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("an acquisition thread panicked");
        }
    }
}

impl Drop for InletGuard {
    fn drop(&mut self) {
        self.stop();
    }
}
