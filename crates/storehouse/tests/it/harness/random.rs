//! Randomness that a failure can be repeated with.

use super::say;

/// A generator whose seed is told when the test fails; `TEST_SEED` sets it.
pub(crate) struct Random {
    /// What is told; nothing of one that another one's numbers make again.
    seed: Option<u64>,
    state: u64,
}

impl Random {
    pub(crate) fn new() -> Self {
        let given = std::env::var("TEST_SEED").ok().map(|seed| seed.parse().unwrap());
        let seed = given.unwrap_or_else(|| kit::clock::new_id().as_u64_pair().1);
        Self { seed: Some(seed), state: seed }
    }

    /// One of several that a test runs at once, with a seed of another's.
    pub(crate) fn from(seed: u64) -> Self {
        Self { seed: None, state: seed }
    }

    /// The next number (SplitMix64).
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to less than `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    /// A number from `low` to `high`.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.next() % u64::try_from(high - low + 1).unwrap()).unwrap()
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

impl Drop for Random {
    fn drop(&mut self) {
        if let Some(seed) = self.seed.filter(|_| std::thread::panicking()) {
            say(&format!("repeat it with TEST_SEED={seed}"));
        }
    }
}
