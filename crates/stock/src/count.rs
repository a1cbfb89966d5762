//! Many counts at once: what was counted replaces what the levels say.

use std::collections::BTreeSet;

use db::Tx;
use kit::author::Author;
use kit::clock::{Timestamp, new_id};
use uuid::Uuid;

use crate::adjust::put_right;
use crate::ledger::{Ledger, Refused};
use crate::model::{Cause, CauseKind, Kind, Movement};

/// What was counted of a product at a location.
#[derive(Clone, Debug)]
pub struct Counted {
    /// Of what; it must be there.
    pub product_id: Uuid,
    /// Where; it must be there, and no two counts may be of the same product and location.
    pub location_id: Uuid,
    /// How many.
    pub on_hand: i64,
    /// A reason code.
    pub reason: Option<String>,
}

/// What counts do to levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountTally {
    /// There was no level.
    pub created: usize,
    /// The level said something else.
    pub changed: usize,
    /// The level said the same, so that nothing is written down.
    pub unchanged: usize,
}

/// What these counts would do now.
pub async fn preview_counts(tx: &Tx, counts: &[Counted]) -> Result<CountTally, Refused> {
    let nobody = Author::nobody(Timestamp(0));
    let mut ledger = Ledger::look(tx, &products(counts)).await?;
    record(&mut ledger, counts, &nobody)
}

/// Sets the levels to what was counted, and gives the ledger's rows. They should be some thousand at most: who has more comes again.
pub async fn store_counts(
    tx: &Tx,
    counts: &[Counted],
    author: &Author,
) -> Result<(CountTally, Vec<Movement>), Refused> {
    let mut ledger = Ledger::open(tx, &products(counts)).await?;
    let tally = record(&mut ledger, counts, author)?;
    Ok((tally, ledger.store(tx).await?))
}

fn products(counts: &[Counted]) -> BTreeSet<Uuid> {
    counts.iter().map(|counted| counted.product_id).collect()
}

fn record(ledger: &mut Ledger, counts: &[Counted], author: &Author) -> Result<CountTally, Refused> {
    let mut tally = CountTally::default();
    for counted in counts {
        let place = ledger.at(counted.product_id, counted.location_id);
        let (is_stored, level) = (ledger.is_stored(place), ledger.level(place));
        if is_stored && level.on_hand == counted.on_hand {
            tally.unchanged += 1;
            continue;
        }
        let id = new_id();
        let cause = Cause { kind: CauseKind::Adjustment, id, step: 1 };
        let delta = put_right(level, counted.on_hand);
        let movement = ledger.record(place, Kind::Count, delta, cause, author)?;
        movement.id = id;
        movement.reason.clone_from(&counted.reason);
        if is_stored { tally.changed += 1 } else { tally.created += 1 }
    }
    Ok(tally)
}
