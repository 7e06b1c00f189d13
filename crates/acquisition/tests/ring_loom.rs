//! The ring and the pool under loom: every interleaving of two threads that the memory model allows.
//!
//! `cargo test -p kalmind-acquisition --features loom --test ring_loom --release`
#![cfg(feature = "loom")]

use kalmind_acquisition::pool::pool;
use kalmind_acquisition::ring::{Full, ring};
use kalmind_acquisition::{BlockSender, PullContext};
use kalmind_types::{LslTime, NumberFormat, SampleBlock, Samples, StreamTime};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

#[test]
fn values_come_out_in_order_and_once() {
    loom::model(|| {
        let (mut producer, mut consumer) = ring::<Box<u32>>(2);
        let pushing = thread::spawn(move || {
            let mut refused = Vec::new();
            for value in 0..3 {
                if let Err(Full(value)) = producer.push(Box::new(value)) {
                    refused.push(*value);
                }
            }
            refused
        });
        let mut popped = Vec::new();
        for _ in 0..2 {
            if let Some(value) = consumer.pop() {
                popped.push(*value);
            }
        }
        let refused = pushing.join().unwrap();
        while let Some(value) = consumer.pop() {
            popped.push(*value);
        }
        assert!(popped.is_sorted(), "{popped:?}");
        let mut all = [popped, refused].concat();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2], "each value is popped or given back");
    });
}

#[test]
fn what_is_left_inside_is_dropped_once() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    loom::model(|| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let (mut producer, mut consumer) = ring(2);
        let counter = Arc::clone(&dropped);
        let pushing = thread::spawn(move || {
            for _ in 0..3 {
                drop(producer.push(Counted(Arc::clone(&counter))));
            }
        });
        drop(consumer.pop());
        drop(consumer);
        pushing.join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn lengths_never_exceed_the_capacity() {
    loom::model(|| {
        let (mut producer, mut consumer) = ring(1);
        let pushing = thread::spawn(move || {
            for value in 0..2 {
                let _full = producer.push(value);
                assert!(producer.len() <= 1);
            }
        });
        for _ in 0..2 {
            assert!(consumer.len() <= 1);
            consumer.pop();
        }
        pushing.join().unwrap();
    });
}

#[test]
fn every_sample_is_in_a_block_or_in_the_gap_before_one() {
    loom::model(|| {
        let (writer, mut reader) = pool(1, || SampleBlock::with_capacity(NumberFormat::Int32, 1, 1));
        let sending = thread::spawn(move || {
            let mut sender = BlockSender::new(writer, 1);
            for index in 0..3 {
                sender.deliver(StreamTime(f64::from(index)), LslTime(0.0), |samples| {
                    if let Samples::Int32(values) = samples {
                        values.push(index);
                    }
                });
                sender.flush(PullContext::default());
            }
            sender.lost_so_far()
        });
        let (mut end, mut gaps, mut delivered) = (0, 0, 0);
        let mut read = |reader: &mut kalmind_acquisition::pool::PoolReader<SampleBlock>| {
            if let Some(block) = reader.receive() {
                assert_eq!(block.first_index, end + block.lost_before);
                assert_eq!(block.values, Samples::Int32(vec![i32::try_from(block.first_index).unwrap()]));
                end = block.end_index();
                gaps += block.lost_before;
                delivered += 1;
                reader.give_back(block);
            }
        };
        read(&mut reader);
        read(&mut reader);
        let lost_at_the_end = sending.join().unwrap();
        read(&mut reader);
        assert_eq!(delivered + gaps + lost_at_the_end, 3);
    });
}
