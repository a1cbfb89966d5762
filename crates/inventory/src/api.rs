//! The handlers, by what they are about.

mod categories;
mod csv;
mod locations;
mod products;
mod stock;

use kit::endpoint::Endpoints;

use crate::Inventory;

pub(crate) fn endpoints() -> Endpoints<Inventory> {
    products::endpoints()
        .merge(categories::endpoints())
        .merge(locations::endpoints())
        .merge(stock::endpoints())
        .merge(csv::endpoints())
}
