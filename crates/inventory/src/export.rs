//! Products, levels and the ledger as files.

use db::{Error, Tx};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kit::csv::{Chunk, Lines, Sheet};
use kit::money::{Currency, Money};
use kit::page::{Key, PageRequest, Position};
use stock::{Delta, Movement};
use uuid::Uuid;

use crate::import::{counts, products};
use crate::model::Product;
use crate::search::find_products;
use crate::store::levels::{LevelFilter, level_position, list_levels};
use crate::store::locations::list_codes;
use crate::store::movements::{MovementFilter, list_movements, movement_position};
use crate::store::products::{ProductFilter, list_skus, product_position};
use crate::view::LevelView;

/// All of a product that an import takes, and nothing else, so that what was exported is imported as it was.
#[derive(Default)]
pub struct ProductSheet(pub(crate) ProductFilter);

impl Sheet for ProductSheet {
    const FILE_NAME: &'static str = "products.csv";
    const SORT: &'static str = "created_at";
    const AT_ONCE: i64 = 250;

    fn columns(&self) -> Vec<&'static str> {
        products::COLUMNS.iter().map(|column| column.name).collect()
    }

    fn write<'a>(
        &'a self,
        tx: &'a Tx,
        page: &'a PageRequest,
        lines: &'a mut Lines,
    ) -> BoxFuture<'a, Result<Chunk, Error>> {
        async move {
            let (mut products, total) = find_products(tx, &self.0, page).await?;
            let chunk =
                Chunk::cut(page, &mut products, total, |product| product_position(product, page.sort));
            products.iter().for_each(|product| write_product(product, lines));
            Ok(chunk)
        }
        .boxed()
    }
}

/// In the order of [`products::COLUMNS`].
fn write_product(product: &Product, lines: &mut Lines) {
    lines.text(&product.sku);
    lines.text(&product.name);
    lines.optional_text(product.description.as_ref());
    lines.optional_text(product.barcode.as_ref());
    lines.optional_text(product.category.as_ref().map(|category| &category.name));
    lines.plain(product.price);
    lines.optional(product.cost);
    lines.plain(product.currency().code());
    lines.plain(&product.attributes);
    lines.plain(product.track_stock);
    lines.plain(product.backorder_limit);
    lines.optional(product.reorder_point);
    lines.optional(product.reorder_quantity);
    lines.plain(product.active);
    lines.optional_text(product.external_id.as_ref());
    lines.plain(&product.metadata);
    lines.end();
}

/// What lies where, as an import of counts takes it, or with all figures for people.
#[derive(Default)]
pub struct LevelSheet {
    pub(crate) filter: LevelFilter,
    /// Whether names and all figures are shown.
    pub(crate) has_figures: bool,
}

impl Sheet for LevelSheet {
    const FILE_NAME: &'static str = "stock.csv";
    const SORT: &'static str = "product_id";
    const AT_ONCE: i64 = 1_000;

    fn columns(&self) -> Vec<&'static str> {
        if self.has_figures {
            return vec![
                "sku",
                "name",
                "location",
                "on_hand",
                "allocated",
                "unavailable",
                "available",
                "updated_at",
            ];
        }
        counts::COLUMNS.iter().take(3).map(|column| column.name).collect()
    }

    fn write<'a>(
        &'a self,
        tx: &'a Tx,
        page: &'a PageRequest,
        lines: &'a mut Lines,
    ) -> BoxFuture<'a, Result<Chunk, Error>> {
        async move {
            let (mut levels, total) = list_levels(tx, &self.filter, page).await?;
            let mut chunk = Chunk::cut(page, &mut levels, total, level_position);
            if let Some(next) = &mut chunk.next {
                self.complete(tx, page, next, &mut levels).await?;
            }
            // By code, since the ids of another system are others.
            levels.sort_by_cached_key(|level| (level.product_id, level.location.to_lowercase()));
            levels.iter().for_each(|level| self.write_level(level, lines));
            Ok(Chunk { rows: levels.len(), ..chunk })
        }
        .boxed()
    }
}

impl LevelSheet {
    /// Reads the rest of the last product's levels, so that all of a product are sorted together, and goes on behind them.
    async fn complete(
        &self,
        tx: &Tx,
        page: &PageRequest,
        next: &mut Position,
        levels: &mut Vec<LevelView>,
    ) -> Result<(), Error> {
        let Key::Id(product_id) = next.key else { return Ok(()) };
        let filter = LevelFilter { product_id: Some(product_id), ..self.filter.clone() };
        loop {
            let (mut more, _) = list_levels(tx, &filter, &page.clone().following(next.clone())).await?;
            let rest = Chunk::cut(page, &mut more, None, level_position);
            levels.append(&mut more);
            match rest.next {
                Some(further) => *next = further,
                None => break,
            }
        }
        next.id = Uuid::max();
        Ok(())
    }

    fn write_level(&self, level: &LevelView, lines: &mut Lines) {
        lines.text(&level.sku);
        if self.has_figures {
            lines.text(&level.name);
        }
        lines.text(&level.location);
        lines.plain(level.on_hand);
        if self.has_figures {
            lines.plain(level.allocated);
            lines.plain(level.unavailable);
            lines.optional(level.available);
            lines.plain(level.updated_at);
        }
        lines.end();
    }
}

/// The ledger, the oldest first.
#[derive(Default)]
pub struct MovementSheet(pub(crate) MovementFilter);

const MOVEMENT_COLUMNS: [&str; 20] = [
    "id",
    "created_at",
    "sku",
    "location",
    "kind",
    "on_hand_delta",
    "allocated_delta",
    "unavailable_delta",
    "on_hand_after",
    "allocated_after",
    "unit_cost",
    "currency",
    "reason",
    "cause",
    "cause_id",
    "cause_step",
    "actor_id",
    "request_id",
    "product_id",
    "location_id",
];

impl Sheet for MovementSheet {
    const FILE_NAME: &'static str = "movements.csv";
    const SORT: &'static str = "created_at";
    const AT_ONCE: i64 = 1_000;

    fn columns(&self) -> Vec<&'static str> {
        MOVEMENT_COLUMNS.to_vec()
    }

    fn write<'a>(
        &'a self,
        tx: &'a Tx,
        page: &'a PageRequest,
        lines: &'a mut Lines,
    ) -> BoxFuture<'a, Result<Chunk, Error>> {
        async move {
            let (mut movements, total) = list_movements(tx, &self.0, page).await?;
            let chunk = Chunk::cut(page, &mut movements, total, movement_position);
            let products = movements.iter().map(|(movement, _)| movement.product_id);
            let skus = list_skus(tx, products.collect()).await?;
            let locations = movements.iter().map(|(movement, _)| movement.location_id);
            let codes = list_codes(tx, locations.collect()).await?;
            for row in &movements {
                write_movement(row, skus.get(&row.0.product_id), codes.get(&row.0.location_id), lines);
            }
            Ok(chunk)
        }
        .boxed()
    }
}

/// In the order of [`MOVEMENT_COLUMNS`].
fn write_movement(
    (movement, currency): &(Movement, Currency),
    sku: Option<&String>,
    code: Option<&String>,
    lines: &mut Lines,
) {
    lines.plain(movement.id);
    lines.plain(movement.created_at);
    lines.optional_text(sku);
    lines.optional_text(code);
    lines.plain(movement.kind.as_str());
    let Delta { on_hand, allocated, unavailable } = movement.delta;
    let after = [movement.on_hand_after, movement.allocated_after];
    [on_hand, allocated, unavailable].into_iter().chain(after).for_each(|figure| lines.plain(figure));
    lines.optional(movement.unit_cost_minor.and_then(|minor| Money::from_minor(minor, *currency)));
    lines.plain(currency.code());
    lines.optional_text(movement.reason.as_ref());
    lines.plain(movement.cause.kind.as_str());
    lines.plain(movement.cause.id);
    lines.plain(movement.cause.step);
    lines.optional(movement.actor_id);
    lines.optional_text(movement.request_id.as_ref());
    lines.plain(movement.product_id);
    lines.plain(movement.location_id);
    lines.end();
}
