//! Statements on locations.

use std::collections::{BTreeSet, HashMap};

use db::{Error, Row, Tx, Value};
use kit::page::{Conditions, Key, PageRequest, Position};
use uuid::Uuid;

use crate::model::Location;
use crate::store::{list_names, paged};

const LOCATION: &str = "id, code, name, priority, version, created_at, updated_at";

fn location(row: &Row<'_>) -> Result<Location, Error> {
    Ok(Location {
        id: row.get(0)?,
        code: row.get(1)?,
        name: row.get(2)?,
        priority: row.get(3)?,
        version: row.get(4)?,
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
    })
}

/// The location of this id.
pub(crate) async fn find_location(tx: &Tx, id: Uuid) -> Result<Option<Location>, Error> {
    tx.optional(&format!("SELECT {LOCATION} FROM locations WHERE id = $1"), &[id.into()], location).await
}

/// The id of the location of this code, or of this id.
pub(crate) async fn find_location_named(tx: &Tx, named: &str) -> Result<Option<Uuid>, Error> {
    let key = named.to_lowercase();
    let (column, value) = match Uuid::try_parse(named) {
        Ok(id) => ("id", id.into()),
        Err(_) => ("code_key", (&key).into()),
    };
    tx.optional(&format!("SELECT id FROM locations WHERE {column} = $1"), &[value], |row| row.get(0)).await
}

/// The codes of these locations.
pub(crate) async fn list_codes(tx: &Tx, ids: BTreeSet<Uuid>) -> Result<HashMap<Uuid, String>, Error> {
    list_names(tx, "SELECT id, code FROM locations WHERE id IN", ids).await
}

/// The location of this code; an id isn't one.
pub(crate) async fn find_location_of_code(tx: &Tx, code: &str) -> Result<Option<Uuid>, Error> {
    let key = code.to_lowercase();
    tx.optional("SELECT id FROM locations WHERE code_key = $1", &[(&key).into()], |row| row.get(0)).await
}

/// A location, locked until the transaction ends: the update that changes nothing takes the row's lock on an engine where writers run side by side.
pub(crate) async fn lock_location(tx: &Tx, id: Uuid) -> Result<Option<Location>, Error> {
    let sql = format!("UPDATE locations SET version = version WHERE id = $1 RETURNING {LOCATION}");
    tx.optional(&sql, &[id.into()], location).await
}

/// Stores a new location.
pub(crate) async fn insert_location(tx: &Tx, new: &Location) -> Result<(), Error> {
    let sql = "INSERT INTO locations (id, code, code_key, name, priority, version, updated_at, created_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let key = new.code.to_lowercase();
    let mut args = location_args(new, &key).to_vec();
    args.push(new.created_at.0.into());
    tx.execute(sql, &args).await.map(drop)
}

/// Stores a changed location.
pub(crate) async fn update_location(tx: &Tx, changed: &Location) -> Result<(), Error> {
    let sql = "UPDATE locations SET code = $2, code_key = $3, name = $4, priority = $5, version = $6, updated_at = $7 WHERE id = $1";
    let key = changed.code.to_lowercase();
    tx.execute(sql, &location_args(changed, &key)).await.map(drop)
}

fn location_args<'a>(location: &'a Location, key: &'a str) -> [Value<'a>; 7] {
    [
        location.id.into(),
        (&location.code).into(),
        key.into(),
        (&location.name).into(),
        location.priority.into(),
        location.version.into(),
        location.updated_at.0.into(),
    ]
}

/// Removes a location that has no level.
pub(crate) async fn delete_location(tx: &Tx, id: Uuid) -> Result<(), Error> {
    tx.execute("DELETE FROM locations WHERE id = $1", &[id.into()]).await.map(drop)
}

/// A page of locations.
pub(crate) async fn list_locations(
    tx: &Tx,
    page: &PageRequest,
) -> Result<(Vec<Location>, Option<i64>), Error> {
    let mut conditions = Conditions::new();
    let paged = paged(tx, LOCATION, "locations", &mut conditions, page).await?;
    Ok((tx.rows(&paged.sql, conditions.args(), location).await?, paged.total))
}

/// Where a location stands in a list sorted by `sort`.
pub(crate) fn location_position(location: &Location, sort: &str) -> Position {
    let key = match sort {
        "code_key" => Key::Text(location.code.to_lowercase()),
        _ => Key::Int(location.created_at.0),
    };
    Position { key, id: location.id }
}
