//! Every statement on the audit log.

use db::{Error, Row as Cells, Tx, Value};
use kit::clock::Timestamp;
use kit::page::{Conditions, PageRequest};
use kit::statement::{delete_rows, insert_rows};
use kit::text::StoredJson;
use uuid::Uuid;

use crate::action::Action;
use crate::personal::Personal;
use crate::read::{Entry, EntryFilter, Object, Person};
use crate::record::Row;

const ROW: &str = "id, action, object_id, actor_id, key_id, request_id, before_facts, after_facts, count, actor_hash, object_hash, created_at";

/// How many columns that are.
const OF_ROW: usize = 12;

fn cells(row: &Row) -> [Value<'_>; OF_ROW] {
    [
        row.id.into(),
        (&row.action).into(),
        row.object_id.into(),
        row.actor_id.into(),
        row.key_id.into(),
        row.request_id.as_ref().into(),
        row.before.as_ref().into(),
        row.after.as_ref().into(),
        row.count.into(),
        row.actor_hash.as_ref().into(),
        row.object_hash.as_ref().into(),
        row.created_at.0.into(),
    ]
}

/// A row whose first column is this.
fn row(cells: &Cells<'_>, first: usize) -> Result<Row, Error> {
    Ok(Row {
        id: cells.get(first)?,
        action: cells.get(first + 1)?,
        object_id: cells.get(first + 2)?,
        actor_id: cells.get(first + 3)?,
        key_id: cells.get(first + 4)?,
        request_id: cells.get(first + 5)?,
        before: cells.get(first + 6)?,
        after: cells.get(first + 7)?,
        count: cells.get(first + 8)?,
        actor_hash: cells.get(first + 9)?,
        object_hash: cells.get(first + 10)?,
        created_at: cells.get(first + 11)?,
    })
}

/// Adds entries that are not sealed yet, and what is personal of them.
pub(crate) async fn insert(tx: &Tx, rows: &[Row], personal: &[Personal]) -> Result<(), Error> {
    let entries: Vec<_> = rows.iter().map(cells).collect();
    insert_rows(tx, &format!("INSERT INTO audit_unsealed ({ROW})"), &["$"; OF_ROW], &entries).await?;
    const PERSONAL: &str = "INSERT INTO audit_personal (entry_id, whose, account_id, salt, value)";
    let personal: Vec<[Value<'_>; 5]> = personal
        .iter()
        .map(|personal| {
            [
                personal.entry_id.into(),
                personal.whose.as_str().into(),
                personal.account_id.into(),
                personal.salt.as_slice().into(),
                (&personal.value).into(),
            ]
        })
        .collect();
    insert_rows(tx, PERSONAL, &["$"; 5], &personal).await
}

/// Erases what is personal of an account.
pub(crate) async fn erase(tx: &Tx, account_id: Uuid) -> Result<(), Error> {
    let sql = "DELETE FROM audit_personal WHERE account_id = $1";
    tx.execute(sql, &[account_id.into()]).await.map(drop)
}

/// Erases what is personal, in entries from this id on, of accounts that are gone: of those that were written while the account was being removed.
pub(crate) async fn erase_gone(tx: &Tx, from: Uuid) -> Result<u64, Error> {
    let sql = "DELETE FROM audit_personal WHERE entry_id >= $1 AND account_id IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM accounts WHERE accounts.id = audit_personal.account_id)";
    tx.execute(sql, &[from.into()]).await
}

/// The two ends of the chain: the last entry that was sealed, and the last that was swept away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) number: i64,
    pub(crate) hash: Vec<u8>,
    pub(crate) swept_number: i64,
    pub(crate) swept_hash: Vec<u8>,
}

const HEAD: &str = "number, hash, swept_number, swept_hash";

fn head(cells: &Cells<'_>) -> Result<Head, Error> {
    Ok(Head {
        number: cells.get(0)?,
        hash: cells.get(1)?,
        swept_number: cells.get(2)?,
        swept_hash: cells.get(3)?,
    })
}

/// Both ends; none if there is not exactly one row of them.
pub(crate) async fn find_head(tx: &Tx) -> Result<Option<Head>, Error> {
    let mut found = tx.rows(&format!("SELECT {HEAD} FROM audit_head"), &[], head).await?;
    Ok(if found.len() == 1 { found.pop() } else { None })
}

/// The same, and makes all that seal or sweep go one by one.
pub(crate) async fn lock_head(tx: &Tx) -> Result<Head, Error> {
    tx.one(&format!("UPDATE audit_head SET number = number RETURNING {HEAD}"), &[], head).await
}

/// Moves the head.
pub(crate) async fn store_head(tx: &Tx, number: i64, hash: &[u8]) -> Result<(), Error> {
    let sql = "UPDATE audit_head SET number = $1, hash = $2";
    tx.execute(sql, &[number.into(), hash.into()]).await.map(drop)
}

/// When the oldest entry was written that is not sealed, and how far the chain goes.
pub(crate) async fn find_state(tx: &Tx) -> Result<(Option<Timestamp>, i64, i64), Error> {
    let oldest = "(SELECT created_at FROM audit_unsealed ORDER BY seq LIMIT 1)";
    let sql = format!("SELECT {oldest}, number, swept_number FROM audit_head");
    tx.one(&sql, &[], |cells| Ok((cells.get(0)?, cells.get(1)?, cells.get(2)?))).await
}

/// Entries that were committed and are not sealed, each with its place, in the order in which they were written: who had to wait for another's transaction
/// wrote after it.
pub(crate) async fn list_unsealed(tx: &Tx, limit: i64) -> Result<Vec<(i64, Row)>, Error> {
    let sql = format!("SELECT {ROW}, seq FROM audit_unsealed ORDER BY seq LIMIT $1");
    tx.rows(&sql, &[limit.into()], |cells| Ok((cells.get(OF_ROW)?, row(cells, 0)?))).await
}

/// What the last entry of an action said of afterwards.
pub(crate) async fn find_last_facts(tx: &Tx, action: Action) -> Result<Option<String>, Error> {
    let sql =
        "SELECT after_facts FROM audit_entries WHERE action = $1 ORDER BY created_at DESC, id DESC LIMIT 1";
    Ok(tx.optional(sql, &[action.as_str().into()], |cells| cells.get(0)).await?.flatten())
}

/// How many entries are not sealed.
pub(crate) async fn count_unsealed(tx: &Tx) -> Result<i64, Error> {
    tx.one("SELECT COUNT(*) FROM audit_unsealed", &[], |cells| cells.get(0)).await
}

/// An entry with its place in the chain.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) number: i64,
    pub(crate) row: Row,
    pub(crate) sealed_at: Timestamp,
    pub(crate) hash: Vec<u8>,
}

const SEALED: usize = OF_ROW + 3;

/// Adds entries to the chain, and takes them from their places among those that aren't sealed.
pub(crate) async fn insert_sealed(tx: &Tx, sealed: &[Sealed], places: &[i64]) -> Result<(), Error> {
    let rows: Vec<[Value<'_>; SEALED]> = sealed
        .iter()
        .map(|sealed| {
            let mut all = [Value::Null; SEALED];
            let (own, rest) = all.split_at_mut(OF_ROW);
            own.copy_from_slice(&cells(&sealed.row));
            rest.copy_from_slice(&[sealed.number.into(), sealed.sealed_at.0.into(), (&sealed.hash).into()]);
            all
        })
        .collect();
    let insert = format!("INSERT INTO audit_entries ({ROW}, number, sealed_at, hash)");
    insert_rows(tx, &insert, &["$"; SEALED], &rows).await?;
    // Not all up to the last: on PostgreSQL one that was written earlier may be committed just now.
    let keys = places.iter().zip(sealed).map(|(place, sealed)| [(*place).into(), sealed.row.id.into()]);
    delete_rows(tx, "DELETE FROM audit_unsealed", ["seq", "id"], &keys.collect::<Vec<_>>()).await
}

/// What the chain says and what is personal of it.
pub(crate) struct Linked {
    pub(crate) sealed: Sealed,
    pub(crate) of_actor: Kept,
    pub(crate) of_object: Kept,
}

/// What is kept of a personal value.
pub(crate) struct Kept {
    /// Salt and value, if they are not erased.
    pub(crate) value: Option<(Vec<u8>, String)>,
    /// With which account it goes.
    pub(crate) account_id: Option<Uuid>,
    /// The account that it can only belong to, if that is still there.
    pub(crate) owner: Option<Uuid>,
}

/// The entries behind a number, in the order of the chain.
pub(crate) async fn list_chain(tx: &Tx, behind: i64, limit: i64) -> Result<Vec<Linked>, Error> {
    let sql = format!(
        "SELECT {columns}, number, sealed_at, page.hash, of_actor.salt, of_actor.value, of_actor.account_id, actor.id,
                of_object.salt, of_object.value, of_object.account_id, object.id
         FROM (SELECT * FROM audit_entries WHERE number > $1 ORDER BY number LIMIT $2) AS page
         LEFT JOIN audit_personal AS of_actor ON of_actor.entry_id = page.id AND of_actor.whose = 'actor'
         LEFT JOIN audit_personal AS of_object ON of_object.entry_id = page.id AND of_object.whose = 'object'
         LEFT JOIN accounts AS actor ON actor.id = COALESCE(page.actor_id, page.object_id)
         LEFT JOIN accounts AS object ON object.id = page.object_id
         ORDER BY number",
        columns = ROW.split(", ").map(|column| format!("page.{column}")).collect::<Vec<_>>().join(", ")
    );
    tx.rows(&sql, &[behind.into(), limit.into()], |cells| {
        let kept = |first: usize| -> Result<Kept, Error> {
            let salt: Option<Vec<u8>> = cells.get(first)?;
            let value: Option<String> = cells.get(first + 1)?;
            let (account_id, owner) = (cells.get(first + 2)?, cells.get(first + 3)?);
            Ok(Kept { value: salt.zip(value), account_id, owner })
        };
        let sealed = Sealed {
            row: row(cells, 0)?,
            number: cells.get(OF_ROW)?,
            sealed_at: cells.get(OF_ROW + 1)?,
            hash: cells.get(OF_ROW + 2)?,
        };
        Ok(Linked { sealed, of_actor: kept(SEALED)?, of_object: kept(SEALED + 4)? })
    })
    .await
}

/// The oldest entries that are kept: number, hash and time of each.
pub(crate) async fn list_oldest(tx: &Tx, limit: i64) -> Result<Vec<(i64, Vec<u8>, Timestamp)>, Error> {
    let sql = "SELECT number, hash, created_at FROM audit_entries ORDER BY number LIMIT $1";
    tx.rows(sql, &[limit.into()], |cells| Ok((cells.get(0)?, cells.get(1)?, cells.get(2)?))).await
}

/// Removes all up to an entry, and remembers it as the one before the first.
pub(crate) async fn delete_up_to(tx: &Tx, number: i64, hash: &[u8]) -> Result<u64, Error> {
    let sql = "UPDATE audit_head SET swept_number = $1, swept_hash = $2";
    tx.execute(sql, &[number.into(), hash.into()]).await?;
    let sql =
        "DELETE FROM audit_personal WHERE entry_id IN (SELECT id FROM audit_entries WHERE number <= $1)";
    tx.execute(sql, &[number.into()]).await?;
    tx.execute("DELETE FROM audit_entries WHERE number <= $1", &[number.into()]).await
}

/// A page of sealed entries.
pub(crate) async fn list(
    tx: &Tx,
    filter: &EntryFilter,
    page: &PageRequest,
) -> Result<(Vec<Entry>, Option<i64>), Error> {
    let mut conditions = filter.conditions();
    let total = if page.count { Some(count(tx, &conditions).await?) } else { None };
    conditions.after(page);
    let (sort, direction, limit) = (page.sort, page.direction(), conditions.bind(page.fetch()));
    let chosen = conditions.sql();
    let sql = format!(
        "SELECT {ROW}, number, sealed_at, hash, of_actor.value, of_object.value
         FROM (SELECT * FROM audit_entries{chosen} ORDER BY {sort} {direction}, id {direction} LIMIT {limit}) AS page
         LEFT JOIN audit_personal AS of_actor ON of_actor.entry_id = page.id AND of_actor.whose = 'actor'
         LEFT JOIN audit_personal AS of_object ON of_object.entry_id = page.id AND of_object.whose = 'object'
         ORDER BY page.{sort} {direction}, page.id {direction}"
    );
    Ok((tx.rows(&sql, conditions.args(), entry).await?, total))
}

/// The sealed entries behind a moment and an id that an account made or that are about it, the oldest first; of what is personal, that account's alone.
pub(crate) async fn list_of(
    tx: &Tx,
    account_id: Uuid,
    after: (Timestamp, Uuid),
    limit: i64,
) -> Result<Vec<Entry>, Error> {
    let by = |column: &str| {
        format!(
            "SELECT * FROM (SELECT * FROM audit_entries WHERE {column} = $1 AND (created_at, id) > ($2, $3)
             ORDER BY created_at, id LIMIT $4) AS by_{column}"
        )
    };
    let sql = format!(
        "SELECT {ROW}, number, sealed_at, hash, of_actor.value, of_object.value
         FROM ({} UNION {} ORDER BY created_at, id LIMIT $4) AS page
         LEFT JOIN audit_personal AS of_actor ON of_actor.entry_id = page.id AND of_actor.whose = 'actor' AND of_actor.account_id = $1
         LEFT JOIN audit_personal AS of_object ON of_object.entry_id = page.id AND of_object.whose = 'object' AND of_object.account_id = $1
         ORDER BY page.created_at, page.id",
        by("actor_id"),
        by("object_id")
    );
    tx.rows(&sql, &[account_id.into(), after.0.0.into(), after.1.into(), limit.into()], entry).await
}

async fn count(tx: &Tx, conditions: &Conditions<'_>) -> Result<i64, Error> {
    let sql = format!("SELECT COUNT(*) FROM audit_entries{}", conditions.sql());
    tx.one(&sql, conditions.args(), |cells| cells.get(0)).await
}

fn entry(cells: &Cells<'_>) -> Result<Entry, Error> {
    let row = row(cells, 0)?;
    let (hash, address): (Vec<u8>, Option<String>) = (cells.get(OF_ROW + 2)?, cells.get(SEALED)?);
    let person: Option<String> = cells.get(SEALED + 1)?;
    let is_erased =
        (row.actor_hash.is_some() && address.is_none()) || (row.object_hash.is_some() && person.is_none());
    let kind = Action::parse(&row.action).map(Action::object_kind);
    Ok(Entry {
        number: cells.get(OF_ROW)?,
        id: row.id,
        action: row.action,
        object: kind.zip(row.object_id).map(|(kind, id)| Object { kind, id }),
        actor_id: row.actor_id,
        key_id: row.key_id,
        address,
        request_id: row.request_id,
        before: row.before.map(StoredJson),
        after: row.after.map(StoredJson),
        person: person.map(|json| Person(StoredJson(json))),
        erased: is_erased,
        count: row.count,
        created_at: row.created_at,
        sealed_at: cells.get(OF_ROW + 1)?,
        hash: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}
