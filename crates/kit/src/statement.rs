//! Texts of statements whose length depends on how much there is to say. They are few, since an engine keeps only so many prepared.

use std::iter;

use db::{Error, Tx, Value};

/// `$1, $2, …`, so many.
pub fn placeholders(count: usize) -> String {
    let mut text = String::with_capacity(count * 5);
    for number in 1..=count {
        text.push_str(if number == 1 { "$" } else { ", $" });
        push_number(&mut text, number);
    }
    text
}

/// How many ids one statement asks for, at most.
pub const IDS_AT_ONCE: usize = 256;

/// The last of a list repeated until there is a power of two: a list of each length would be a statement of its own, of which an engine keeps only so many
/// prepared.
pub fn filled_up(mut list: Vec<Value<'_>>) -> Vec<Value<'_>> {
    let missing = list.len().next_power_of_two() - list.len();
    list.extend(list.last().copied().into_iter().cycle().take(missing));
    list
}

/// Inserts rows, several with a statement. `insert` ends before `VALUES`; a row's `$` become placeholders, the rest of it stands as it is.
pub async fn insert_rows<const N: usize>(
    tx: &Tx,
    insert: &str,
    row: &[&str],
    rows: &[[Value<'_>; N]],
) -> Result<(), Error> {
    for rows in parts(rows) {
        tx.later(&[(&numbered(insert, row, rows.len()), rows.as_flattened())]).await?;
    }
    Ok(())
}

/// Inserts rows as [`insert_rows`] does, and does what `on_conflict` says with those that are there; counts the rows that it has stored.
pub async fn upsert_rows<const N: usize>(
    tx: &Tx,
    insert: &str,
    row: &[&str],
    on_conflict: &str,
    rows: &[[Value<'_>; N]],
) -> Result<u64, Error> {
    let upsert = |count| [&numbered(insert, row, count), " ", on_conflict].concat();
    let statements: Vec<_> = parts(rows).map(|rows| (upsert(rows.len()), rows.as_flattened())).collect();
    let statements: Vec<_> = statements.iter().map(|(sql, args)| (sql.as_str(), *args)).collect();
    Ok(tx.all(&statements).await?.into_iter().sum())
}

/// Deletes the rows that have these values in these columns, several with a statement.
pub async fn delete_rows<const N: usize>(
    tx: &Tx,
    delete: &str,
    columns: [&str; N],
    rows: &[[Value<'_>; N]],
) -> Result<(), Error> {
    for rows in parts(rows) {
        let sql = [delete, " WHERE ", &matching(columns, rows.len())].concat();
        tx.later(&[(&sql, rows.as_flattened())]).await?;
    }
    Ok(())
}

/// The rows of one statement after another.
fn parts<'a, T>(rows: &'a [T]) -> impl Iterator<Item = &'a [T]> + use<'a, T> {
    let mut left = rows;
    iter::from_fn(move || {
        let (now, later) = left.split_at(at_once(left.len()));
        left = later;
        (!now.is_empty()).then_some(now)
    })
}

/// How many of so many rows go with a statement.
fn at_once(rows: usize) -> usize {
    match rows {
        few @ 0..8 => few,
        8..32 => 8,
        32..256 => 32,
        _ => 256,
    }
}

/// A statement with so many rows.
fn numbered(insert: &str, row: &[&str], count: usize) -> String {
    let mut sql = String::with_capacity(insert.len() + count * row.len() * 7);
    sql.push_str(insert);
    let mut number = 0;
    for index in 0..count {
        sql.push_str(if index == 0 { " VALUES (" } else { "), (" });
        for (column, value) in row.iter().enumerate() {
            sql.push_str(if column == 0 { "" } else { ", " });
            sql.push_str(value);
            if *value == "$" {
                number += 1;
                push_number(&mut sql, number);
            }
        }
    }
    sql.push(')');
    sql
}

/// What so many rows have in these columns. Each of them is found by the index of all the columns, as not both engines would with a list of row values.
fn matching<const N: usize>(columns: [&str; N], count: usize) -> String {
    let (mut sql, mut number) = (String::new(), 0);
    for index in 0..count {
        sql.push_str(if index == 0 { "(" } else { ") OR (" });
        for (place, column) in columns.iter().enumerate() {
            number += 1;
            sql.push_str(if place == 0 { "" } else { " AND " });
            sql.push_str(column);
            sql.push_str(" = $");
            push_number(&mut sql, number);
        }
    }
    sql.push(')');
    sql
}

/// By hand, since formatting so many numbers takes a noticeable part of the writer's time.
fn push_number(sql: &mut String, number: usize) {
    if number > 9 {
        push_number(sql, number / 10);
    }
    sql.push(char::from(b'0' + (number % 10) as u8));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_in_few_sizes() {
        let sizes = |rows: usize| parts(&vec![(); rows]).map(<[()]>::len).collect::<Vec<_>>();
        assert!(sizes(0).is_empty());
        assert_eq!(sizes(7), [7]);
        assert_eq!(sizes(300), [256, 32, 8, 4]);
    }

    #[test]
    fn placeholders_are_numbered_through() {
        assert_eq!(placeholders(3), "$1, $2, $3");
        assert!(placeholders(120).ends_with(", $119, $120"));
        assert_eq!(
            numbered("INSERT INTO a (b, c)", &["$", "0"], 2),
            "INSERT INTO a (b, c) VALUES ($1, 0), ($2, 0)"
        );
        assert_eq!(matching(["b", "c"], 2), "(b = $1 AND c = $2) OR (b = $3 AND c = $4)");
    }
}
