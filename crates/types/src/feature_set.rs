//! Sets of features, as the tick works with them.

#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "this runs on the tick"
)]

/// Some of a run's features: those without a value, those switched off, those that look unlike training.
///
/// As large as the run needs: its words are allocated once, where whoever owns it is built, and then only written over. A
/// set of fixed size that holds the most features that can be decoded would be 2 KiB to clear, copy and count in every
/// tick of a run with a hundred; so it is no `Copy` type and part of no tick's input or output, and its owner lends it out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureSet(Box<[u64]>);

impl FeatureSet {
    /// An empty set of up to so many features. The one call that allocates.
    #[must_use]
    pub fn none_of(features: usize) -> Self {
        Self(vec![0; features.div_ceil(64)].into_boxed_slice())
    }

    /// Adds a feature; one past the set's size is refused with `false`.
    pub fn insert(&mut self, feature: usize) -> bool {
        match self.0.get_mut(feature / 64) {
            Some(word) => {
                *word |= 1 << (feature % 64);
                true
            }
            None => false,
        }
    }

    /// Whether the feature is one of them.
    #[must_use]
    pub fn contains(&self, feature: usize) -> bool {
        self.0.get(feature / 64).is_some_and(|word| word & (1 << (feature % 64)) != 0)
    }

    /// Empties the set.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }

    /// Makes it the same as another of its size.
    pub fn copy_from(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word = *other);
    }

    /// Adds the features of another set.
    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }

    /// Takes the features of another set out.
    pub fn remove(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= !other);
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// How many of them are not in another set.
    #[must_use]
    pub fn count_outside(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).map(|(word, other)| (word & !other).count_ones() as usize).sum()
    }

    /// The features, rising.
    pub fn features(&self) -> impl Iterator<Item = usize> + '_ {
        ones(&self.0)
    }

    /// A bit a feature, 64 to a word.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.0
    }
}

impl FromIterator<u64> for FeatureSet {
    /// The set of these [`words`](Self::words).
    fn from_iter<I: IntoIterator<Item = u64>>(words: I) -> Self {
        Self(words.into_iter().collect())
    }
}

/// The places of the bits that are set, rising. A word without any costs one look.
pub(crate) fn ones(words: &[u64]) -> impl Iterator<Item = usize> + '_ {
    words.iter().enumerate().flat_map(|(at, word)| {
        let lowest_cleared = |rest: &u64| Some(rest & rest.wrapping_sub(1));
        let rests = core::iter::successors(Some(*word), lowest_cleared).take_while(|rest| *rest != 0);
        rests.map(move |rest| 64 * at + rest.trailing_zeros() as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_up_to_its_size() {
        let mut set = FeatureSet::none_of(16_384);
        let put = [0, 1, 63, 64, 1023, 1024, 16_383];
        assert!(put.iter().all(|feature| set.insert(*feature)));
        assert!(!set.insert(16_384) && !set.contains(16_384));
        assert_eq!(set.features().collect::<Vec<_>>(), put);
        assert_eq!(set.count(), put.len());
        assert!(put.iter().all(|feature| set.contains(*feature)) && !set.contains(2));
        assert_eq!(set.words().iter().copied().collect::<FeatureSet>(), set);
    }

    #[test]
    fn sets_are_joined_and_taken_apart() {
        let of = |features: &[usize]| {
            let mut set = FeatureSet::none_of(130);
            for feature in features {
                assert!(set.insert(*feature));
            }
            set
        };
        let mut set = of(&[1, 70]);
        set.add(&of(&[70, 129]));
        assert_eq!(set, of(&[1, 70, 129]));
        set.remove(&of(&[1, 2]));
        assert_eq!(set, of(&[70, 129]));
        set.copy_from(&of(&[5]));
        assert_eq!(set, of(&[5]));
        set.clear();
        assert_eq!((set.count(), set.features().next()), (0, None));
    }
}
