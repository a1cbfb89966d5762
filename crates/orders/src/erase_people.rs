//! Taking what is personal out of the orders of people whose account is gone: notes, where to ship, metadata and the reasons in their
//! histories, and what was told of them. An order that is still open keeps it until it closes, since it must be shipped. What was bought,
//! paid and shipped, and the numbers by which others know of it, stay: they are the business's books.

use db::{Db, Error, Tx};
use futures_util::FutureExt;
use kit::idempotency;
use uuid::Uuid;

use crate::store;

/// How many people are looked at, and of how many orders of one what is personal is taken out at once.
const PEOPLE: i64 = 100;
const AT_ONCE: i64 = 50;

/// Does it for all who are gone, as far as their orders are closed. Several processes may do it at once. Where nothing is to be done it writes nothing,
/// since somebody's last order may stay open for long. `after` is where it is, from one call to the next: with whom it fails it begins last of all
/// the next time, so that nobody waits behind one that fails each time.
pub async fn erase_people(db: &Db, after: &mut Uuid) -> Result<(), Error> {
    loop {
        let people = people_behind(db, *after).await?;
        if people.is_empty() {
            *after = Uuid::nil();
            return Ok(());
        }
        for (person, is_begun) in people {
            *after = person;
            erase_person(db, person, is_begun).await?;
        }
    }
}

async fn people_behind(db: &Db, person: Uuid) -> Result<Vec<(Uuid, bool)>, Error> {
    db.lookup(person, |tx, person| accounts::store::list_erasures(tx, *person, PEOPLE).boxed()).await
}

async fn erase_person(db: &Db, person: Uuid, is_begun: bool) -> Result<(), Error> {
    if !is_begun {
        db.write(person, |tx, person| forget_answers(tx, *person).boxed()).await?;
    }
    while is_left(db, person).await? {
        db.write(person, |tx, person| erase_some(tx, *person).boxed()).await?;
    }
    if !db.read(person, |tx, person| store::has_open_order(tx, *person).boxed()).await? {
        db.write(person, |tx, person| finish(tx, *person).boxed()).await?;
    }
    Ok(())
}

async fn is_left(db: &Db, person: Uuid) -> Result<bool, Error> {
    let left = db.read(person, |tx, person| store::orders_to_erase(tx, *person, 1).boxed()).await?;
    Ok(!left.is_empty())
}

/// What was answered to staff who made something for the person, and is kept for a day in case they ask again. It is looked for once: what is
/// answered to other requests goes with that day.
async fn forget_answers(tx: &Tx, person: Uuid) -> Result<(), Error> {
    let orders = store::recent_orders_of(tx, person).await?;
    let own = format!("/users/{person}");
    let locations: Vec<String> = orders.into_iter().map(|id| format!("/orders/{id}")).chain([own]).collect();
    idempotency::forget(tx, &locations).await?;
    accounts::store::begin_erasure(tx, person).await
}

async fn erase_some(tx: &Tx, person: Uuid) -> Result<(), Error> {
    let orders = store::orders_to_erase(tx, person, AT_ONCE).await?;
    for &id in &orders {
        let Some(mut order) = store::lock_order(tx, id).await? else { continue };
        order.note = None;
        store::erase_order(tx, id, &order.search_text()).await?;
    }
    webhooks::forget_objects(tx, &orders).await
}

/// The order of the questions matters: an order that closes between them is seen by the second.
async fn finish(tx: &Tx, person: Uuid) -> Result<(), Error> {
    if store::has_open_order(tx, person).await? || !store::orders_to_erase(tx, person, 1).await?.is_empty() {
        return Ok(());
    }
    accounts::store::delete_erasure(tx, person).await
}
