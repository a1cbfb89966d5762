//! Values that many threads count into at once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// From half a millisecond to ten seconds, in nanoseconds.
pub const SECONDS: &[u64] = &[
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Rises only; wraps at the end of 64 bits.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A counter for each of at most `N` labels, which appear when first counted; all further labels share one counter.
#[derive(Debug)]
pub struct Labelled<L, const N: usize> {
    slots: [OnceLock<(L, Counter)>; N],
    rest: Counter,
}

impl<L, const N: usize> Default for Labelled<L, N> {
    fn default() -> Self {
        Self { slots: [const { OnceLock::new() }; N], rest: Counter::default() }
    }
}

impl<L: Copy + PartialEq, const N: usize> Labelled<L, N> {
    /// So many more of this label: found in the order of first use, so what is frequent is mostly found at once.
    pub fn add(&self, label: L, count: u64) {
        let mut slots = self.slots.iter().map(|slot| slot.get_or_init(|| (label, Counter::default())));
        let found = slots.find(|(taken, _)| *taken == label);
        found.map_or(&self.rest, |(_, counter)| counter).add(count);
    }

    /// One more of this label.
    pub fn increment(&self, label: L) {
        self.add(label, 1);
    }

    /// What was counted so far by label; no label stands for all that found no place.
    pub fn counts(&self) -> impl Iterator<Item = (Option<L>, u64)> {
        let used = self.slots.iter().map_while(OnceLock::get);
        let rest = Some(self.rest.get()).filter(|count| *count > 0);
        used.map(|(label, counter)| (Some(*label), counter.get())).chain(rest.map(|count| (None, count)))
    }
}

/// How often a value was at most each of some bounds, and the sum of all values.
#[derive(Debug)]
pub struct Histogram {
    /// Rising, in the unit of measuring.
    bounds: &'static [u64],
    /// By how much that unit is smaller than the one that is shown.
    scale: u64,
    /// One for each bound, and one for what is larger.
    buckets: Box<[Counter]>,
    sum: Counter,
}

impl Histogram {
    /// Of times.
    pub fn of_times() -> Self {
        Self::new(SECONDS, 1_000_000_000)
    }

    /// Of whole numbers.
    pub fn of_numbers(bounds: &'static [u64]) -> Self {
        Self::new(bounds, 1)
    }

    fn new(bounds: &'static [u64], scale: u64) -> Self {
        let buckets = (0..=bounds.len()).map(|_| Counter::default()).collect();
        Self { bounds, scale, buckets, sum: Counter::default() }
    }

    /// Takes note of a time.
    pub fn observe_time(&self, time: Duration) {
        self.observe(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Takes note of a number; of a time it would be nanoseconds.
    pub fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(counter) = self.buckets.get(bucket) {
            counter.increment();
        }
        self.sum.add(value);
    }

    /// All that another of the same bounds has noted, too.
    pub fn add_all(&self, other: &Self) {
        for (bucket, noted) in self.buckets.iter().zip(&other.buckets) {
            bucket.add(noted.get());
        }
        self.sum.add(other.sum.get());
    }

    /// Each bound as it is shown, with how many values were at most that; the last has no bound.
    pub(crate) fn cumulative(&self) -> Vec<(Option<f64>, u64)> {
        let bounds = self.bounds.iter().map(|bound| Some(self.shown(*bound))).chain([None]);
        let counts = self.buckets.iter().scan(0, |total: &mut u64, bucket| {
            *total += bucket.get();
            Some(*total)
        });
        bounds.zip(counts).collect()
    }

    /// Whether nothing was noted yet.
    pub fn is_empty(&self) -> bool {
        self.buckets.iter().all(|bucket| bucket.get() == 0)
    }

    pub(crate) fn sum(&self) -> f64 {
        self.shown(self.sum.get())
    }

    fn shown(&self, value: u64) -> f64 {
        value as f64 / self.scale as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_appear_with_their_first_use_and_never_outgrow_their_places() {
        let counts = Labelled::<&str, 2>::default();
        assert_eq!(counts.counts().count(), 0);
        for label in ["a", "b", "a", "c", "d", "b", "a"] {
            counts.increment(label);
        }
        assert_eq!(
            counts.counts().collect::<Vec<_>>(),
            [(Some("a"), 3), (Some("b"), 2), (None, 2)],
            "c and d found no place"
        );
    }

    #[test]
    fn many_threads_lose_no_count() {
        let (counts, histogram) = (Labelled::<u64, 3>::default(), Histogram::of_numbers(&[1, 2]));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..10_000 {
                        counts.increment(number % 4);
                        histogram.observe(number % 4);
                    }
                });
            }
        });
        assert_eq!(counts.counts().map(|(_, count)| count).sum::<u64>(), 40_000);
        assert_eq!(histogram.cumulative(), [(Some(1.0), 20_000), (Some(2.0), 30_000), (None, 40_000)]);
        assert_eq!(histogram.sum(), 60_000.0);
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::of_times();
        for micros in [500, 501, 20_000_000] {
            histogram.observe_time(Duration::from_micros(micros));
        }
        let counts = histogram.cumulative();
        assert_eq!(counts[..2], [(Some(0.0005), 1), (Some(0.001), 2)]);
        assert_eq!(counts[13..], [(Some(10.0), 2), (None, 3)]);
        assert_eq!(histogram.sum(), 20.001_001);
    }
}
