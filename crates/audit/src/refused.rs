//! Entries of what was refused: one for each client and minute, however often it was.

use std::sync::Arc;

use db::{Db, Error, Tx};
use futures_util::FutureExt;
use kit::clock::new_id;
use kit::refusals::{Refusal, Refusals, Tally};

use crate::action::Action;
use crate::facts::{Facts, RefusedFacts};
use crate::personal::Personal;
use crate::record::{Row, to_json};
use crate::store;

/// Writes down what is due: all of the minutes that are over, or all that there is.
pub(crate) async fn write_refused(db: &Db, refusals: &Refusals, all: bool) -> Result<(), Error> {
    let due = Arc::new(refusals.take(all));
    if due.is_empty() {
        return Ok(());
    }
    let written = db.write(Arc::clone(&due), |tx, due| write(tx, due).boxed()).await;
    if written.is_err() {
        refusals.give_back(Arc::unwrap_or_clone(due));
    }
    written
}

async fn write(tx: &Tx, due: &[Tally]) -> Result<(), Error> {
    let (mut rows, mut personal) = (Vec::with_capacity(due.len()), Vec::with_capacity(due.len()));
    for tally in due {
        let (row, of_actor) = entry(tally)?;
        rows.push(row);
        personal.extend(of_actor);
    }
    store::insert(tx, &rows, &personal).await?;
    // Of an account that was removed since, nothing personal may come back.
    match rows.first() {
        Some(first) => store::erase_gone(tx, first.id).await.map(drop),
        None => Ok(()),
    }
}

fn entry(tally: &Tally) -> Result<(Row, Option<Personal>), Error> {
    let (id, refused) = (new_id(), tally.refused);
    // Where an account was tried, it is most likely its owner who was there.
    let account_id = refused.actor_id.or(refused.account_id);
    let of_actor = refused.address.map(|address| Personal::of_actor(id, account_id, address)).transpose()?;
    let facts = RefusedFacts { asked: tally.asked.clone(), others: tally.is_crowd };
    let row = Row {
        id,
        action: action(refused.refusal).as_str().to_owned(),
        object_id: refused.account_id,
        actor_id: refused.actor_id,
        key_id: refused.key_id,
        request_id: tally.request_id.clone(),
        before: None,
        after: Some(to_json(&Facts::Refused(facts))?),
        count: tally.count,
        actor_hash: of_actor.as_ref().map(Personal::hash),
        object_hash: None,
        created_at: tally.first_at,
    };
    Ok((row, of_actor))
}

fn action(refusal: Refusal) -> Action {
    match refusal {
        Refusal::Denied => Action::AccessDenied,
        Refusal::WrongLogin => Action::LoginFailed,
        Refusal::WrongPassword => Action::PasswordFailed,
        Refusal::TooManyGuesses => Action::GuessingLimited,
    }
}
