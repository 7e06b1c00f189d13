//! A tick's three streams joined: its input, its features, and what was published of it.
//!
//! The recorder writes them one after the other, so a tick is whole once its cursor came. Where a part of a file was lost
//! a tick may be without features or cursor, and rows without their tick are passed over.

use std::{collections::VecDeque, mem};

use super::{
    TickDocument,
    item::{Item, RecordedTick},
};

/// Items in the order of the file, rows of ticks joined.
#[derive(Debug, Default)]
pub(super) struct Joined {
    items: VecDeque<Item>,
    /// The newest tick, until its cursor or something else comes.
    tick: Option<Box<RecordedTick>>,
}

impl Joined {
    /// The next whole item.
    pub(super) fn pop(&mut self) -> Option<Item> {
        self.items.pop_front()
    }

    /// Nothing more comes of the newest tick.
    pub(super) fn end_tick(&mut self) {
        self.items.extend(mem::take(&mut self.tick).map(Item::Tick));
    }

    /// Takes something that is no row of a tick.
    pub(super) fn item(&mut self, item: Item) {
        self.end_tick();
        self.items.push_back(item);
    }

    /// Takes a tick's input.
    pub(super) fn tick(&mut self, document: TickDocument<'static>) {
        self.end_tick();
        self.tick = Some(Box::new(RecordedTick { document, features: Vec::new(), cursor: None }));
    }

    /// Takes features, those of another tick apart.
    pub(super) fn features(&mut self, time: f64, values: &[f64]) {
        if let Some(tick) = &mut self.tick
            && tick.document.input.time.0.to_bits() == time.to_bits()
        {
            tick.features = values.to_vec();
        }
    }

    /// Takes what was published: the tick is whole.
    pub(super) fn cursor(&mut self, time: f64, values: &[f64]) {
        if let Some(tick) = &mut self.tick {
            tick.cursor = Some((time, values.to_vec()));
            self.end_tick();
        }
    }
}
