//! Limits that several processes count together. Each decides at once, by what it knows; what it let through it tells
//! the others ten times a second, by way of a store that all share, and learns from it what the others let through.
//! So no request waits for the store, and without it each process still limits by what it has counted itself.

use std::hash::Hash;
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
    pub(super) fn buckets(&self, name: &str, interval: Duration, window: Duration) -> Arc<Buckets> {
        let seed = self.together.as_ref().map_or_else(Seed::random, |together| together.seed(name));
        let buckets = Arc::new(Buckets {
            name: name.to_owned(),
            window,
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
    /// How long it takes until a whole bucket that was emptied is whole again.
    pub window: Duration,
    /// How long one request's place in a bucket takes to come back.
    pub(super) interval: Duration,
    /// When each client's bucket is whole again, as far as is known here.
    whole_at: Table<Duration>,
    /// What the others haven't been told; nothing where this process counts alone.
    untold: Option<Table<Untold>>,
}

/// What became of one client's bucket since the others were last told: it is whole later by what was taken, and not
/// before `floor`.
#[derive(Clone, Copy, Default)]
struct Untold {
    /// How many were taken, less those put back.
    taken: i64,
    floor: Duration,
}

/// What others learn of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Who it is, which tells nobody who it is.
    pub client: u64,
    /// How much later the bucket is whole, in microseconds; negative where more was put back than taken.
    pub later: i64,
    floor: Duration,
}

impl Told {
    /// How long it takes at least until the bucket is whole, in microseconds; negative if it was whole before `now`.
    pub fn at_least(&self, now: Duration) -> i64 {
        micros(nanos(self.floor).saturating_sub(nanos(now)))
    }
}

impl Buckets {
    pub(super) fn client(&self, client: &impl Hash) -> u64 {
        self.whole_at.hash(client)
    }

    /// When a bucket is whole of which one more is taken.
    pub(super) fn one_taken(&self, whole_at: Duration, now: Duration) -> Duration {
        whole_at.max(now).saturating_add(self.interval)
    }

    /// When one is whole into which one is put back.
    pub(super) fn one_put_back(&self, whole_at: Duration) -> Duration {
        whole_at.saturating_sub(self.interval)
    }

    /// Looks at when a client's bucket is whole, and changes it; `change` says what was taken: one, none, or less one where it was put back.
    pub(super) fn update<R>(
        &self,
        client: u64,
        now: Duration,
        change: impl FnOnce(&mut Duration, Place) -> (i64, R),
    ) -> R {
        self.whole_at.update_hashed(client, now, |whole_at, place| {
            let (taken, result) = change(whole_at, place);
            // What all newcomers share who found no room is nobody's in particular.
            if taken != 0 && place == Place::Own {
                self.note(client, now, |untold| {
                    untold.taken = untold.taken.saturating_add(taken);
                    untold.floor = if taken > 0 {
                        self.one_taken(untold.floor, now)
                    } else {
                        self.one_put_back(untold.floor)
                    };
                });
            }
            result
        })
    }

    fn note(&self, client: u64, now: Duration, change: impl FnOnce(&mut Untold)) {
        let Some(untold) = &self.untold else { return };
        untold.update_hashed(client, now, |untold, place| {
            if place == Place::Own {
                change(untold);
            }
        });
    }

    /// Notes all that is known here, so that a store that has forgotten learns it with what is told next.
    pub fn note_all(&self, now: Duration) {
        self.whole_at.each(|client, whole_at| {
            if *whole_at > now {
                self.note(client, now, |untold| untold.floor = untold.floor.max(*whole_at));
            }
        });
    }

    /// What the others are to be told. It is told once: where it is lost, only [`Buckets::note_all`] tells it again.
    pub fn tell(&self) -> Vec<Told> {
        let tell = |(client, untold): (u64, Untold)| Told {
            client,
            later: micros(self.coming_back(untold.taken)),
            floor: untold.floor,
        };
        self.untold.iter().flat_map(Table::drain).map(tell).collect()
    }

    /// Learns how long a client's bucket takes to be whole, with what this process told and all that others did. What
    /// was taken here since then comes on top.
    pub fn learn(&self, client: u64, whole_after: Duration, now: Duration) {
        self.whole_at.update_hashed(client, now, |whole_at, place| {
            if place == Place::Own {
                let untold = self.untold.as_ref().and_then(|untold| untold.get(client)).unwrap_or_default();
                let learned = nanos(now.saturating_add(whole_after)) + self.coming_back(untold.taken);
                *whole_at = duration(learned).max(untold.floor);
            }
        });
    }

    /// How long so many take to come back, in nanoseconds.
    fn coming_back(&self, taken: i64) -> i128 {
        nanos(self.interval).saturating_mul(taken.into())
    }
}

fn nanos(time: Duration) -> i128 {
    i128::try_from(time.as_nanos()).unwrap_or(i128::MAX)
}

/// None where it would be negative: what is past doesn't count.
fn duration(nanos: i128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
}

fn micros(nanos: i128) -> i64 {
    i64::try_from(nanos / 1000).unwrap_or(if nanos > 0 { i64::MAX } else { i64::MIN })
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

    /// What is told of the one client there is: how much later, and at least how long from now, in seconds.
    fn told(buckets: &Buckets, clock: &Clock) -> Option<(i64, i64)> {
        let told = buckets.tell();
        assert!(told.len() < 2, "{told:?}");
        told.first().map(|told| (told.later / SECOND, told.at_least(clock.monotonic()) / SECOND))
    }

    #[test]
    fn what_was_taken_is_told_once_and_all_that_is_known_after_a_loss() {
        let (limiter, buckets, clock) = process("secret", "test");
        clock.advance(Duration::from_secs(100));
        limiter.take(&"ada");
        limiter.take(&"ada");
        clock.advance(Duration::from_secs(1));
        limiter.take(&"ada");
        limiter.give_back(&"ada");
        assert_eq!(told(&buckets, &clock), Some((2, 1)));
        assert_eq!(told(&buckets, &clock), None);
        limiter.give_back(&"ada");
        assert_eq!(told(&buckets, &clock), Some((-1, -101)));
        limiter.take(&"ada");
        buckets.note_all(clock.monotonic());
        assert_eq!(told(&buckets, &clock), Some((1, 1)));
        buckets.note_all(clock.monotonic());
        assert_eq!(told(&buckets, &clock), Some((0, 1)));
    }

    #[test]
    fn a_pause_between_two_requests_hides_neither() {
        let (limiter, buckets, clock) = process("secret", "test");
        limiter.take(&"ada");
        clock.advance(Duration::from_secs(7200));
        assert!((0..10).all(|_| limiter.take(&"ada").allowed));
        assert_eq!(told(&buckets, &clock), Some((11, 10)), "one was back long ago");
    }

    #[test]
    fn what_is_learned_counts_and_what_was_taken_meanwhile_on_top() {
        let (limiter, buckets, clock) = process("secret", "test");
        limiter.take(&"ada");
        buckets.tell();
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
        let buckets = counting.buckets("test", Duration::from_secs(1), Duration::from_secs(10));
        buckets.update(7, Duration::ZERO, |_, _| (1, ()));
        assert_eq!(buckets.tell(), []);
    }
}
