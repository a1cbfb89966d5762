//! Orders as a file: a line for each of an order's lines. What tells orders apart stands on each; what is summed, or long, on an order's first alone, so
//! that a column adds up to what it says.

use db::{Error, Tx};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kit::csv::{Chunk, Lines, Sheet};
use kit::json::Json;
use kit::money::Money;
use kit::page::PageRequest;

use crate::lifecycle::{fulfilment_status, payment_status};
use crate::model::{Line, Order};
use crate::store::{OrderFilter, list_orders, order_position};

/// All orders, the oldest first.
#[derive(Default)]
pub struct OrderSheet(pub(crate) OrderFilter);

const COLUMNS: [&str; 27] = [
    "number",
    "id",
    "created_at",
    "user_id",
    "status",
    "fulfilment_status",
    "payment_status",
    "currency",
    "line_sku",
    "line_name",
    "line_quantity",
    "line_shipped",
    "line_returned",
    "line_unit_price",
    "line_total_price",
    "line_id",
    "line_product_id",
    "quantity",
    "total_price",
    "paid",
    "refunded",
    "note",
    "ship_to",
    "external_id",
    "metadata",
    "updated_at",
    "version",
];

/// How many of them stand on an order's first line alone: the last.
const ONCE: usize = 10;

impl Sheet for OrderSheet {
    const FILE_NAME: &'static str = "orders.csv";
    const SORT: &'static str = "created_at";
    // Each may have 500 lines.
    const AT_ONCE: i64 = 100;

    fn columns(&self) -> Vec<&'static str> {
        COLUMNS.to_vec()
    }

    fn write<'a>(
        &'a self,
        tx: &'a Tx,
        page: &'a PageRequest,
        lines: &'a mut Lines,
    ) -> BoxFuture<'a, Result<Chunk, Error>> {
        async move {
            let (mut orders, total) = list_orders(tx, &self.0, page).await?;
            let chunk = Chunk::cut(page, &mut orders, total, |order| order_position(order, page.sort));
            orders.iter().for_each(|order| write_order(order, lines));
            Ok(chunk)
        }
        .boxed()
    }
}

fn write_order(order: &Order, lines: &mut Lines) {
    for (index, line) in order.lines.iter().enumerate() {
        lines.plain(order.number);
        lines.plain(order.id);
        lines.plain(order.created_at);
        lines.plain(order.user_id);
        lines.plain(order.status.as_str());
        lines.word(&fulfilment_status(order));
        lines.word(&payment_status(order));
        lines.plain(order.total.currency().code());
        write_line(line, order, lines);
        if index == 0 {
            write_once(order, lines);
        } else {
            lines.empty(ONCE);
        }
        lines.end();
    }
}

fn write_line(line: &Line, order: &Order, lines: &mut Lines) {
    let money = |minor: i64| Money::from_minor(minor, order.total.currency());
    lines.optional_text(line.sku.as_ref());
    lines.text(&line.name);
    [line.quantity, line.shipped, line.returned].into_iter().for_each(|count| lines.plain(count));
    lines.optional(line.unit_minor.and_then(money));
    lines.optional(money(line.total_minor));
    lines.plain(line.id);
    lines.optional(line.product_id);
}

/// So many cells as [`ONCE`] says.
fn write_once(order: &Order, lines: &mut Lines) {
    let money = |minor: i64| Money::from_minor(minor, order.total.currency());
    lines.plain(order.lines.iter().map(|line| line.quantity).sum::<i64>());
    lines.plain(order.total);
    lines.optional(money(order.paid_minor));
    lines.optional(money(order.refunded_minor));
    lines.optional_text(order.note.as_ref());
    write_ship_to(order.ship_to.as_deref(), lines);
    lines.optional_text(order.external_id.as_ref());
    lines.plain(&order.metadata);
    lines.plain(order.updated_at);
    lines.plain(order.version);
}

/// A text as it is, an object as JSON.
fn write_ship_to(stored: Option<&str>, lines: &mut Lines) {
    match stored.map(|stored| (stored, Json::parse(stored.as_bytes()))) {
        Some((_, Ok(Json::String(text)))) => lines.text(&text),
        Some((stored, _)) => lines.plain(stored),
        None => lines.empty(1),
    }
}
