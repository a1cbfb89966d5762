//! When a mail is tried again.

use std::time::Duration;

use kit::clock::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// How long is waited after each failure; the last counts for all that follow.
const DELAYS: [u64; 8] = [MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR];

/// How long it is tried to send a mail, from when it was asked for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(24 * HOUR);

/// After so long nobody tries any more.
pub(crate) const KEPT: Duration = Duration::from_secs(25 * HOUR);

/// When a mail is tried again after so many attempts, the first is 1; none if that would be too late.
pub(crate) fn next_attempt(attempts: i64, created_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let index = usize::try_from(attempts).ok()?.checked_sub(1)?.min(DELAYS.len() - 1);
    let next = now.plus(Duration::from_secs(DELAYS[index]));
    (next <= created_at.plus(PATIENCE)).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_grow_rarer_and_end_after_a_day() {
        let created = Timestamp(0);
        let mut moments = vec![created];
        while let Some(next) = next_attempt(moments.len() as i64, created, moments[moments.len() - 1]) {
            moments.push(next);
        }
        let delays: Vec<i64> = moments.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        assert!(delays.is_sorted() && delays[0] == 60_000_000, "{delays:?}");
        let last = moments[moments.len() - 1].age(created).max(created.age(moments[moments.len() - 1]));
        assert!(last <= PATIENCE && last > PATIENCE - Duration::from_secs(4 * HOUR), "{last:?}");
        assert_eq!(next_attempt(0, created, created), None);
    }
}
