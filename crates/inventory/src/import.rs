//! Products and counts from CSV files, all or nothing.
//!
//! A file is checked twice by the same functions: first beside everybody else, in short reads, where nearly all faults show; then in the one transaction
//! that stores it, which so has nothing left to wait for or to refuse but what happened meanwhile.

pub(crate) mod counts;
pub(crate) mod products;

use std::collections::{BTreeSet, HashMap};
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use audit::{Act, Action, Facts, ImportFacts};
use bytes::Bytes;
use db::{Db, Planning, Tx};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kit::author::Author;
use kit::clock::new_id;
use kit::csv::{Charset, Column, RowFaults, Table};
use kit::fields::{Invalid, ReadContext};
use kit::identity::Role;
use kit::money::Currency;
use kit::problem::Problem;
use stock::Terms;
use uuid::Uuid;

use crate::counts::StockCounts;
use crate::view::ImportView;

/// So many rows are checked by one read, which others may wait for.
const CHECKED_AT_ONCE: usize = 1_000;

/// So many rows are in memory as products while they are stored.
const STORED_AT_ONCE: usize = 4_000;

/// From so many rows on, what the tables hold is another thing than it was.
const MANY: usize = 1_000;

/// A file, and what holds for it.
pub struct File {
    /// What it has.
    pub bytes: Bytes,
    /// How it is to be read, where no byte order mark says it.
    pub charset: Option<Charset>,
    /// The currency of new products that name none.
    pub currency: Currency,
    /// Who imports it.
    pub author: Author,
    /// How many rows it may have.
    pub max_rows: usize,
    /// How many faults are told.
    pub max_faults: usize,
    /// Hears how it goes on.
    pub progress: Progress,
}

/// Hears which stage has got through how many rows, of how many.
pub type Progress = Arc<dyn Fn(Stage, usize, usize) + Send + Sync>;

/// What is done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Beside everybody else.
    Checking,
    /// In the transaction that stores it.
    Storing,
}

/// What rows do, or would do.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) created: usize,
    pub(crate) changed: usize,
    pub(crate) unchanged: usize,
    /// What makes the names of new categories unique.
    pub(crate) categories: BTreeSet<String>,
    /// Changed terms of products, which are stored last.
    pub(crate) terms: Vec<Terms>,
    /// Products that get another currency, as none may whose stock has moved.
    pub(crate) new_currencies: Vec<Uuid>,
}

impl Tally {
    fn add(&mut self, mut more: Self) {
        self.created += more.created;
        self.changed += more.changed;
        self.unchanged += more.unchanged;
        self.categories.append(&mut more.categories);
        self.terms.append(&mut more.terms);
        self.new_currencies.append(&mut more.new_currencies);
    }
}

/// What can be imported.
pub(crate) trait Importable: Sized + Send + Sync + 'static {
    /// What the audit log calls it.
    const ACTION: Action;

    /// Whether each row changes stock, whose products all take in one order.
    const CHANGES_STOCK: bool;

    /// The tables that are filled.
    const FILLED: &'static str;

    /// The columns that a file may have; the first must be there.
    const COLUMNS: &'static [Column];

    /// What no other row may have, each with the column that it is told of; by the first, rows are stored in order.
    fn keys(table: &Table, row: usize) -> Vec<(&'static str, String)>;

    /// What rows would do; what is wrong with them is noted.
    fn check<'a>(
        import: &'a Import<Self>,
        tx: &'a Tx,
        rows: &'a [usize],
        faults: &'a mut RowFaults,
    ) -> BoxFuture<'a, Result<Tally, Problem>>;

    /// Stores rows, unless something is wrong with them, which is noted.
    fn store<'a>(
        import: &'a Import<Self>,
        tx: &'a Tx,
        rows: &'a [usize],
        faults: &'a mut RowFaults,
    ) -> BoxFuture<'a, Result<Tally, Problem>>;
}

/// A file that was read.
pub(crate) struct Import<K> {
    pub(crate) table: Table,
    pub(crate) context: ReadContext,
    pub(crate) author: Author,
    pub(crate) counts: Arc<StockCounts>,
    /// The id of each row if it is new: they rise with the rows, so that new things are listed in the order of the file.
    pub(crate) ids: Vec<Uuid>,
    /// The rows as they are stored: two files that change the same things at once change them in the same order.
    order: Vec<usize>,
    max_faults: usize,
    progress: Progress,
    kind: PhantomData<fn() -> K>,
}

impl<K: Importable> Import<K> {
    /// Reads a file, which takes some time. The faults that the file has by itself are told only with those that [`Import::check`] finds.
    pub(crate) fn read(file: File, counts: Arc<StockCounts>) -> Result<(Self, RowFaults), Problem> {
        let mut faults = RowFaults::new(file.max_faults);
        let table = Table::read(&file.bytes, file.charset, K::COLUMNS, file.max_rows, &mut faults)?;
        let keys = note_repeated::<K>(&table, &mut faults);
        let mut order: Vec<usize> = (0..table.len()).collect();
        order.sort_by(|one, other| keys[*one].cmp(&keys[*other]));
        let import = Self {
            ids: (0..table.len()).map(|_| new_id()).collect(),
            table,
            context: ReadContext { currency: file.currency, role: Role::Staff },
            author: file.author,
            counts,
            order,
            max_faults: file.max_faults,
            progress: file.progress,
            kind: PhantomData,
        };
        Ok((import, faults))
    }

    /// What it would do, or all that is wrong with it.
    pub(crate) async fn check(
        self: &Arc<Self>,
        db: &Db,
        mut faults: RowFaults,
    ) -> Result<ImportView, Problem> {
        let (rows, mut tally) = (self.table.len(), Tally::default());
        for start in (0..rows).step_by(CHECKED_AT_ONCE) {
            let range = start..rows.min(start + CHECKED_AT_ONCE);
            let read = db.read((Arc::clone(self), range), |tx, (import, rows)| {
                import.check_rows(tx, rows.clone()).boxed()
            });
            let (more, found) = read.await?;
            tally.add(more);
            faults.add_all(found);
            (self.progress)(Stage::Checking, rows.min(start + CHECKED_AT_ONCE), rows);
        }
        faults.check()?;
        Ok(self.view(&tally, true))
    }

    async fn check_rows(&self, tx: &Tx, rows: Range<usize>) -> Result<(Tally, RowFaults), Problem> {
        tx.plan(Planning::Anew).await?;
        let (rows, mut faults) = (rows.collect::<Vec<_>>(), RowFaults::new(self.max_faults));
        let tally = K::check(self, tx, &rows, &mut faults).await?;
        Ok((tally, faults))
    }

    /// Stores all of it.
    pub(crate) async fn store(&self, tx: &Tx) -> Result<ImportView, Problem> {
        let (mut done, mut tally) = (0, Tally::default());
        if K::CHANGES_STOCK && self.order.len() > STORED_AT_ONCE {
            stock::store::take_all_products(tx).await?;
        }
        for rows in self.order.chunks(STORED_AT_ONCE) {
            tx.plan(Planning::Anew).await?;
            let mut faults = RowFaults::new(self.max_faults);
            tally.add(K::store(self, tx, rows, &mut faults).await?);
            faults.check()?;
            done += rows.len();
            (self.progress)(Stage::Storing, done, self.table.len());
        }
        // One entry for all rows: what each did is told by the ledger and by the products' events.
        let (created, changed) = (tally.created, tally.changed);
        let facts = Facts::Import(ImportFacts { rows: self.table.len(), created, changed });
        audit::record(tx, &self.author, Act::new(K::ACTION, None).after(facts)).await?;
        // Orders of these products wait from here to the commit, so there is nothing more to do by then.
        products::settle(tx, &tally, &self.author).await?;
        Ok(self.view(&tally, false))
    }

    /// What is left to do once it is stored, for which nobody's order is to wait.
    pub(crate) async fn finish(&self, db: &Db) {
        if self.table.len() >= MANY {
            db.analyze(K::FILLED).await;
        }
    }

    fn view(&self, tally: &Tally, dry_run: bool) -> ImportView {
        let Tally { created, changed, unchanged, ref categories, .. } = *tally;
        let rows = self.table.len();
        ImportView { rows, created, changed, unchanged, new_categories: categories.len(), dry_run }
    }
}

/// Notes rows that have what an earlier one has, and gives each row's first key.
fn note_repeated<K: Importable>(table: &Table, faults: &mut RowFaults) -> Vec<String> {
    let mut seen: HashMap<(&'static str, String), u32> = HashMap::new();
    let mut firsts = Vec::with_capacity(table.len());
    for row in 0..table.len() {
        let (number, keys) = (table.number(row), K::keys(table, row));
        firsts.push(keys.first().map(|(_, key)| key.clone()).unwrap_or_default());
        for (column, key) in keys {
            let first = *seen.entry((column, key)).or_insert(number);
            if first != number {
                let message = format!("stands in row {first} too");
                faults.add(number, column, Invalid { code: "duplicate_row", message: message.into() });
            }
        }
    }
    firsts
}

/// Imports a file of products straight into a database.
pub async fn import_products(db: &Db, file: File, dry_run: bool) -> Result<ImportView, Problem> {
    import::<products::Products>(db, file, dry_run).await
}

/// Imports a file of counts straight into a database.
pub async fn import_counts(db: &Db, file: File, dry_run: bool) -> Result<ImportView, Problem> {
    import::<counts::Counts>(db, file, dry_run).await
}

async fn import<K: Importable>(db: &Db, file: File, dry_run: bool) -> Result<ImportView, Problem> {
    let (import, faults) = Import::<K>::read(file, Arc::default())?;
    let import = Arc::new(import);
    let checked = import.check(db, faults).await?;
    if dry_run {
        return Ok(checked);
    }
    let stored = db.write(Arc::clone(&import), |tx, import| import.store(tx).boxed()).await?;
    import.finish(db).await;
    Ok(stored)
}
