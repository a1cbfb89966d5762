//! The handlers, by what they are about.

mod categories;
mod csv;
mod locations;
mod products;
mod stock;

use aide::axum::ApiRouter;
use events::Author;
use kit::identity::Caller;
use kit::problem::Problem;
use kit::request_id::RequestId;
use uuid::Uuid;

use crate::Inventory;

pub(crate) fn endpoints() -> ApiRouter<Inventory> {
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

/// 404 for customers, who may not know what there is behind the catalogue.
fn check_staff_sees(caller: &Caller) -> Result<(), Problem> {
    if caller.is_staff() { Ok(()) } else { Err(Problem::not_found()) }
}
