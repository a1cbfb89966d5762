//! The orders service (8082): placing orders, their lifecycle, their history.
//!
//! It is not the keeper of stock: lines of stock come with the kernel `stock`; until then a line is free text. An
//! order outlives its user.
//!
//! Tables: `orders`, `order_lines`, `order_history`; the number series `order_numbers`.
//!
//! Files in reading order: `lifecycle` (the states and steps, pure), `model` (an order and its lines), `body` (what
//! requests may say), `schema` (how the OpenAPI document shows that), `view` (what answers show), `store` (every statement), then an operation each: `place_order`,
//! `change_order`, `take_step` (with `said`, what the history keeps), `delete_order`; `counts` (what they count); last `api` (handlers).

mod api;
mod body;
mod change_order;
mod counts;
mod delete_order;
mod lifecycle;
mod model;
mod place_order;
mod said;
mod schema;
mod store;
mod take_step;
mod view;

use std::sync::Arc;

use aide::openapi::OpenApi;
use axum::extract::FromRef;
use counts::OrderCounts;
use kit::service::{Service, Surroundings};
use kit::shared::Shared;
use place_order::{Placements, placements};

/// The service's state.
#[derive(Clone)]
pub struct Orders {
    shared: Arc<Shared>,
    max_pending: i64,
    counts: Arc<OrderCounts>,
    placements: Arc<Placements>,
}

impl Orders {
    /// With what every service holds, and how many pending orders a customer may have.
    pub fn new(shared: Arc<Shared>, max_pending: i64) -> Self {
        Self { shared, max_pending, counts: Arc::default(), placements: Arc::new(placements()) }
    }
}

impl FromRef<Orders> for Arc<Shared> {
    fn from_ref(orders: &Orders) -> Self {
        Self::clone(&orders.shared)
    }
}

/// The service, complete.
pub fn service(orders: Orders, surroundings: &Surroundings) -> Service {
    let counts = Arc::clone(&orders.counts);
    surroundings.metrics.add(move |text| counts.write(text));
    kit::service::service("orders", surroundings, orders, api::endpoints)
}

/// Its part of the OpenAPI document.
pub fn document() -> OpenApi {
    kit::service::document("orders", api::endpoints)
}
