//! Limits that several processes count together. Each decides at once, by what it knows; what it let through it tells
//! the others ten times a second, by way of a store that all share, and learns from it what the others let through.
//! So no request waits for the store, and without it each process still limits by what it has counted itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Place, Seed, Table};
use crate::clock::Clock;
use crate::secret::Secret;
use crate::token::SigningKey;

/// How the limiters of a process count.
#[derive(Clone)]
pub struct Counting {
    /// The time of all of them.
    pub clock: Clock,
    together: Option<Arc<Together>>,
}

impl Counting {
    /// By what this process sees.
    pub fn alone(clock: Clock) -> Self {
        Self { clock, together: None }
    }

    /// With all processes that have the same secret, as long as somebody carries what the [`Together`] says.
    pub fn together(clock: Clock, secret: &Secret) -> (Self, Arc<Together>) {
        let key = SigningKey::derive(secret, "common limits");
        let together = Arc::new(Together { key, clock: clock.clone(), buckets: Mutex::default() });
        (Self { clock, together: Some(Arc::clone(&together)) }, together)
    }

    /// New buckets; those of one name are the same in all processes.
    pub(super) fn buckets(&self, name: &str, interval: Duration) -> Arc<Buckets> {
        let seed = self.together.as_ref().map_or_else(Seed::random, |together| together.seed(name));
        let buckets = Arc::new(Buckets {
            name: name.to_owned(),
            interval,
            whole_at: Table::seeded(seed, |whole_at, now| *whole_at <= now),
            untold: self.together.is_some().then(|| Table::seeded(seed, |_, _| false)),
        });
        if let Some(together) = &self.together {
            together.buckets.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&buckets));
        }
        buckets
    }
}

/// The limiters of this process that count together with those of others.
pub struct Together {
    key: SigningKey,
    clock: Clock,
    buckets: Mutex<Vec<Arc<Buckets>>>,
}

impl Together {
    /// Every limiter's buckets.
    pub fn buckets(&self) -> Vec<Arc<Buckets>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The time by which they count.
    pub fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// The same in all processes, and unknown to whoever might choose names to share an entry.
    fn seed(&self, name: &str) -> Seed {
        let code = self.key.sign(&[name.as_bytes()]);
        let mut seed = [0; 16];
        seed.copy_from_slice(&code[..16]);
        Seed(seed)
    }
}

/// The buckets of one limiter's clients.
pub struct Buckets {
    /// What the limiter is called, the same in all processes.
    pub name: String,
    interval: Duration,
    /// When each client's bucket is whole again, as far as is known here.
    whole_at: Table<Duration>,
    /// What the others haven't been told; nothing where this process counts alone.
    untold: Option<Table<Untold>>,
}

/// What was taken of one client's bucket since the others were last told.
#[derive(Clone, Copy, Default)]
struct Untold {
    /// When the first of it was taken.
    first: Duration,
    /// When the bucket was whole before that, as far as was known here.
    known: Duration,
    /// How many, less those put back.
    taken: i64,
}

/// What others learn of one client; times are in microseconds from now, mostly in the past and so negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Who it is, which tells nobody who it is.
    pub client: u64,
    /// When the first of what was taken was.
    pub first: i64,
    /// When the bucket was whole before that, as far as is known here.
    pub known: i64,
    /// How long what was taken takes to come back; negative where more was put back.
    pub taken: i64,
}

impl Buckets {
    pub(super) fn client(&self, client: &impl std::hash::Hash) -> u64 {
        self.whole_at.hash(client)
    }

    /// Looks at when a client's bucket is whole, and takes as many as `change` says, or puts back.
    pub(super) fn update<R>(
        &self,
        client: u64,
        now: Duration,
        change: impl FnOnce(&mut Duration, Place) -> (i64, R),
    ) -> R {
        self.whole_at.update_hashed(client, now, |whole_at, place| {
            let before = *whole_at;
            let (taken, result) = change(whole_at, place);
            // What all newcomers share who found no room is nobody's in particular.
            if let (true, Place::Own, Some(untold)) = (taken != 0, place, &self.untold) {
                untold.update_hashed(client, now, |untold, place| {
                    if place == Place::Own {
                        untold.add(taken, before, now);
                    }
                });
            }
            result
        })
    }

    /// What the others are to be told now. It is told once: where it is lost, the others don't learn of it.
    pub fn tell(&self, now: Duration) -> Vec<Told> {
        let from_now = |time| micros(time).saturating_sub(micros(now));
        let tell = |(client, untold): (u64, Untold)| Told {
            client,
            first: from_now(untold.first),
            known: from_now(untold.known),
            taken: self.coming_back(untold.taken),
        };
        self.untold.iter().flat_map(Table::drain).map(tell).collect()
    }

    /// Learns how long a client's bucket takes to be whole, with what this process told and all that others did. What
    /// was taken here since then comes on top.
    pub fn learn(&self, client: u64, whole_after: Duration, now: Duration) {
        self.whole_at.update_hashed(client, now, |whole_at, place| {
            if place == Place::Own {
                let untold = self.untold.as_ref().and_then(|untold| untold.get(client));
                let taken = untold.map_or(0, |untold| self.coming_back(untold.taken));
                let whole_after = micros(whole_after).saturating_add(taken);
                *whole_at = now + Duration::from_micros(u64::try_from(whole_after).unwrap_or(0));
            }
        });
    }

    /// How long so many take to come back, in microseconds.
    fn coming_back(&self, taken: i64) -> i64 {
        taken.saturating_mul(micros(self.interval))
    }
}

impl Untold {
    fn add(&mut self, taken: i64, known: Duration, now: Duration) {
        if self.taken == 0 {
            (self.first, self.known) = (now, known);
        }
        self.taken = self.taken.saturating_add(taken);
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::{Limiter, Rate};
    use super::*;

    const SECOND: i64 = 1_000_000;

    /// A limiter of ten at once and one a second, as if in a process of its own, and what it tells.
    fn process(secret: &str, name: &str) -> (Limiter, Arc<Buckets>, Clock) {
        let clock = Clock::stopped();
        let (counting, together) = Counting::together(clock.clone(), &Secret::new(secret));
        let limiter = Limiter::new(name, Rate::new(1, Duration::from_secs(1), 10), &counting);
        (limiter, together.buckets().remove(0), clock)
    }

    #[test]
    fn what_was_taken_is_told_once_with_when_it_began() {
        let (limiter, buckets, clock) = process("secret", "test");
        clock.advance(Duration::from_secs(100));
        limiter.take(&"ada");
        clock.advance(Duration::from_secs(2));
        limiter.take(&"ada");
        limiter.take(&"ada");
        limiter.give_back(&"ada");
        let now = Duration::from_secs(102);
        let told = buckets.tell(now);
        let client = buckets.client(&"ada");
        assert_eq!(told, [Told { client, first: -2 * SECOND, known: -102 * SECOND, taken: 2 * SECOND }]);
        assert_eq!(buckets.tell(now), []);
        limiter.take(&"ada");
        assert_eq!(buckets.tell(now), [Told { client, first: 0, known: SECOND, taken: SECOND }]);
    }

    #[test]
    fn what_is_learned_counts_and_what_was_taken_meanwhile_on_top() {
        let (limiter, buckets, clock) = process("secret", "test");
        limiter.take(&"ada");
        buckets.tell(Duration::ZERO);
        limiter.take(&"ada");
        buckets.learn(buckets.client(&"ada"), Duration::from_secs(6), Duration::ZERO);
        assert_eq!(limiter.look(&"ada").remaining, 3);
        assert_eq!(limiter.look(&"bob").remaining, 10);
        buckets.learn(buckets.client(&"ada"), Duration::from_secs(11), Duration::ZERO);
        let refused = limiter.take(&"ada");
        assert_eq!(
            (refused.allowed, refused.retry_after),
            (false, Duration::from_secs(3)),
            "12 of 10 are gone"
        );
        clock.advance(refused.retry_after);
        assert!(limiter.take(&"ada").allowed);
    }

    #[test]
    fn a_client_is_the_same_where_secret_and_name_are() {
        let client = |secret, name| process(secret, name).1.client(&"ada");
        assert_eq!(client("secret", "test"), client("secret", "test"));
        assert_ne!(client("secret", "test"), client("secret", "other"));
        assert_ne!(client("secret", "test"), client("another", "test"));
    }

    #[test]
    fn who_counts_alone_notes_nothing() {
        let counting = Counting::alone(Clock::stopped());
        let buckets = counting.buckets("test", Duration::from_secs(1));
        buckets.update(7, Duration::ZERO, |_, _| (1, ()));
        assert_eq!(buckets.tell(Duration::ZERO), []);
    }
}
