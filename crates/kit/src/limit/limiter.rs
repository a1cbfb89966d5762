//! One rate for many clients: a token bucket for each, kept as one number (GCRA).

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use super::{Buckets, Counting, Place, Rate};
use crate::clock::Clock;
use crate::metrics::Counter;

/// Counts requests of many clients against one rate. Where its table is full, all new clients of a part share one
/// bucket: being forgotten or unknown gives nobody a full one.
pub struct Limiter {
    clock: Clock,
    burst: u32,
    limits_crowd: bool,
    buckets: Arc<Buckets>,
    refused: Counter,
}

/// What a limiter says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may go on; a refused one doesn't count.
    pub allowed: bool,
    /// How many more may follow at once.
    pub remaining: u32,
    /// How long until the next may: zero if it may now.
    pub retry_after: Duration,
    /// How long until as many as the burst may.
    pub whole_after: Duration,
}

impl Limiter {
    /// Everybody's bucket is whole. Where processes count together, limiters of one name are one.
    pub fn new(name: &str, rate: Rate, counting: &Counting) -> Self {
        let interval = (rate.per / rate.requests.get()).max(Duration::from_nanos(1));
        let burst = rate.burst.get();
        Self {
            clock: counting.clock.clone(),
            burst,
            limits_crowd: true,
            buckets: counting.buckets(name, interval, interval.saturating_mul(burst)),
            refused: Counter::default(),
        }
    }

    /// Where the table is full, new clients are not limited instead of sharing a bucket: for what others can spend.
    #[must_use]
    pub fn sparing_the_crowd(self) -> Self {
        Self { limits_crowd: false, ..self }
    }

    /// Takes one request's place out of the client's bucket, unless it is empty.
    pub fn take(&self, client: &impl Hash) -> Decision {
        let decision = self.decide(client, true);
        if !decision.allowed {
            self.refused.increment();
        }
        decision
    }

    /// What [`Limiter::take`] would say, taking nothing.
    pub fn look(&self, client: &impl Hash) -> Decision {
        self.decide(client, false)
    }

    fn decide(&self, client: &impl Hash, takes: bool) -> Decision {
        let now = self.clock.monotonic();
        self.buckets.update(self.buckets.client(client), now, |whole_at, place| {
            if place == Place::Crowd && !self.limits_crowd {
                return (0, self.decision(true, now, now));
            }
            let taken = self.buckets.one_taken(*whole_at, now);
            let allowed = taken <= now.saturating_add(self.window());
            let takes = takes && allowed;
            if takes {
                *whole_at = taken;
            }
            (i64::from(takes), self.decision(allowed, *whole_at, now))
        })
    }

    /// Puts back what one [`Limiter::take`] took.
    pub fn give_back(&self, client: &impl Hash) {
        self.buckets.update(self.buckets.client(client), self.clock.monotonic(), |whole_at, _| {
            *whole_at = self.buckets.one_put_back(*whole_at);
            (-1, ())
        });
    }

    /// How many it has refused since the start.
    pub fn refused(&self) -> u64 {
        self.refused.get()
    }

    /// How many may come at once after a rest.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// How long a spent burst takes to be whole again.
    pub fn window(&self) -> Duration {
        self.buckets.window
    }

    fn decision(&self, allowed: bool, whole_at: Duration, now: Duration) -> Decision {
        let whole_after = whole_at.saturating_sub(now);
        let interval = self.buckets.interval;
        let free = self.window().saturating_sub(whole_after);
        let remaining = free.as_nanos() / interval.as_nanos();
        Decision {
            allowed,
            remaining: u32::try_from(remaining).unwrap_or(self.burst),
            // Where processes count together, more may have been taken than there was.
            retry_after: whole_after.saturating_add(interval).saturating_sub(self.window()),
            whole_after,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Still but for what a test advances it by.
    fn limiter(rate: Rate) -> (Limiter, Clock) {
        let clock = Clock::stopped();
        (Limiter::new("test", rate, &Counting::alone(clock.clone())), clock)
    }

    /// Numbers that look random, the same each time (Knuth's MMIX generator).
    fn numbers(seed: u64) -> impl Iterator<Item = u64> {
        std::iter::successors(Some(seed), |last| {
            Some(last.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
        })
        .map(|number| number >> 33)
    }

    /// The same rule, told with tokens that drip into a bucket.
    struct Bucket {
        nanos: u128,
        at: Duration,
    }

    impl Bucket {
        fn drip(&mut self, now: Duration, rate: &Rate) {
            let full = interval(rate) * u128::from(rate.burst.get());
            self.nanos = full.min(self.nanos + (now - self.at).as_nanos());
            self.at = now;
        }
    }

    fn interval(rate: &Rate) -> u128 {
        (rate.per / rate.requests.get()).as_nanos()
    }

    #[test]
    fn it_decides_as_buckets_of_tokens_do() {
        for (seed, rate) in [
            (1, Rate::new(100, Duration::from_secs(1), 200)),
            (2, Rate::new(10, Duration::from_secs(60), 10)),
            (3, Rate::new(7, Duration::from_secs(3), 1)),
        ] {
            let (limiter, clock) = limiter(rate);
            let full = interval(&rate) * u128::from(rate.burst.get());
            let mut buckets = [0; 3].map(|_| Bucket { nanos: full, at: Duration::ZERO });
            let mut now = Duration::ZERO;
            let mut random = numbers(seed);
            for _ in 0..20_000 {
                let mut next = |below: u64| random.next().unwrap() % below;
                // Whole microseconds, since that is what a test's clock moves by.
                let pause = if next(3) > 0 { 0 } else { next(interval(&rate) as u64 / 250) };
                clock.advance(Duration::from_micros(pause));
                now += Duration::from_micros(pause);
                let client = next(3);
                let bucket = &mut buckets[client as usize];
                bucket.drip(now, &rate);
                if next(10) == 0 {
                    limiter.give_back(&client);
                    bucket.nanos = full.min(bucket.nanos + interval(&rate));
                    continue;
                }
                let allowed = bucket.nanos >= interval(&rate);
                assert_eq!(limiter.look(&client).allowed, allowed);
                let decision = limiter.take(&client);
                bucket.nanos -= if allowed { interval(&rate) } else { 0 };
                assert_eq!(decision.allowed, allowed);
                assert_eq!(u128::from(decision.remaining), bucket.nanos / interval(&rate));
                assert_eq!(decision.retry_after.as_nanos(), interval(&rate).saturating_sub(bucket.nanos));
                assert_eq!(decision.whole_after.as_nanos(), full - bucket.nanos);
            }
        }
    }

    #[test]
    fn over_the_rate_the_rate_still_gets_through() {
        let (limiter, clock) = limiter(Rate::new(5, Duration::from_secs(1), 5));
        let mut admitted = 0;
        for _ in 0..1000 {
            admitted += u32::from(limiter.take(&"eager").allowed);
            clock.advance(Duration::from_millis(10));
        }
        assert_eq!(admitted, 5 + 5 * 10 - 1, "the burst, then five a second, to the last step before 10 s");
        assert_eq!(limiter.refused(), u64::from(1000 - admitted));
    }

    #[test]
    fn who_is_limited_stays_limited_whoever_else_comes() {
        let (limiter, clock) = limiter(Rate::new(1, Duration::from_secs(60), 2));
        assert!(limiter.take(&0_u32).allowed && limiter.take(&0_u32).allowed);
        let admitted = (1..300_000_u32).filter(|key| limiter.take(key).allowed).count();
        assert!(admitted < 116_000, "{admitted}");
        assert!(!limiter.take(&0_u32).allowed, "its entry is not given up");
        assert!(!limiter.take(&300_001_u32).allowed, "a new one has a share in a spent bucket");
        clock.advance(Duration::from_secs(120));
        assert!(limiter.take(&300_001_u32).allowed && limiter.take(&300_001_u32).allowed);
    }

    #[test]
    fn threads_together_get_no_more_than_the_rate() {
        let (limiter, clock) = limiter(Rate::new(100, Duration::from_secs(1), 200));
        for expected in [200, 50] {
            let admitted: usize = thread::scope(|scope| {
                let run = || (0..1000).filter(|_| limiter.take(&"everybody").allowed).count();
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(run)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(admitted, expected);
            clock.advance(Duration::from_millis(500));
        }
    }

    #[test]
    fn a_crowd_that_is_spared_is_not_limited() {
        let (limiter, _) = limiter(Rate::new(1, Duration::from_secs(60), 1));
        let limiter = limiter.sparing_the_crowd();
        for client in 0..300_000 {
            limiter.take(&client);
        }
        let known = (0..300_000).filter(|client| !limiter.look(client).allowed).count();
        assert_eq!(known, 64 * 1792, "whoever has a bucket is");
        let newcomer = 300_000;
        assert!((0..10).all(|_| limiter.take(&newcomer).allowed));
    }
}
