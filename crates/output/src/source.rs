//! Where publications come from: the consumer's end of a queue that the tick thread fills.

use kalmind_types::Publication;

/// The consumer's end of a bounded single-producer, single-consumer queue of publications.
///
/// One publisher thread owns it. It parks while the queue is empty; whoever fills the queue unparks it (see
/// [`crate::Bridge::thread`] and [`crate::LslPublisher::thread`]). A full queue refuses the newest publication and
/// counts it.
pub trait PublicationSource: Send {
    /// The oldest publication that waits, or `None` at once. Must not block.
    fn next(&mut self) -> Option<Publication>;

    /// How many publications the full queue has refused so far.
    fn missed(&self) -> u64;
}
