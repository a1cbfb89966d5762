//! When a delivery is tried again.

use std::time::Duration;

use uuid::Uuid;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// How long is waited after each failure: three days in all, and some hours.
const DELAYS: [u64; 10] =
    [5, MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];

/// How long to wait after so many attempts, the first is 1; nothing when it was the last. Up to a fifth more, by a number that each delivery has of itself, so that
/// what failed together doesn't come back together.
pub(crate) fn delay_after(attempts: i64, delivery: Uuid) -> Option<Duration> {
    let index = usize::try_from(attempts).ok()?.checked_sub(1)?;
    let delay = Duration::from_secs(*DELAYS.get(index)?);
    // The end of a UUIDv7 is random.
    let [.., high, low] = delivery.into_bytes();
    let part = u16::from_be_bytes([high, low]).rotate_left(u32::try_from(index).unwrap_or(0));
    Some(delay + delay / 5 * u32::from(part) / u32::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_over_three_days_and_end() {
        for end in [0_u128, 0x1234, 0xffff] {
            let delivery = Uuid::from_u128(end);
            let delays: Vec<Duration> = (1..).map_while(|attempts| delay_after(attempts, delivery)).collect();
            assert_eq!(delays.len(), DELAYS.len());
            assert!(delays.windows(2).all(|pair| pair[0] < pair[1]), "{delays:?}");
            for (delay, plain) in delays.iter().zip(DELAYS) {
                let part = delay.as_secs_f64() / plain as f64;
                assert!((1.0..=1.2).contains(&part), "{delay:?} of {plain}");
            }
        }
        let plain: u64 = DELAYS.iter().sum();
        assert!((3 * 24 * HOUR..4 * 24 * HOUR).contains(&plain));
        assert_ne!(delay_after(1, Uuid::from_u128(1)), delay_after(1, Uuid::from_u128(0x8000)));
        assert_eq!([delay_after(0, Uuid::nil()), delay_after(11, Uuid::nil())], [None, None]);
    }
}
