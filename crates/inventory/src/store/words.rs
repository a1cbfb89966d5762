//! Statements on the words that products are found by.

use std::collections::BTreeSet;

use db::{Error, Tx, Value};
use kit::statement::insert_rows;
use uuid::Uuid;

/// How many products, at most as many as are asked for, have a word in this range; one that has several counts as often.
pub(crate) async fn count_words(tx: &Tx, from: &str, behind: &str, at_most: i64) -> Result<i64, Error> {
    let sql = "SELECT COUNT(*) FROM (SELECT product_id FROM product_words WHERE word >= $1 AND word < $2 LIMIT $3) AS found";
    tx.one(sql, &[from.into(), behind.into(), at_most.into()], |row| row.get(0)).await
}

/// Replaces a product's words by others.
pub(crate) async fn replace_words(
    tx: &Tx,
    product_id: Uuid,
    before: &BTreeSet<String>,
    after: &BTreeSet<String>,
) -> Result<(), Error> {
    let delete = "DELETE FROM product_words WHERE word = $1 AND product_id = $2";
    let gone: Vec<[Value<'_>; 2]> =
        before.difference(after).map(|word| [word.into(), product_id.into()]).collect();
    let statements: Vec<(&str, &[Value<'_>])> = gone.iter().map(|args| (delete, args.as_slice())).collect();
    tx.later(&statements).await?;
    let new: Vec<[Value<'_>; 2]> =
        after.difference(before).map(|word| [word.into(), product_id.into()]).collect();
    insert_rows(tx, "INSERT INTO product_words (word, product_id)", &["$"; 2], &new).await
}
