//! Moving goods from one location to another.

use std::collections::BTreeSet;

use db::Tx;
use kit::author::Author;
use kit::clock::new_id;
use uuid::Uuid;

use crate::ledger::{Ledger, Refused};
use crate::model::{Cause, CauseKind, Delta, Kind, Movement};

/// Goods that change their place.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Of what; it must be there.
    pub product_id: Uuid,
    /// Where from; it must be there.
    pub from: Uuid,
    /// Where to; it must be there, and another.
    pub to: Uuid,
    /// How many.
    pub quantity: i64,
    /// Who moves them.
    pub author: Author,
}

/// Moves what nobody holds, and gives the ledger's two rows, that of the location it left first.
pub async fn transfer(tx: &Tx, transfer: &Transfer) -> Result<Vec<Movement>, Refused> {
    let mut ledger = Ledger::open(tx, &BTreeSet::from([transfer.product_id])).await?;
    let from = ledger.at(transfer.product_id, transfer.from);
    let free = ledger.level(from).free();
    if transfer.quantity > free {
        return Err(Refused::TooLittle(free.max(0)));
    }
    let to = ledger.at(transfer.product_id, transfer.to);
    let cause = Cause { kind: CauseKind::Transfer, id: new_id(), step: 1 };
    let out = Delta { on_hand: -transfer.quantity, ..Delta::default() };
    let into = Delta { on_hand: transfer.quantity, ..Delta::default() };
    ledger.record(from, Kind::TransferOut, out, cause, &transfer.author)?;
    ledger.record(to, Kind::TransferIn, into, cause, &transfer.author)?;
    Ok(ledger.store(tx).await?)
}
