//! A limiter as the client reads of it: the headers of draft-ietf-httpapi-ratelimit-headers-11, and the refusal.

use std::hash::Hash;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Counting, Decision, Limiter, Rate};
use crate::metrics::Text;
use crate::problem::Problem;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A limiter with a name.
pub struct Policy {
    limiter: Limiter,
    /// `"default";q=200;w=2`
    told: HeaderValue,
    /// `"default"`
    name: String,
}

impl Policy {
    /// A rate by its name, which is what the client reads; characters that can't stand there are left out.
    pub fn new(name: &str, rate: Rate, counting: &Counting) -> Self {
        let limiter = Limiter::new(name, rate, counting);
        let is_plain = |character: &char| matches!(character, ' '..='~') && !matches!(character, '"' | '\\');
        let name = format!("\"{}\"", name.chars().filter(is_plain).collect::<String>());
        let told = format!("{name};q={};w={}", limiter.burst(), whole_seconds(limiter.window()));
        let told = HeaderValue::try_from(told).unwrap_or(HeaderValue::from_static(""));
        Self { limiter, told, name }
    }

    /// As [`Limiter::take`]; whatever it says, [`Policy::tell`] says it to the client.
    pub fn take(&self, client: &impl Hash) -> Decision {
        self.limiter.take(client)
    }

    /// How many requests it has refused since the start.
    pub fn refused(&self) -> u64 {
        self.limiter.refused()
    }

    /// Writes the headers; they take the place of any that are there, so that there is one of each.
    pub fn tell(&self, decision: &Decision, headers: &mut HeaderMap) {
        headers.insert(RATE_LIMIT_POLICY, self.told.clone());
        if let Ok(now) = HeaderValue::try_from(self.now(decision)) {
            headers.insert(RATE_LIMIT, now);
        }
    }
}

impl Policy {
    /// `"default";r=199;t=1`; written piece by piece, since every answer has one.
    fn now(&self, decision: &Decision) -> String {
        let (mut remaining, mut time) = (itoa::Buffer::new(), itoa::Buffer::new());
        let parts =
            [&*self.name, ";r=", remaining.format(decision.remaining), ";t=", time.format(seconds(decision))];
        parts.concat()
    }
}

/// Writes how many requests a policy has refused since the start.
pub fn write_refused(policy: &str, refused: u64, text: &mut Text) {
    let help = "Requests refused with 429, by the rate that they passed.";
    text.counter("storehouse_rate_limited_total", help, &[("policy", policy)], refused);
}

/// What `t` says. Who is refused learns when to come back; who is not, until when the remaining requests must last,
/// after which there are as many again as the burst.
fn seconds(decision: &Decision) -> u64 {
    whole_seconds(if decision.allowed { decision.whole_after } else { decision.retry_after })
}

/// A time to wait in whole seconds, at least one: who comes back then is never early.
pub fn whole_seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

impl Decision {
    /// 429 to who was not allowed: when to come back, as `t` says it too.
    pub fn refusal(&self) -> Problem {
        Problem::rate_limited(seconds(self))
    }
}

#[cfg(test)]
mod tests {
    use http::header::RETRY_AFTER;

    use super::*;
    use crate::clock::Clock;

    fn policy(name: &str, requests: u32, per: u64, burst: u32) -> (Policy, Clock) {
        let clock = Clock::stopped();
        let rate = Rate::new(requests, Duration::from_secs(per), burst);
        (Policy::new(name, rate, &Counting::alone(clock.clone())), clock)
    }

    fn told(policy: &Policy) -> [String; 3] {
        let mut headers = HeaderMap::new();
        headers.insert(RATE_LIMIT, HeaderValue::from_static("somebody else's"));
        let decision = policy.take(&"client");
        policy.tell(&decision, &mut headers);
        if !decision.allowed {
            headers.extend(decision.refusal().render("id").headers().clone());
        }
        [RATE_LIMIT_POLICY, RATE_LIMIT, RETRY_AFTER]
            .map(|name| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned())
    }

    #[test]
    fn the_headers_say_what_is_left_and_for_how_long() {
        let (default, _) = policy("default", 100, 1, 200);
        assert_eq!(told(&default), ["\"default\";q=200;w=2", "\"default\";r=199;t=1", ""]);
        let (slow, clock) = policy("/auth/login", 10, 60, 2);
        assert_eq!(told(&slow), ["\"/auth/login\";q=2;w=12", "\"/auth/login\";r=1;t=6", ""]);
        assert_eq!(told(&slow)[1..], ["\"/auth/login\";r=0;t=12", ""]);
        assert_eq!(told(&slow)[1..], ["\"/auth/login\";r=0;t=6", "6"]);
        clock.advance(Duration::from_millis(5500));
        assert_eq!(told(&slow)[1..], ["\"/auth/login\";r=0;t=1", "1"]);
        clock.advance(Duration::from_millis(500));
        assert_eq!(told(&slow)[1..], ["\"/auth/login\";r=0;t=12", ""]);
    }

    #[test]
    fn a_name_never_breaks_the_header() {
        let (odd, _) = policy("/\u{e9}\"a\\\r\nb", 1, 1, 1);
        assert_eq!(told(&odd)[0], "\"/ab\";q=1;w=1");
    }

    #[test]
    fn who_paces_by_the_headers_is_never_refused() {
        for (requests, per, burst) in [(100, 1, 200), (7, 3, 2), (10, 60, 10), (1, 60, 1)] {
            let (policy, clock) = policy("default", requests, per, burst);
            let mut sent = 0;
            for _ in 0..50 {
                let mut decision = policy.take(&"client");
                for _ in 0..decision.remaining {
                    decision = policy.take(&"client");
                    assert!(decision.allowed, "{requests} in {per} s");
                }
                sent += 1;
                clock.advance(Duration::from_secs(seconds(&decision)));
                assert!(policy.limiter.look(&"client").remaining == burst);
            }
            assert_eq!((sent, policy.refused()), (50, 0));
        }
    }
}
