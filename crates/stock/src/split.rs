//! Where a quantity is taken from: MAIN first, then the other locations by priority; what nobody has is backordered at MAIN.

use crate::model::{Level, MAIN};

/// How much is allocated at each of a product's levels, in their order; or else how much there is to have. Where one location owes more than it
/// has, the others can't promise all of theirs, so what counts is what there is in all.
pub(crate) fn allocation(levels: &[Level], quantity: i64) -> Result<Vec<i64>, i64> {
    let available = levels.iter().map(|level| level.free() + level.backorder_limit).sum::<i64>().max(0);
    if quantity > available {
        return Err(available);
    }
    let mut parts = taken(levels, quantity, |level| level.free());
    let mut missing = quantity - parts.iter().sum::<i64>();
    for (level, part) in levels.iter().zip(&mut parts) {
        let backordered = (level.room() - *part).clamp(0, missing);
        *part += backordered;
        missing -= backordered;
    }
    Ok(parts)
}

/// So much of each level, in their order, as there is and as is still wanted.
pub(crate) fn taken(levels: &[Level], quantity: i64, available: impl Fn(&Level) -> i64) -> Vec<i64> {
    let mut wanted = quantity;
    let take = |level: &Level| {
        let part = available(level).clamp(0, wanted);
        wanted -= part;
        part
    };
    levels.iter().map(take).collect()
}

/// The key that puts a product's levels in the order in which orders are filled.
pub(crate) fn fill_order(level: &Level, priority: i64, code: &str) -> (uuid::Uuid, bool, i64, String) {
    (level.product_id, level.location_id != MAIN, priority, code.to_owned())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn levels(figures: &[(i64, i64, i64, i64)]) -> Vec<Level> {
        let level =
            |(index, (on_hand, allocated, unavailable, backorder_limit)): (usize, &(i64, i64, i64, i64))| {
                Level {
                    on_hand: *on_hand,
                    allocated: *allocated,
                    unavailable: *unavailable,
                    backorder_limit: *backorder_limit,
                    ..Level::empty(Uuid::nil(), Uuid::from_u128(index as u128))
                }
            };
        figures.iter().enumerate().map(level).collect()
    }

    #[test]
    fn the_first_location_is_emptied_before_the_next() {
        let levels = levels(&[(5, 1, 1, 0), (0, 0, 0, 0), (10, 0, 0, 0)]);
        assert_eq!(allocation(&levels, 3), Ok(vec![3, 0, 0]));
        assert_eq!(allocation(&levels, 10), Ok(vec![3, 0, 7]));
        assert_eq!(allocation(&levels, 13), Ok(vec![3, 0, 10]));
        assert_eq!(allocation(&levels, 14), Err(13));
        assert_eq!(allocation(&[], 1), Err(0));
    }

    #[test]
    fn what_nobody_has_is_backordered_up_to_the_limit() {
        let one = levels(&[(2, 0, 0, 5), (1, 0, 0, 0)]);
        assert_eq!(allocation(&one, 3), Ok(vec![2, 1]));
        assert_eq!(allocation(&one, 8), Ok(vec![7, 1]));
        assert_eq!(allocation(&one, 9), Err(8));
        let used = levels(&[(2, 6, 0, 5), (1, 0, 0, 0)]);
        assert_eq!(allocation(&used, 2), Ok(vec![1, 1]));
        assert_eq!(allocation(&used, 3), Err(2));
        let oversold = levels(&[(0, 9, 0, 5), (4, 0, 0, 0)]);
        assert_eq!(allocation(&oversold, 1), Err(0), "what the second has the first owes");
        let owing = levels(&[(0, 7, 0, 5), (4, 0, 0, 0)]);
        assert_eq!(allocation(&owing, 2), Ok(vec![0, 2]));
        assert_eq!(allocation(&owing, 3), Err(2));
    }

    #[test]
    fn a_split_never_takes_more_than_there_is() {
        for _ in 0..10_000 {
            let figure = |max: i64| fastrand::i64(0..=max);
            let figures: Vec<_> = (0..fastrand::usize(0..4))
                .map(|index| (figure(9), figure(9), figure(3), if index == 0 { figure(5) } else { 0 }))
                .collect();
            let (levels, quantity) = (levels(&figures), fastrand::i64(1..20));
            let all: i64 = levels.iter().map(|level| level.free() + level.backorder_limit).sum();
            match allocation(&levels, quantity) {
                Ok(parts) => {
                    assert_eq!(parts.iter().sum::<i64>(), quantity);
                    assert!(levels.iter().zip(&parts).all(|(level, part)| (0..=level.room()).contains(part)));
                }
                Err(available) => {
                    assert_eq!((available, available < quantity), (all.max(0), true), "{figures:?}");
                }
            }
        }
    }
}
