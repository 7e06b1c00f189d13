//! Channels that a stream's stages leave out, as they are shown.

use kalmind_signal::DerivedStream;
use kalmind_types::{ChannelFault, ChannelOut, LslTime};

use crate::monitor::StreamMonitor;

/// Which channels were out when that was last shown, and since when. Belongs to the data thread; allocates where something has
/// changed.
#[derive(Debug)]
pub(crate) struct ChannelsOut {
    names: Vec<String>,
    changes: u64,
    since: Vec<Option<(ChannelFault, LslTime)>>,
}

impl ChannelsOut {
    pub(crate) fn new(names: Vec<String>) -> Self {
        let since = vec![None; names.len()];
        Self { names, changes: 0, since }
    }

    /// Shows what has changed by now.
    pub(crate) fn show(&mut self, stream: &DerivedStream, monitor: &StreamMonitor, now: LslTime) {
        let Some((changes, faults)) = stream.channel_faults() else { return };
        if core::mem::replace(&mut self.changes, changes) == changes {
            return;
        }
        for (since, fault) in self.since.iter_mut().zip(faults) {
            if since.map(|(fault, _)| fault) != fault {
                *since = fault.map(|fault| (fault, now));
            }
        }
        let all = self.names.iter().zip(&self.since).enumerate();
        let out = all.filter_map(|(index, (channel, since))| {
            let (fault, since) = (*since)?;
            Some(ChannelOut { index, channel: channel.clone(), fault, since })
        });
        monitor.set_channels_out(out.collect());
    }
}
