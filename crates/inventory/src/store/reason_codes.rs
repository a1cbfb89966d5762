//! Statements on reason codes.

use db::{Error, Row, Tx};
use kit::page::{Conditions, Key, PageRequest, Position};
use uuid::Uuid;

use crate::store::count;
use crate::view::ReasonCodeView;

/// Whether there is this code.
pub(crate) async fn is_reason_code(tx: &Tx, code: &str) -> Result<bool, Error> {
    let sql = "SELECT code FROM reason_codes WHERE code = $1";
    Ok(tx.optional(sql, &[code.into()], |row| row.get::<String>(0)).await?.is_some())
}

/// Stores a new code.
pub(crate) async fn insert_reason_code(tx: &Tx, reason: &ReasonCodeView) -> Result<(), Error> {
    let sql = "INSERT INTO reason_codes (code, description, created_at) VALUES ($1, $2, $3)";
    let args = [(&reason.code).into(), (&reason.description).into(), reason.created_at.0.into()];
    tx.execute(sql, &args).await.map(drop)
}

/// A page of codes, sorted by themselves, which are their keys.
pub(crate) async fn list_reason_codes(
    tx: &Tx,
    page: &PageRequest,
) -> Result<(Vec<ReasonCodeView>, Option<i64>), Error> {
    let mut conditions = Conditions::new();
    let total = count(tx, "reason_codes", &conditions, page).await?;
    if let Some(after) = &page.after {
        conditions.and(if page.descending { "code < {}" } else { "code > {}" }, &after.key);
    }
    let (direction, limit) = (page.direction(), conditions.bind(page.fetch()));
    let sql = format!(
        "SELECT code, description, created_at FROM reason_codes{} ORDER BY code {direction} LIMIT {limit}",
        conditions.sql()
    );
    let read = |row: &Row<'_>| {
        Ok(ReasonCodeView { code: row.get(0)?, description: row.get(1)?, created_at: row.get(2)? })
    };
    Ok((tx.rows(&sql, conditions.args(), read).await?, total))
}

/// Where a code stands in the list.
pub(crate) fn reason_code_position(reason: &ReasonCodeView) -> Position {
    Position { key: Key::Text(reason.code.clone()), id: Uuid::nil() }
}
