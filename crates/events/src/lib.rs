//! What happened: an outbox that is written in the transaction that changes something, and read in an order that never skips.
//!
//! It is not a service: it has no endpoints, and delivers nothing. Its functions work on a transaction that the caller holds. The ledger, the orders'
//! history, accounts and products write their own events; whoever changes one of them through its crate can't forget to.
//!
//! What a row of the ledger or of an order's history says already is written once, there: such an event is thin, and what it tells
//! is joined when it is read (decision 0012). Both are append-only, so an event says the same for ever, but for a reason that goes with the person.
//!
//! Tables: `events`, `events_swept`. It reads `stock_movements`, `order_history`, `orders` and `products`.
//!
//! Files in reading order: `event_type` (the one list of all types), `filter` (some of them), `position` (where a reader stands), `data` (what an
//! event tells), `store` (every statement), `record` (writing), `read` (reading, and what is kept).

mod data;
mod event_type;
mod filter;
mod position;
mod read;
mod record;
mod store;

pub use data::{Cause, Data, LowStock, OrderChange, ProductChange, StockMove, UserChange, WebhookChange};
pub use event_type::{EventType, ObjectKind};
pub use filter::{EventFilter, chosen_types, join_filters, split_filters};
pub use position::Position;
pub use read::{
    Event, Events, Object, Objects, ReadError, newest, read_after, read_objects, settle_in, sweep,
};
pub use record::{NewEvent, record, record_many, record_rows, write_metrics};
