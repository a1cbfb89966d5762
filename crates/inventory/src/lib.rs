//! The inventory service (8084): the catalogue of products, where they lie, and how many there are.
//!
//! It is not the writer of stock: levels and movements belong to the kernel `stock`, which it asks to change them; it only lists them. What orders take is
//! between orders and the kernel.
//!
//! Tables: `products`, `product_words`, `categories`, `reason_codes`; of the kernel's, it makes and removes `locations`.
//!
//! Files in reading order: `model` (types that can only be valid), `body` (what requests may say), `schema` (how the OpenAPI document shows that), `view`
//! (what answers show), `store` (every statement), `search` (how products are found by words); then an operation each: `create_product`, `change_product`,
//! `delete_product`, `adjust_stock`, `transfer_stock`, `explain`, `change_location`; `import` and `export` (CSV files); `counts` (what is counted and measured); last `api` (handlers).

mod adjust_stock;
mod api;
mod body;
mod change_location;
mod change_product;
mod counts;
mod create_product;
mod delete_product;
mod explain;
mod export;
mod import;
mod model;
mod schema;
mod search;
mod store;
mod transfer_stock;
mod view;

pub use export::{LevelSheet, MovementSheet, ProductSheet};
pub use import::{File, Progress, Stage, import_counts, import_products};
pub use view::ImportView;

use std::sync::Arc;

use aide::openapi::OpenApi;
use counts::StockCounts;
use kit::service::{Service, Surroundings};
use kit::shared::Shared;
use tokio::sync::Semaphore;

/// So many files are imported at once: each takes a few times its size of memory.
const IMPORTS_AT_ONCE: usize = 2;

/// The service's state.
pub struct Inventory {
    shared: Arc<Shared>,
    counts: Arc<StockCounts>,
    /// Who imports a file holds one.
    import_turns: Arc<Semaphore>,
}

impl Inventory {
    /// With what every service holds.
    pub fn new(shared: Arc<Shared>) -> Arc<Self> {
        let import_turns = Arc::new(Semaphore::new(IMPORTS_AT_ONCE));
        Arc::new(Self { shared, counts: Arc::default(), import_turns })
    }

    /// Adds up anew what the metrics tell of all stock, since that takes too long while somebody waits for them.
    pub async fn refresh_figures(&self) -> Result<(), db::Error> {
        counts::refresh(&self.shared.db, &self.counts).await
    }
}

impl AsRef<Shared> for Inventory {
    fn as_ref(&self) -> &Shared {
        &self.shared
    }
}

/// The service, complete.
pub fn service(inventory: Arc<Inventory>, surroundings: &Surroundings) -> Service {
    let counts = Arc::clone(&inventory.counts);
    surroundings.metrics.add(move |text| counts.write(text));
    kit::service::service("inventory", surroundings, inventory, api::endpoints)
}

/// Its part of the OpenAPI document.
pub fn document() -> OpenApi {
    kit::service::document("inventory", api::endpoints)
}
