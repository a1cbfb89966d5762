//! Putting a level right: goods that came in, a correction, a count, what can't be sold.

use std::collections::BTreeSet;

use db::Tx;
use kit::author::Author;
use kit::clock::new_id;
use uuid::Uuid;

use crate::ledger::{Ledger, Refused};
use crate::model::{Cause, CauseKind, Delta, Kind, Level, Movement};

/// What is done to a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// So many came in.
    Receive(i64),
    /// So many more, or less, lie there.
    Adjust(i64),
    /// So many were counted.
    Count(i64),
    /// So many more can't be sold, or so many less.
    Quarantine(i64),
}

impl Change {
    fn kind(self) -> Kind {
        match self {
            Self::Receive(_) => Kind::Receive,
            Self::Adjust(_) => Kind::Adjust,
            Self::Count(_) => Kind::Count,
            Self::Quarantine(_) => Kind::Quarantine,
        }
    }

    fn delta(self, level: &Level) -> Result<Delta, Refused> {
        Ok(match self {
            Self::Receive(quantity) => Delta { on_hand: quantity, ..Delta::default() },
            Self::Adjust(quantity) => put_right(level, level.on_hand + quantity),
            Self::Count(counted) => put_right(level, counted),
            // Only what nobody holds can be set aside.
            Self::Quarantine(quantity) if quantity > level.free() => {
                return Err(Refused::TooLittle(level.free().max(0)));
            }
            Self::Quarantine(quantity) => Delta { unavailable: quantity, ..Delta::default() },
        })
    }
}

/// So much lies there after all. What can't be sold is a part of it, so no more of that can be left.
pub(crate) fn put_right(level: &Level, on_hand: i64) -> Delta {
    let unavailable = level.unavailable.min(on_hand) - level.unavailable;
    Delta { on_hand: on_hand - level.on_hand, unavailable, ..Delta::default() }
}

/// A change of one level.
#[derive(Clone, Debug)]
pub struct Adjustment {
    /// Of what; it must be there.
    pub product_id: Uuid,
    /// Where; it must be there.
    pub location_id: Uuid,
    /// What is done.
    pub change: Change,
    /// Only if so much lies there.
    pub expected_on_hand: Option<i64>,
    /// A reason code.
    pub reason: Option<String>,
    /// What one cost, of what came in.
    pub unit_cost_minor: Option<i64>,
    /// Who does it.
    pub author: Author,
}

/// What became of a level.
#[derive(Clone, Debug)]
pub struct Adjusted {
    /// The ledger's row.
    pub movement: Movement,
    /// The level as it was.
    pub before: Level,
    /// The level as it is.
    pub after: Level,
}

/// Changes a level.
pub async fn adjust(tx: &Tx, adjustment: &Adjustment) -> Result<Adjusted, Refused> {
    let mut ledger = Ledger::open(tx, &BTreeSet::from([adjustment.product_id])).await?;
    let place = ledger.at(adjustment.product_id, adjustment.location_id);
    let before = ledger.level(place).clone();
    if adjustment.expected_on_hand.is_some_and(|expected| expected != before.on_hand) {
        return Err(Refused::Unexpected(before.on_hand));
    }
    let delta = adjustment.change.delta(&before)?;
    let id = new_id();
    let cause = Cause { kind: CauseKind::Adjustment, id, step: 1 };
    let movement = ledger.record(place, adjustment.change.kind(), delta, cause, &adjustment.author)?;
    movement.id = id;
    movement.reason.clone_from(&adjustment.reason);
    movement.unit_cost_minor = adjustment.unit_cost_minor;
    let movement = movement.clone();
    let after = ledger.level(place).clone();
    ledger.store(tx).await?;
    Ok(Adjusted { movement, before, after })
}
