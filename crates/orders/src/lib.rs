//! The orders service (8082): placing orders, their lifecycle, their history.
//!
//! It is not the keeper of stock: what its orders take, hold and ship is moved by the kernel `stock`, in the transaction that changes the order. An
//! order outlives its user. Webhooks have their endpoints here too; what they do is the kernel `webhooks`'.
//!
//! Tables: `orders`, `order_lines`, `order_history`; the number series `order_numbers`.
//!
//! Files in reading order: `lifecycle` (the states and steps, pure), `model` (an order and its lines), `body` (what
//! requests may say), `schema` (how the OpenAPI document shows that), `view` (what answers show), `store` (every statement), `lines` (priced by the catalogue), `invariants` (what is always so), `move_stock` (what
//! a change does with stock), then an operation each: `place_order`, `change_order`, `take_step` (with `said`, what the history keeps), `delete_order`,
//! `expire_orders`, `verify_orders`; `personal` and `erase_people` (what is told to people of their orders, and taken out when they are gone); `read_events` and `stream_events`; `export` (as a CSV file); `counts` (what they count); `webhook_body`, `webhook_view` and
//! `change_webhook` are the same of webhooks; last `api` (handlers, with a file for events and one for webhooks).

mod api;
mod body;
mod change_order;
mod change_webhook;
mod counts;
mod delete_order;
mod erase_people;
mod expire_orders;
mod export;
mod invariants;
mod lifecycle;
mod lines;
mod model;
mod move_stock;
mod personal;
mod place_order;
mod read_events;
mod said;
mod schema;
mod store;
mod stream_events;
mod take_step;
mod verify_orders;
mod view;
mod webhook_body;
mod webhook_view;

use std::sync::Arc;
use std::time::Duration;

use aide::openapi::OpenApi;
use kit::service::{Readiness, Service, Surroundings};
use kit::shared::Shared;
use place_order::{Placements, placements};
use stream_events::Streams;
use webhooks::Webhooks;

pub use counts::OrderCounts;
pub use erase_people::erase_people;
pub use expire_orders::expire_orders;
pub use export::OrderSheet;
pub use invariants::{ORDER_GOODS, ORDER_MONEY, ORDER_OWNER};
pub use personal::{ORDER_HISTORY, ORDERS};
pub use verify_orders::{OrderDifference, verify_orders};

/// The service's state.
pub struct Orders {
    shared: Arc<Shared>,
    max_pending: i64,
    pending_expiry: Duration,
    /// What they count; `expire_orders` adds to it.
    pub counts: Arc<OrderCounts>,
    placements: Arc<Placements>,
    /// Tells others what happened.
    pub webhooks: Arc<Webhooks>,
    streams: Streams,
    readiness: Readiness,
}

impl Orders {
    /// With what every service holds, what tells others, how many pending orders a customer may have, how long one keeps its stock, and what says
    /// when the process stops.
    pub fn new(
        shared: Arc<Shared>,
        webhooks: Arc<Webhooks>,
        max_pending: i64,
        pending_expiry: Duration,
        readiness: Readiness,
    ) -> Arc<Self> {
        let (counts, placements, streams) = (Arc::default(), Arc::new(placements()), Streams::default());
        Arc::new(Self {
            shared,
            max_pending,
            pending_expiry,
            counts,
            placements,
            webhooks,
            streams,
            readiness,
        })
    }
}

impl AsRef<Shared> for Orders {
    fn as_ref(&self) -> &Shared {
        &self.shared
    }
}

/// The service, complete.
pub fn service(orders: Arc<Orders>, surroundings: &Surroundings) -> Service {
    let counts = Arc::clone(&orders.counts);
    let (streams, clock) = (orders.streams.clone(), orders.shared.clock.clone());
    let webhooks = Arc::clone(&orders.webhooks.counts);
    surroundings.metrics.add(move |text| {
        counts.write(text);
        streams.write(text);
        webhooks.write(clock.now(), text);
    });
    kit::service::service("orders", surroundings, orders, api::endpoints)
}

/// Its part of the OpenAPI document.
pub fn document() -> OpenApi {
    kit::service::document("orders", api::endpoints)
}
