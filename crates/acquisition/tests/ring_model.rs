//! The ring and the pool against plain models, over arbitrary sequences of calls, and between two real threads.
#![cfg(not(feature = "loom"))]

use std::collections::VecDeque;

use kalmind_acquisition::pool::pool;
use kalmind_acquisition::ring::{Full, ring};
use kalmind_acquisition::{BlockSender, PullContext};
use kalmind_types::{LslTime, NumberFormat, SampleBlock, Samples, StreamTime};
use proptest::prelude::*;

proptest! {
    #[test]
    fn the_ring_is_a_bounded_queue(capacity in 1_usize..9, pushes in prop::collection::vec(any::<bool>(), 0..400)) {
        let (mut producer, mut consumer) = ring(capacity);
        let mut model = VecDeque::new();
        for (value, push) in pushes.into_iter().enumerate() {
            if push {
                let pushed = producer.push(Box::new(value));
                if model.len() < capacity {
                    model.push_back(value);
                    prop_assert_eq!(pushed, Ok(()));
                } else {
                    prop_assert_eq!(pushed, Err(Full(Box::new(value))));
                }
            } else {
                prop_assert_eq!(consumer.pop().map(|value| *value), model.pop_front());
            }
            prop_assert_eq!(producer.len(), model.len());
            prop_assert_eq!(consumer.len(), model.len());
            prop_assert_eq!(consumer.is_empty(), model.is_empty());
        }
    }

    /// What acquisition and a tick thread that falls behind by any amount do to each other.
    #[test]
    fn sent_is_received_plus_counted_gaps(
        blocks in 1_usize..6,
        room in 1_usize..5,
        // 0: a sample, 1: a sample that is refused, 2: end of a pull, 3: the reader takes a block, 4: it gives one back
        calls in prop::collection::vec(0_u8..5, 0..600),
    ) {
        let (writer, mut reader) = pool(blocks, || SampleBlock::with_capacity(NumberFormat::Int64, 1, room));
        let mut sender = BlockSender::new(writer, room);
        let (mut sent, mut held) = (0_i64, VecDeque::new());
        let (mut end, mut gaps, mut received) = (0_u64, 0_u64, 0_u64);
        let mut take = |block: &SampleBlock| {
            assert_eq!(block.first_index, end + block.lost_before);
            assert!(!block.is_empty() && block.len() <= room);
            let expected: Vec<_> = (block.first_index..block.end_index()).map(u64::cast_signed).collect();
            assert_eq!(&block.values, &Samples::Int64(expected));
            end = block.end_index();
            gaps += block.lost_before;
            received += block.len() as u64;
        };
        for call in calls {
            match call {
                0 => {
                    let value = sent;
                    sender.deliver(StreamTime(value as f64), LslTime(0.0), |samples| {
                        if let Samples::Int64(values) = samples {
                            values.push(value);
                        }
                    });
                    sent += 1;
                    if sender.is_full() {
                        sender.flush(PullContext::default());
                    }
                }
                1 => {
                    sender.lose(PullContext::default());
                    sent += 1;
                }
                2 => {
                    sender.flush(PullContext::default());
                }
                3 => {
                    if let Some(block) = reader.receive() {
                        take(&block);
                        held.push_back(block);
                    }
                }
                _ => {
                    if let Some(block) = held.pop_front() {
                        reader.give_back(block);
                    }
                }
            }
        }
        sender.flush(PullContext::default());
        while let Some(block) = reader.receive() {
            take(&block);
        }
        prop_assert_eq!(sent as u64, received + gaps + sender.lost_so_far());
        prop_assert_eq!(sent as u64, sender.next_index());
    }
}

#[test]
fn two_threads_pass_a_million_values_in_order() {
    let (mut producer, mut consumer) = ring(64);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for value in 0..1_000_000_u32 {
                let mut value = value;
                while let Err(Full(back)) = producer.push(value) {
                    value = back;
                    std::thread::yield_now();
                }
            }
        });
        for expected in 0..1_000_000 {
            let value = loop {
                match consumer.pop() {
                    Some(value) => break value,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!(value, expected);
        }
    });
    assert!(consumer.pop().is_none());
}

#[test]
fn the_pool_never_allocates_anew() {
    let (mut writer, mut reader) = pool(2, Vec::<u8>::new);
    let mut addresses = std::collections::HashSet::new();
    for _ in 0..100 {
        let item = writer.claim().expect("two are free");
        addresses.insert(std::ptr::from_ref(&*item) as usize);
        writer.send(item);
        let item = reader.receive().expect("one was sent");
        reader.give_back(item);
    }
    assert_eq!(addresses.len(), 2);
    let (first, second) = (writer.claim(), writer.claim());
    assert!(first.is_some() && second.is_some() && writer.claim().is_none(), "a pool does not grow");
}
