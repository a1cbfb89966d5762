//! Every statement of inventory: on its own tables and on locations; levels and movements are only read here.

pub(crate) mod categories;
pub(crate) mod figures;
pub(crate) mod levels;
pub(crate) mod locations;
pub(crate) mod movements;
pub(crate) mod products;
pub(crate) mod reason_codes;
pub(crate) mod words;

use std::collections::{BTreeSet, HashMap};

use db::{Error, Tx};
use kit::page::{Conditions, PageRequest};
use kit::problem::Problem;
use kit::statement::{IDS_AT_ONCE, filled_up, placeholders};
use uuid::Uuid;

/// Orders and pages a query of rows that have `created_at` or another sort column and an `id`, and counts them all where that was asked for.
pub(crate) struct Paged {
    pub(crate) sql: String,
    pub(crate) total: Option<i64>,
}

/// Completes `SELECT columns FROM from` by conditions, order and limit.
pub(crate) async fn paged<'a>(
    tx: &Tx,
    columns: &str,
    from: &str,
    conditions: &mut Conditions<'a>,
    page: &'a PageRequest,
) -> Result<Paged, Error> {
    let total = count(tx, from, conditions, page).await?;
    conditions.after(page);
    let (sort, direction, limit) = (page.sort, page.direction(), conditions.bind(page.fetch()));
    let filter = conditions.sql();
    let sql = format!(
        "SELECT {columns} FROM {from}{filter} ORDER BY {sort} {direction}, id {direction} LIMIT {limit}"
    );
    Ok(Paged { sql, total })
}

/// How many rows there are in all, if the page asks for it.
pub(crate) async fn count(
    tx: &Tx,
    from: &str,
    conditions: &Conditions<'_>,
    page: &PageRequest,
) -> Result<Option<i64>, Error> {
    if !page.count {
        return Ok(None);
    }
    let sql = format!("SELECT COUNT(*) FROM {from}{}", conditions.sql());
    tx.one(&sql, conditions.args(), |row| row.get(0)).await.map(Some)
}

/// What things of these ids are called; `select` ends before the list of ids.
async fn list_names(tx: &Tx, select: &str, ids: BTreeSet<Uuid>) -> Result<HashMap<Uuid, String>, Error> {
    let (ids, mut found) = (ids.into_iter().collect::<Vec<_>>(), HashMap::new());
    for ids in ids.chunks(IDS_AT_ONCE) {
        let args = filled_up(ids.iter().map(|id| (*id).into()).collect());
        let sql = format!("{select} ({})", placeholders(args.len()));
        found.extend(tx.rows(&sql, &args, |row| Ok((row.get(0)?, row.get(1)?))).await?);
    }
    Ok(found)
}

/// A change that a constraint may refuse: 409 with this code.
pub(crate) fn or_conflict<T>(
    result: Result<T, Error>,
    constraint: &str,
    code: &'static str,
    detail: &'static str,
) -> Result<T, Problem> {
    result.map_err(|error| match error {
        error if error.violates(constraint) => Problem::conflict(code, detail),
        error => error.into(),
    })
}
