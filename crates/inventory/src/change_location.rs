//! Making, changing and removing locations. MAIN stays what and where it is.

use db::Tx;
use futures_util::FutureExt;
use kit::answer::{Answer, Created, Resource};
use kit::clock::{Timestamp, new_id};
use kit::etag::IfMatch;
use kit::idempotency::{self, Claim};
use kit::problem::Problem;
use stock::MAIN;
use uuid::Uuid;

use crate::Inventory;
use crate::body::{ChangeLocation, CreateLocation};
use crate::model::Location;
use crate::store::locations::{delete_location, insert_location, lock_location, update_location};
use crate::store::or_conflict;
use crate::view::LocationView;

/// Behind MAIN, and behind whatever was given a place before it.
const DEFAULT_PRIORITY: i64 = 100;

pub(crate) async fn create_location(
    inventory: &Inventory,
    new: CreateLocation,
    claim: Claim,
) -> Result<Created<LocationView>, Problem> {
    let now = inventory.shared.clock.now();
    let location = Location {
        id: new_id(),
        code: new.code.0,
        name: new.name.as_str().to_owned(),
        priority: new.priority.map_or(DEFAULT_PRIORITY, |priority| priority.0),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    inventory
        .shared
        .db
        .write((location, claim), |tx, (location, claim)| {
            idempotency::once(tx, claim, || store_location(tx, location)).boxed()
        })
        .await
}

async fn store_location(tx: &Tx, location: &Location) -> Result<Created<LocationView>, Problem> {
    refuse_taken(insert_location(tx, location).await)?;
    let (path, version) = (format!("/locations/{}", location.id), location.version);
    Ok(Answer::new(&LocationView::from(location.clone()))?.version(version).location(path))
}

fn refuse_taken(stored: Result<(), db::Error>) -> Result<(), Problem> {
    or_conflict(stored, "locations_code_key", "location_taken", "Another location has this code.")
}

/// A change to make.
pub(crate) struct ChangingLocation {
    pub(crate) location_id: Uuid,
    pub(crate) change: ChangeLocation,
    pub(crate) condition: IfMatch,
    pub(crate) now: Timestamp,
}

pub(crate) async fn change_location(
    inventory: &Inventory,
    changing: ChangingLocation,
) -> Result<Resource<LocationView>, Problem> {
    let location = inventory.shared.db.write(changing, |tx, changing| changing.run(tx).boxed()).await?;
    let version = location.version;
    Ok(Answer::new(&LocationView::from(location))?.version(version))
}

impl ChangingLocation {
    async fn run(&self, tx: &Tx) -> Result<Location, Problem> {
        let before = lock_location(tx, self.location_id).await?.ok_or_else(Problem::not_found)?;
        self.condition.check(before.version)?;
        let ChangeLocation { code, name, priority } = &self.change;
        if code.is_none() && name.is_none() && priority.is_none() {
            return Ok(before);
        }
        let after = Location {
            id: before.id,
            code: code.as_ref().map_or(before.code.clone(), |code| code.0.clone()),
            name: name.as_ref().map_or(before.name.clone(), |name| name.as_str().to_owned()),
            priority: priority.map_or(before.priority, |priority| priority.0),
            version: before.version + 1,
            created_at: before.created_at,
            updated_at: self.now.max(before.updated_at),
        };
        if after.id == MAIN && after.code != before.code {
            return Err(Problem::conflict(
                "main_location",
                "MAIN keeps its code: orders are filled from it first.",
            ));
        }
        refuse_taken(update_location(tx, &after).await)?;
        Ok(after)
    }
}

pub(crate) async fn remove_location(
    inventory: &Inventory,
    location_id: Uuid,
    condition: IfMatch,
) -> Result<(), Problem> {
    let input = (location_id, condition);
    inventory.shared.db.write(input, |tx, (id, condition)| remove(tx, *id, condition).boxed()).await
}

async fn remove(tx: &Tx, id: Uuid, condition: &IfMatch) -> Result<(), Problem> {
    let location = lock_location(tx, id).await?.ok_or_else(Problem::not_found)?;
    condition.check(location.version)?;
    if id == MAIN {
        return Err(Problem::conflict(
            "main_location",
            "MAIN can't be deleted: orders are filled from it first.",
        ));
    }
    let removed = delete_location(tx, id).await;
    or_conflict(
        removed,
        "foreign_key",
        "location_in_use",
        "It has, or had, stock: its movements stay explained.",
    )
}
