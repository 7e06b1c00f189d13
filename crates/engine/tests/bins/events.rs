//! Streams of events: when silence says that nothing happened.

use kalmind_engine::Binner;
use kalmind_types::{BinClose, Binning, IndexRange, LslTime, StreamHealth};

use super::{binner, block, close_all, samples, stream};

#[test]
fn silence_of_a_live_stream_of_events_is_no_event_and_that_of_a_lost_one_is_a_gap() {
    // the rate says how much room events need, and promises none
    let mut binner = binner(0.25, vec![stream(Binning::Events, None)]);
    let mut events = block(0, &[1.0, 1.125, 1.5]);
    events.health = StreamHealth::Live;
    binner.accept(0, events);
    let run = |first, end| vec![IndexRange { first, end }];
    // bins begin with the first event
    let ticks = close_all(&mut binner, 1.5);
    let taken: Vec<_> = ticks.iter().map(|tick| (samples(tick, 0), tick.incomplete)).collect();
    assert_eq!(taken, [(run(0, 2), false), (vec![], false)]);
    // that no more came is known once bins have waited
    assert!(close_all(&mut binner, 1.79).is_empty());
    let ticks = close_all(&mut binner, 2.06);
    let taken: Vec<_> = ticks.iter().map(|tick| (samples(tick, 0), tick.incomplete)).collect();
    assert_eq!(taken, [(run(2, 3), false), (vec![], false)]);
    binner.set_health(0, StreamHealth::Stalled);
    let ticks = close_all(&mut binner, 2.31);
    assert_eq!(
        ticks.iter().map(|tick| (tick.closed_by, tick.incomplete)).collect::<Vec<_>>(),
        [(BinClose::Deadline, true)]
    );
}

#[test]
fn silence_of_a_stream_of_events_that_come_late_is_no_count_of_zero() {
    let mut binner = binner(0.25, vec![stream(Binning::Events, None)]);
    let live = |first, stamps: &[f64], received| {
        let mut events = block(first, stamps);
        (events.health, events.received) = (StreamHealth::Live, LslTime(received));
        events
    };
    let incomplete = |binner: &mut Binner, now: f64| {
        close_all(binner, now).iter().map(|tick| tick.incomplete).collect::<Vec<_>>()
    };
    binner.accept(0, live(0, &[1.0, 1.125], 1.125));
    // nobody can know yet that an event of the second bin is on its way
    assert_eq!(incomplete(&mut binner, 1.56), [false, false]);
    binner.accept(0, live(2, &[1.375], 1.6));
    assert_eq!(binner.counts(0).late, 1);
    // now that it is known, silence is no zero, and a sample past a bin's end makes it whole
    assert_eq!(incomplete(&mut binner, 1.81), [true]);
    binner.accept(0, live(3, &[2.0], 2.01));
    assert_eq!(incomplete(&mut binner, 2.02), [false]);
    assert_eq!(incomplete(&mut binner, 6.5).iter().filter(|incomplete| !**incomplete).count(), 0);
    // five seconds later it has been in time for long enough
    assert_eq!(incomplete(&mut binner, 7.06).last(), Some(&false));
}

#[test]
fn events_that_are_only_out_of_order_or_from_before_the_start_leave_silence_to_be_believed() {
    let mut binner = binner(0.25, vec![stream(Binning::Events, None)]);
    let live = |first, stamps: &[f64]| {
        let mut events = block(first, stamps);
        (events.health, events.received) = (StreamHealth::Live, LslTime(1.27));
        events
    };
    binner.accept(0, live(0, &[1.0, 1.125, 1.25]));
    assert_eq!(close_all(&mut binner, 1.27).len(), 1);
    // a sorter that jitters
    binner.accept(0, live(3, &[1.249, 0.5]));
    assert_eq!(binner.counts(0).late, 2);
    let ticks = close_all(&mut binner, 2.06);
    assert!(ticks.len() == 3 && ticks.iter().all(|tick| !tick.incomplete), "{ticks:?}");
    // one from before the first bin, however late
    let mut early = live(5, &[0.5]);
    early.received = LslTime(2.07);
    binner.accept(0, early);
    assert_eq!(close_all(&mut binner, 2.31).iter().map(|tick| tick.incomplete).collect::<Vec<_>>(), [false]);
}
