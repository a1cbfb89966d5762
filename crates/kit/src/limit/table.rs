//! What is remembered of each client, in bounded memory whatever is sent.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, Hasher as _, RandomState};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use siphasher::sip::SipHasher13;

/// Parts with a lock each, so that clients seldom wait for one another.
const SHARDS: usize = 64;

/// How many a part remembers: what a hash table of 2048 places takes, some 115,000 in all and 3 MB.
const ROOM: usize = 1792;

/// How often at most a full part looks for what it may forget.
const SWEEP_PAUSE: Duration = Duration::from_millis(100);

/// A `V` for each key. Only keys whose `V` says nothing any more are forgotten: who is limited stays limited,
/// however many others come.
pub struct Table<V> {
    /// Nobody knows it, so that nobody can choose keys that share an entry or a part.
    hasher: SipHasher13,
    is_over: fn(&V, Duration) -> bool,
    shards: Box<[Mutex<Shard<V>>]>,
}

struct Shard<V> {
    /// By the hash of the key, so that a long key takes no more room.
    entries: HashMap<u64, V>,
    /// What all keys share that found no room.
    crowd: V,
    swept: Duration,
}

/// What makes hashes of keys differ from those of whoever has another.
#[derive(Clone, Copy)]
pub(super) struct Seed(pub(super) [u8; 16]);

impl Seed {
    /// Differs in each process, and from table to table.
    pub(super) fn random() -> Self {
        let random = RandomState::new();
        let halves = [0_u8, 1].map(|half| u128::from(random.hash_one(half)));
        Self((halves[0] << 64 | halves[1]).to_ne_bytes())
    }
}

/// Where a key's `V` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In an entry of its own.
    Own,
    /// Shared with all other new keys of a full part.
    Crowd,
}

impl<V: Default> Table<V> {
    /// An empty table. `is_over(value, now)` tells that a value says no more than `V::default()`.
    pub fn new(is_over: fn(&V, Duration) -> bool) -> Self {
        Self::seeded(Seed::random(), is_over)
    }

    /// The same; tables of one seed have the same hashes.
    pub(super) fn seeded(seed: Seed, is_over: fn(&V, Duration) -> bool) -> Self {
        let shard =
            || Mutex::new(Shard { entries: HashMap::new(), crowd: V::default(), swept: Duration::ZERO });
        let hasher = SipHasher13::new_with_key(&seed.0);
        Self { hasher, is_over, shards: (0..SHARDS).map(|_| shard()).collect() }
    }

    pub(super) fn hash(&self, key: &impl Hash) -> u64 {
        let mut hasher = self.hasher;
        key.hash(&mut hasher);
        hasher.finish()
    }

    /// Looks at a key's value and changes it, at the moment `now`.
    pub fn update<R>(&self, key: &impl Hash, now: Duration, change: impl FnOnce(&mut V, Place) -> R) -> R {
        self.update_hashed(self.hash(key), now, change)
    }

    /// The same of the key with this hash.
    pub(super) fn update_hashed<R>(
        &self,
        hash: u64,
        now: Duration,
        change: impl FnOnce(&mut V, Place) -> R,
    ) -> R {
        let mut shard = self.shard(hash);
        if let Some(value) = shard.entries.get_mut(&hash) {
            return change(value, Place::Own);
        }
        if shard.has_room(now, self.is_over) {
            change(shard.entries.entry(hash).or_default(), Place::Own)
        } else {
            change(&mut shard.crowd, Place::Crowd)
        }
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard<V>> {
        // The hash table picks its place by a hash of its own, so these bits are free to pick the part.
        let shard = &self.shards[hash as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of the key with this hash, where it has one of its own.
    pub(super) fn get(&self, hash: u64) -> Option<V>
    where
        V: Copy,
    {
        self.shard(hash).entries.get(&hash).copied()
    }

    /// Shows every value that a key has of its own, with the key's hash.
    pub(super) fn each(&self, mut visit: impl FnMut(u64, &V)) {
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.entries.iter().for_each(|(hash, value)| visit(*hash, value));
        }
    }

    /// Takes all values out, each with its key's hash.
    pub(super) fn drain(&self) -> impl Iterator<Item = (u64, V)> {
        self.shards
            .iter()
            .flat_map(|shard| mem::take(&mut shard.lock().unwrap_or_else(PoisonError::into_inner).entries))
    }
}

impl<V> Shard<V> {
    fn has_room(&mut self, now: Duration, is_over: fn(&V, Duration) -> bool) -> bool {
        if self.entries.len() >= ROOM && now >= self.swept + SWEEP_PAUSE {
            self.swept = now;
            self.entries.retain(|_, value| !is_over(value, now));
        }
        self.entries.len() < ROOM
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value that counts, and is over after a second.
    #[derive(Default)]
    struct Count(u32, Duration);

    fn count(table: &Table<Count>, key: u32, now: Duration) -> (u32, Place) {
        table.update(&key, now, |count, place| {
            *count = Count(count.0 + 1, now + Duration::from_secs(1));
            (count.0, place)
        })
    }

    #[test]
    fn a_million_keys_take_bounded_room_and_none_is_forgotten_early() {
        let table = Table::new(|count: &Count, now| count.1 <= now);
        assert_eq!(count(&table, 0, Duration::ZERO), (1, Place::Own));
        let crowded =
            (1..1_000_000).filter(|key| count(&table, *key, Duration::ZERO).1 == Place::Crowd).count();
        assert_eq!(crowded, 1_000_000 - SHARDS * ROOM);
        assert_eq!(count(&table, 0, Duration::ZERO), (2, Place::Own));
        for shard in &table.shards {
            let shard = shard.lock().unwrap();
            assert_eq!((shard.entries.len(), shard.entries.capacity()), (ROOM, ROOM));
        }
    }

    #[test]
    fn what_is_over_makes_room() {
        let table = Table::new(|count: &Count, now| count.1 <= now);
        for key in 0..300_000 {
            count(&table, key, Duration::ZERO);
        }
        let later = Duration::from_secs(1);
        assert_eq!(count(&table, 300_000, later), (1, Place::Own));
    }
}
