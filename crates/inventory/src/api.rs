//! The handlers, by what they are about.

mod categories;
mod csv;
mod locations;
mod products;
mod stock;

use aide::axum::ApiRouter;
use kit::identity::Caller;
use kit::problem::Problem;

use crate::Inventory;

pub(crate) fn endpoints() -> ApiRouter<Inventory> {
    products::endpoints()
        .merge(categories::endpoints())
        .merge(locations::endpoints())
        .merge(stock::endpoints())
        .merge(csv::endpoints())
}

/// 404 for customers, who may not know what there is behind the catalogue.
fn check_staff_sees(caller: &Caller) -> Result<(), Problem> {
    if caller.is_staff() { Ok(()) } else { Err(Problem::not_found()) }
}
