//! Channels that the streams' stages leave out because they are not healthy: told as events.

use kalmind_types::{ChannelFault, ChannelHealthEvent, ChannelOut, EventBody, LslTime};

use super::Desk;

impl Desk {
    /// Tells what has changed: an event for each fault and moment, with all the channels that it concerns.
    pub(super) fn follow_channels(&mut self) {
        for stages in &mut self.settings.stages {
            let changes = stages.monitor.channel_changes();
            if core::mem::replace(&mut stages.channel_changes, changes) == changes {
                continue;
            }
            let now = stages.monitor.channels_out();
            let before = core::mem::replace(&mut stages.channels_out, now.clone());
            for event in told(&stages.key, &before, &now, kalmind_acquisition::clock::now()) {
                if event.fault.is_some() {
                    tracing::warn!(stream = stages.key, "{}", event.message);
                } else {
                    tracing::info!(stream = stages.key, "{}", event.message);
                }
                self.events.publish(event.since, EventBody::ChannelHealth(event));
            }
        }
    }
}

/// What there is to tell where these channels were out before and those are now.
fn told(stream: &str, before: &[ChannelOut], now: &[ChannelOut], time: LslTime) -> Vec<ChannelHealthEvent> {
    let mut found: Vec<(Option<ChannelFault>, LslTime, Vec<String>)> = Vec::new();
    let mut note = |fault: Option<ChannelFault>, since: LslTime, channel: &ChannelOut| match found
        .iter_mut()
        .find(|(known, at, _)| (*known, *at) == (fault, since))
    {
        Some((_, _, channels)) => channels.push(channel.channel.clone()),
        None => found.push((fault, since, vec![channel.channel.clone()])),
    };
    for channel in before.iter().filter(|channel| now.iter().all(|out| out.index != channel.index)) {
        note(None, time, channel);
    }
    for channel in now.iter().filter(|channel| !before.contains(channel)) {
        note(Some(channel.fault), channel.since, channel);
    }
    let event = |(fault, since, channels)| ChannelHealthEvent::new(stream, channels, fault, since);
    found.into_iter().map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(index: usize, fault: ChannelFault, since: f64) -> ChannelOut {
        ChannelOut { index, channel: format!("elec{index}"), fault, since: LslTime(since) }
    }

    fn messages(before: &[ChannelOut], now: &[ChannelOut]) -> Vec<String> {
        told("array", before, now, LslTime(9.0)).into_iter().map(|event| event.message).collect()
    }

    #[test]
    fn channels_are_named_with_what_is_wrong_and_what_follows() {
        let flat = out(12, ChannelFault::Flat, 1.0);
        assert_eq!(
            messages(&[], std::slice::from_ref(&flat)),
            [
                "Channel elec12 of array is flat: an electrode may have come off, or an amplifier is off; it is left out until it recovers"
            ]
        );
        assert_eq!(messages(std::slice::from_ref(&flat), &[]), ["Channel elec12 of array is healthy again"]);
        assert!(messages(std::slice::from_ref(&flat), std::slice::from_ref(&flat)).is_empty());
    }

    #[test]
    fn channels_with_the_same_fault_are_told_together() {
        let nan: Vec<ChannelOut> = (0..10).map(|index| out(index, ChannelFault::Nan, 2.0)).collect();
        let both = [nan.clone(), vec![out(11, ChannelFault::Flat, 2.0)]].concat();
        let [first, second] = &messages(&[], &both)[..] else { panic!("two events") };
        assert!(first.starts_with(
            "Channels elec0, elec1, elec2, elec3, elec4, elec5, elec6, elec7 and 2 more of array are "
        ));
        assert!(second.starts_with("Channel elec11 of array is flat"));
    }

    #[test]
    fn a_channel_whose_fault_changes_is_told_once() {
        let told = told(
            "array",
            &[out(1, ChannelFault::Flat, 1.0)],
            &[out(1, ChannelFault::Nan, 4.0)],
            LslTime(9.0),
        );
        assert_eq!(
            told.iter().map(|event| (event.fault, event.since)).collect::<Vec<_>>(),
            [(Some(ChannelFault::Nan), LslTime(4.0))]
        );
    }
}
