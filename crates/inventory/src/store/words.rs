//! Statements on the words that products are found by.

use std::collections::BTreeSet;

use db::{Error, Tx, Value};
use kit::page::Conditions;
use kit::statement::{delete_rows, filled_up, insert_rows};
use uuid::Uuid;

/// All words from one on, and before another.
#[derive(Clone)]
pub(crate) struct WordRange {
    pub(crate) from: String,
    pub(crate) behind: String,
}

/// How many products, at most as many as are asked for, have a word in this range; one that has several counts as often.
pub(crate) async fn count_words(tx: &Tx, range: &WordRange, at_most: usize) -> Result<usize, Error> {
    let sql = "SELECT COUNT(*) FROM (SELECT product_id FROM product_words WHERE word >= $1 AND word < $2 LIMIT $3) AS found";
    let args = [(&range.from).into(), (&range.behind).into(), limit(at_most)];
    let count: i64 = tx.one(sql, &args, |row| row.get(0)).await?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// The first words of a range, each looked up behind the one before, since a common word has very many rows.
pub(crate) async fn next_words(tx: &Tx, range: &WordRange, at_most: usize) -> Result<Vec<String>, Error> {
    let sql = "WITH RECURSIVE following (word) AS (
                   SELECT MIN(word) FROM product_words WHERE word >= $1 AND word < $2
                   UNION ALL
                   SELECT (SELECT MIN(product_words.word) FROM product_words WHERE product_words.word > following.word AND product_words.word < $2)
                   FROM following WHERE following.word IS NOT NULL
               )
               SELECT word FROM following WHERE word IS NOT NULL LIMIT $3";
    tx.rows(sql, &[(&range.from).into(), (&range.behind).into(), limit(at_most)], |row| row.get(0)).await
}

/// A word of which a product has to have one that begins so.
pub(crate) enum Beginning<'a> {
    /// Of these, which are looked up.
    Of(&'a [String]),
    /// Of a range of very many, whose products are collected first.
    OfVeryMany(&'a WordRange),
}

impl<'a> Beginning<'a> {
    /// The query of the products that have one of the words.
    fn sql(&self, args: &mut Conditions<'a>) -> String {
        let is_one = match self {
            Self::Of(words) => {
                let words = filled_up(words.iter().map(Value::from).collect());
                let list: Vec<String> = words.into_iter().map(|word| args.bind(word)).collect();
                format!("word IN ({})", list.join(", "))
            }
            Self::OfVeryMany(range) => {
                format!("word >= {} AND word < {}", args.bind(&range.from), args.bind(&range.behind))
            }
        };
        format!("SELECT product_id FROM product_words WHERE {is_one}")
    }
}

/// The products, at most as many as are asked for, that have a word of each beginning. One that has several may stand there as often.
pub(crate) async fn list_products_with(
    tx: &Tx,
    beginnings: &[Beginning<'_>],
    at_most: usize,
) -> Result<Vec<Uuid>, Error> {
    let mut args = Conditions::new();
    let queries: Vec<String> = beginnings.iter().map(|beginning| beginning.sql(&mut args)).collect();
    // Both go through the products of each word once, in the order of their ids: SQLite merges queries, but looks up joins; PostgreSQL merges joins, but
    // collects what queries have in common.
    let all = if tx.merges_joins() {
        joined(beginnings, &queries)
    } else {
        format!("{} ORDER BY 1", queries.join(" INTERSECT "))
    };
    let sql = format!("{all} LIMIT {}", args.bind(limit(at_most)));
    tx.rows(&sql, args.args(), |row| row.get(0)).await
}

fn joined(beginnings: &[Beginning<'_>], queries: &[String]) -> String {
    let (mut from, mut conditions) = (String::new(), Vec::new());
    for (index, (beginning, query)) in beginnings.iter().zip(queries).enumerate() {
        match beginning {
            _ if index == 0 => from = format!("({query}) AS words0"),
            Beginning::Of([_]) => {
                from += &format!(
                    " JOIN ({query}) AS words{index} ON words{index}.product_id = words0.product_id"
                );
            }
            // A product may have several of them, and would stand there as often.
            Beginning::Of(_) | Beginning::OfVeryMany(_) => {
                conditions.push(format!(" AND words0.product_id IN ({query})"));
            }
        }
    }
    format!("SELECT words0.product_id FROM {from} WHERE TRUE{}", conditions.concat())
}

fn limit(at_most: usize) -> Value<'static> {
    i64::try_from(at_most).unwrap_or(i64::MAX).into()
}

/// Replaces a product's words by others.
pub(crate) async fn replace_words(
    tx: &Tx,
    product_id: Uuid,
    before: &BTreeSet<String>,
    after: &BTreeSet<String>,
) -> Result<(), Error> {
    let of_product = |word: &String| (word.clone(), product_id);
    let gone: Vec<_> = before.difference(after).map(of_product).collect();
    let new: Vec<_> = after.difference(before).map(of_product).collect();
    change_words(tx, &gone, &new).await
}

/// Takes words from products and gives them others, both sorted, so that those that stand together are changed together.
pub(crate) async fn change_words(
    tx: &Tx,
    gone: &[(String, Uuid)],
    new: &[(String, Uuid)],
) -> Result<(), Error> {
    delete_rows(tx, "DELETE FROM product_words", ["word", "product_id"], &rows(gone)).await?;
    insert_rows(tx, "INSERT INTO product_words (word, product_id)", &["$"; 2], &rows(new)).await
}

fn rows(words: &[(String, Uuid)]) -> Vec<[Value<'_>; 2]> {
    words.iter().map(|(word, id)| [word.into(), (*id).into()]).collect()
}
