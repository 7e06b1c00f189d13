//! Stages that are too slow, or fail, in the thread that receives a stream; put there as another generation of its stages.

use std::time::Duration;

use kalmind_acquisition::clock::Deadline;
use kalmind_acquisition::{GenerationNews, NextGeneration, Stages};
use kalmind_signal::{
    Chain, ChainSettings, IdentitySettings, Rows, Signal, Stage, StageSettings, StateError, StateReader,
    StateWriter,
};
use kalmind_types::{GenerationId, Samples, Seconds, StreamHealth};
use serde_json::json;

use crate::harness::{Outlet, Reader, in_own_session, stream, with};

/// So low that no gap is filled: what comes out is what went in.
const RATE_HZ: f64 = 150.0;

/// Samples as they are, and what goes wrong with each row.
#[derive(Debug)]
struct Faulty {
    signal: Signal,
    fault: fn(),
}

impl Stage for Faulty {
    fn signal(&self) -> &Signal {
        &self.signal
    }

    fn delay(&self) -> u64 {
        0
    }

    fn settling(&self) -> u64 {
        0
    }

    fn restart(&mut self) {}

    fn process(&mut self, input: &Rows, output: &mut Rows) {
        for row in input.iter() {
            (self.fault)();
            output.push_like(row);
        }
    }

    fn state_bytes(&self) -> usize {
        0
    }

    fn save(&self, _state: &mut StateWriter<'_>) {}

    fn load(&mut self, _state: &mut StateReader<'_>) -> Result<(), StateError> {
        Ok(())
    }
}

/// Takes half as long again as a sample takes to come.
fn slow() {
    let over = Deadline::after(Seconds(1.5 / RATE_HZ));
    while !over.passed() {
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

fn stages(generation: u8) -> Stages {
    Stages {
        settings: ChainSettings(vec![StageSettings::Identity(IdentitySettings {})]),
        generation: GenerationId([generation; 32]),
        raw: Signal::raw(RATE_HZ, ["a", "b"].map(|label| (label.to_owned(), String::new()))),
        channel_health: false,
        unwatched: Vec::new(),
    }
}

/// A stream of samples as they are, and its outlet.
fn begin() -> (Outlet, Reader) {
    let mut outlet = Outlet::start(&with(stream("Array"), &json!({ "rate": RATE_HZ })));
    let mut reader = Reader::with("Array", |config| config.stages = Some(stages(0)));
    outlet.wait_for_consumer();
    outlet.run(40);
    reader.read_until_received(40);
    (outlet, reader)
}

fn follow_with(reader: &mut Reader, chain: Chain) {
    let control = reader.inlet.generations.as_mut().expect("it has stages");
    assert!(control.send(NextGeneration { chain: Box::new(chain), at: 0 }).is_ok());
}

fn faulty(generation: u8, fault: fn()) -> Chain {
    let stage = Faulty { signal: stages(0).raw, fault };
    Chain::of(vec![Box::new(stage)], GenerationId([generation; 32]), 64).expect("a chain")
}

#[test]
fn stages_slower_than_the_samples_are_overloaded_until_others_follow_them() {
    in_own_session("stages::stages_slower_than_the_samples_are_overloaded_until_others_follow_them", || {
        let (mut outlet, mut reader) = begin();
        follow_with(&mut reader, faulty(1, slow));
        outlet.order("run 400");
        reader.read_until_health(StreamHealth::Overloaded);
        let detail = reader.status().detail.expect("what is wrong");
        assert!(detail.contains("its stages take longer than its samples take to come"), "{detail}");
        follow_with(&mut reader, stages(2).chain().expect("a chain"));
        outlet.expect("pushed");
        outlet.order("run 1000");
        reader.read_until_health(StreamHealth::Live);
        outlet.expect("pushed");
        reader.read_until_received(1440);
        reader.check_accounts();
        let numbers: Vec<u32> = reader.blocks.iter().map(|block| block.generation).collect();
        assert!(numbers.is_sorted() && numbers.last() == Some(&2), "{numbers:?}");
        let control = reader.inlet.generations.as_mut().expect("it has stages");
        let (mut in_force, mut retired) = (Vec::new(), 0);
        while let Some(news) = control.news() {
            match news {
                GenerationNews::InForce { number, first, .. } => in_force.push((number, first)),
                GenerationNews::Retired(_) => retired += 1,
                GenerationNews::Started { .. } | GenerationNews::Refused(_) => {}
            }
        }
        // each is in force from the first sample of its first block
        let first = |number| reader.blocks.iter().find(|block| block.generation == number);
        let expected: Vec<_> =
            [1, 2].map(|number| (number, first(number).expect("a block").first_index)).into();
        assert_eq!((in_force, retired), (expected, 2));
    });
}

#[test]
fn a_stage_that_panics_is_a_fault_and_what_it_was_given_is_counted() {
    in_own_session("stages::a_stage_that_panics_is_a_fault_and_what_it_was_given_is_counted", || {
        let (mut outlet, mut reader) = begin();
        assert!(!reader.inlet.status.take_fault());
        follow_with(&mut reader, faulty(1, || panic!("as asked for")));
        outlet.order("run 100");
        reader.read_until_health(StreamHealth::Fault);
        let detail = reader.status().detail.expect("what is wrong");
        assert!(detail.contains("one of its stages failed"), "{detail}");
        outlet.expect("pushed");
        reader.read_until_received(140);
        assert!(reader.inlet.status.take_fault() && !reader.inlet.status.take_fault());
        let counts = reader.inlet.status.counts();
        let delivered: usize = reader.blocks.iter().map(|block| block.stamps.len()).sum();
        assert_eq!(counts.dropped, 100, "{counts:?}");
        assert_eq!(counts.received, counts.dropped + delivered as u64, "{counts:?}");
        assert!(reader.blocks.iter().all(|block| matches!(block.values, Samples::Double64(_))));
    });
}
