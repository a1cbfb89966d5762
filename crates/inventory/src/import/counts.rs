//! Counts of stock from a file: what was counted replaces what the levels say.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use audit::Action;
use db::{Error, Tx};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kit::csv::{Column, Kind, RowFaults, Table};
use kit::fields::{Faults, read_object};
use kit::problem::{Fault, Problem};
use stock::{CountTally, Counted, MAIN, Sku, preview_counts, store_counts};
use uuid::Uuid;

use super::{Import, Importable, Tally};
use crate::adjust_stock::{fault, keep, refused};
use crate::body::CountStock;
use crate::store::locations::find_location_of_code;
use crate::store::products::find_ids_by_sku;
use crate::store::reason_codes::is_reason_code;

/// In the order in which they are exported, but for the reason, which a level has none of.
pub(crate) const COLUMNS: &[Column] = &[
    Column { name: "sku", kind: Kind::Text, clears: false },
    Column { name: "location", kind: Kind::Text, clears: false },
    Column { name: "on_hand", kind: Kind::Number, clears: false },
    Column { name: "reason", kind: Kind::Text, clears: false },
];

/// The code of the location where there is no other, as a key.
const MAIN_KEY: &str = "main";

/// Counts.
pub(crate) struct Counts;

impl Importable for Counts {
    const ACTION: Action = Action::StockImported;
    const CHANGES_STOCK: bool = true;
    const FILLED: &'static str = "stock_levels, stock_movements";
    const COLUMNS: &'static [Column] = COLUMNS;

    fn keys(table: &Table, row: usize) -> Vec<(&'static str, String)> {
        let Some(sku) = table.text(row, "sku") else { return Vec::new() };
        let location = table.text(row, "location").map_or_else(|| MAIN_KEY.to_owned(), str::to_lowercase);
        // No SKU has a tab.
        vec![("sku", format!("{}\t{location}", Sku::key_of(sku)))]
    }

    fn check<'a>(
        import: &'a Import<Self>,
        tx: &'a Tx,
        rows: &'a [usize],
        faults: &'a mut RowFaults,
    ) -> BoxFuture<'a, Result<Tally, Problem>> {
        async move {
            let counts = plan(import, tx, rows, faults).await?;
            Ok(preview_counts(tx, &counts).await.map_err(refused)?.into())
        }
        .boxed()
    }

    fn store<'a>(
        import: &'a Import<Self>,
        tx: &'a Tx,
        rows: &'a [usize],
        faults: &'a mut RowFaults,
    ) -> BoxFuture<'a, Result<Tally, Problem>> {
        async move {
            let counts = plan(import, tx, rows, faults).await?;
            if !faults.is_empty() {
                return Ok(Tally::default());
            }
            let (tally, movements) = store_counts(tx, &counts, &import.author).await.map_err(refused)?;
            import.counts.moved(tx, movements.iter().map(|movement| movement.kind).collect());
            Ok(tally.into())
        }
        .boxed()
    }
}

impl From<CountTally> for Tally {
    fn from(CountTally { created, changed, unchanged }: CountTally) -> Self {
        Self { created, changed, unchanged, ..Self::default() }
    }
}

/// The counts of the rows that are right; what is wrong with the others is noted.
async fn plan(
    import: &Import<Counts>,
    tx: &Tx,
    rows: &[usize],
    faults: &mut RowFaults,
) -> Result<Vec<Counted>, Error> {
    let names = Names::find(&import.table, tx, rows).await?;
    let mut counts = Vec::with_capacity(rows.len());
    for row in rows.iter().copied() {
        let mut found = Vec::new();
        counts.extend(plan_row(import, row, &names, &mut found));
        faults.add_row(import.table.number(row), found);
    }
    Ok(counts)
}

fn plan_row(import: &Import<Counts>, row: usize, names: &Names, found: &mut Vec<Fault>) -> Option<Counted> {
    let (json, _) = import.table.object(row);
    let mut faults = Faults::new(import.context);
    let read: Option<CountStock> = read_object(&json, &mut faults);
    *found = faults.into_list();
    // What the row names is looked for even where something else is wrong with it.
    let text = |name| import.table.text(row, name);
    let product = text("sku").and_then(|sku| keep(names.product(sku), found));
    let location = keep(names.location(text("location")), found);
    if let Some(reason) = text("reason")
        && !names.reasons.contains(reason)
    {
        found.push(fault("reason", "unknown_reason", "is no reason code"));
    }
    let read = read.filter(|_| found.is_empty())?;
    let reason = read.reason.map(|reason| reason.as_str().to_owned());
    Some(Counted { product_id: product?, location_id: location?, on_hand: read.on_hand.0, reason })
}

/// What rows name, as far as it is there.
struct Names {
    products: HashMap<String, Uuid>,
    locations: BTreeMap<String, Uuid>,
    reasons: BTreeSet<String>,
}

impl Names {
    async fn find(table: &Table, tx: &Tx, rows: &[usize]) -> Result<Self, Error> {
        let texts = |name: &'static str| rows.iter().filter_map(move |row| table.text(*row, name));
        let skus: BTreeSet<String> = texts("sku").map(Sku::key_of).collect();
        let products =
            find_ids_by_sku(tx, &skus.into_iter().collect::<Vec<_>>()).await?.into_iter().collect();
        let mut names = Self { products, locations: BTreeMap::new(), reasons: BTreeSet::new() };
        for key in texts("location").map(str::to_lowercase).collect::<BTreeSet<_>>() {
            if let Some(id) = find_location_of_code(tx, &key).await? {
                names.locations.insert(key, id);
            }
        }
        for reason in texts("reason").map(str::to_owned).collect::<BTreeSet<_>>() {
            if is_reason_code(tx, &reason).await? {
                names.reasons.insert(reason);
            }
        }
        Ok(names)
    }

    fn product(&self, sku: &str) -> Result<Uuid, Fault> {
        let found = self.products.get(&Sku::key_of(sku)).copied();
        found.ok_or_else(|| fault("sku", "unknown_product", "is no product's"))
    }

    fn location(&self, code: Option<&str>) -> Result<Uuid, Fault> {
        let Some(code) = code else { return Ok(MAIN) };
        let found = self.locations.get(&code.to_lowercase()).copied();
        found.ok_or_else(|| fault("location", "unknown_location", "is no location's code"))
    }
}
