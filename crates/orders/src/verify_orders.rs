//! Does each order add up by itself, and does what it holds, and has shipped, equal what the ledger of stock says?

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};

use db::Tx;
use stock::store::sum_by_order;
use uuid::Uuid;

use crate::invariants::faults_of;
use crate::model::Order;
use crate::store;

/// So many orders are added up by one statement, which must stay short on a live system; each may have 500 lines.
const ORDERS_AT_ONCE: i64 = 200;

/// What of an order doesn't add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderDifference {
    /// A figure that isn't what the ledger says.
    Stock(StockDifference),
    /// Its own figures.
    Rule {
        /// Of which order.
        order_id: Uuid,
        /// Its number.
        number: i64,
        /// What they are.
        figures: String,
    },
}

/// A figure of an order that isn't what the ledger says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockDifference {
    /// Of which order.
    pub order_id: Uuid,
    /// Its number, if it is there.
    pub number: Option<i64>,
    /// Of which product.
    pub product_id: Uuid,
    /// Its SKU, if it is there.
    pub sku: Option<String>,
    /// `holds` or `shipped`.
    pub figure: &'static str,
    /// What the order's lines say.
    pub order: i64,
    /// What the ledger adds up to.
    pub ledger: i64,
}

/// What an order has of each product: what it holds, and what was shipped.
type Sums = BTreeMap<(Uuid, Uuid), [i64; 2]>;

/// Compares all orders with the ledger, and tells `seen` how many were added up so far. Changes nothing; what it finds is of one moment if the transaction
/// is.
pub async fn verify_orders(
    tx: &Tx,
    mut seen: impl FnMut(u64) + Send,
) -> Result<Vec<OrderDifference>, db::Error> {
    let (mut last, mut count, mut found) = (Uuid::nil(), 0, Vec::new());
    loop {
        let orders = store::next_orders(tx, last, ORDERS_AT_ONCE).await?;
        // Behind the last order there may be movements of one that isn't there.
        let end = orders.last().map_or(Uuid::max(), |order| order.id);
        let lines: Sums = orders.iter().flat_map(sums_of).collect();
        let sums = sum_by_order(tx, last, end).await?.into_iter();
        let ledger: Sums =
            sums.map(|sum| ((sum.order_id, sum.product_id), [sum.allocated, sum.shipped])).collect();
        compare(tx, &lines, &ledger, &mut found).await?;
        found.extend(orders.iter().flat_map(broken_rules));
        if orders.is_empty() {
            return Ok(found);
        }
        last = end;
        count += orders.len() as u64;
        seen(count);
    }
}

/// What an order has of each product by its lines.
fn sums_of(order: &Order) -> Sums {
    let mut sums = Sums::new();
    for (figure, counts) in [order.held(), order.stock(|line| line.shipped)].into_iter().enumerate() {
        for (product, count) in counts {
            sums.entry((order.id, product)).or_default()[figure] = count;
        }
    }
    sums
}

fn broken_rules(order: &Order) -> impl Iterator<Item = OrderDifference> {
    let (order_id, number) = (order.id, order.number);
    faults_of(order).map(move |figures| OrderDifference::Rule { order_id, number, figures })
}

/// Those that differ are few, so each is named by itself.
async fn compare(
    tx: &Tx,
    lines: &Sums,
    ledger: &Sums,
    found: &mut Vec<OrderDifference>,
) -> Result<(), db::Error> {
    let all: BTreeSet<_> = lines.keys().chain(ledger.keys()).collect();
    for &key in all {
        let of = |sums: &Sums| sums.get(&key).copied().unwrap_or_default();
        let (order, ledger) = (of(lines), of(ledger));
        for (index, figure) in ["holds", "shipped"].into_iter().enumerate() {
            if order[index] != ledger[index] {
                let (order_id, product_id) = key;
                found.push(OrderDifference::Stock(StockDifference {
                    order_id,
                    number: store::find_number(tx, order_id).await?,
                    product_id,
                    sku: stock::store::find_sku(tx, product_id).await?,
                    figure,
                    order: order[index],
                    ledger: ledger[index],
                }));
            }
        }
    }
    Ok(())
}

impl Display for OrderDifference {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stock(difference) => difference.fmt(out),
            Self::Rule { order_id, number, figures } => {
                write!(out, "order {number}/{order_id} does not add up: {figures}")
            }
        }
    }
}

impl Display for StockDifference {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self { order_id, product_id, figure, order, ledger, .. } = self;
        let number = self.number.map_or_else(|| "?".to_owned(), |number| number.to_string());
        let sku = self.sku.as_deref().unwrap_or("?");
        write!(
            out,
            "order {number}/{order_id} {figure} {order} of {sku}/{product_id}, the ledger says {ledger}"
        )
    }
}
