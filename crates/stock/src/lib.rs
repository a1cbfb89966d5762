//! Levels of stock and the ledger that explains them: what inventory and orders share, and the only writer of both.
//!
//! It is not a service: it has no endpoints. Its functions work on a transaction that the caller holds. It isn't the catalogue either: products are
//! inventory's, of which it reads what an order must know.
//!
//! Every change of a level has its row in the ledger, and that its event, in the same transaction, and the level is the sum of its rows. All that
//! change the same product go one by one (`Ledger::open` takes the products in the order of their keys, and a transaction takes them last and once, so nobody waits in
//! a circle); a level is stored only over the version that was read, and the schema refuses what is negative and any change of the ledger. So nothing is sold twice, whatever
//! runs beside it.
//!
//! Tables: `locations`, `stock_levels`, `stock_movements`.
//!
//! Files in reading order: `model` (a level, a movement, what causes it), `split` (where a quantity is taken from, pure), `store` (every statement), `ledger` (levels
//! being changed), then what is done with them: `order_stock` (place, hold, ship, give back), `adjust`, `count` (many at once), `transfer`; `verify` (does it all add up?).

mod adjust;
mod count;
mod ledger;
mod model;
mod order_stock;
mod split;
pub mod store;
mod transfer;
mod verify;

pub use adjust::{Adjusted, Adjustment, Change, adjust};
pub use count::{CountTally, Counted, preview_counts, store_counts};
pub use ledger::{Refused, STOCK_LEVEL, set_terms};
pub use model::{Cause, CauseKind, Delta, Kind, Level, MAIN, Movement, Shortage, Sku, Terms};
pub use order_stock::{ORDER_HOLDS, OrderStock, give_back, hold, place, ship};
pub use transfer::{Transfer, transfer};
pub use verify::{Difference, verify_levels};
