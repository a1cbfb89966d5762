//! The handlers, by what they are about.

mod categories;
mod csv;
mod locations;
mod products;
mod stock;

use events::Author;
use kit::endpoint::Endpoints;
use kit::request_id::RequestId;
use uuid::Uuid;

use crate::Inventory;

pub(crate) fn endpoints() -> Endpoints<Inventory> {
    products::endpoints()
        .merge(categories::endpoints())
        .merge(locations::endpoints())
        .merge(stock::endpoints())
        .merge(csv::endpoints())
}

/// Who does something by this request.
fn author(inventory: &Inventory, account: Uuid, request_id: &RequestId) -> Author {
    let (actor_id, request_id) = (Some(account), Some(request_id.to_string()));
    Author { actor_id, request_id, now: inventory.shared.clock.now() }
}
