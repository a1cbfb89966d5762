//! Settings change while nothing runs, so a process that starts compares its own with those that were told last.

use db::{Db, Error, Tx};
use futures_util::FutureExt;
use kit::author::Author;
use kit::clock::Timestamp;

use crate::action::Action;
use crate::facts::{Facts, SettingsFacts};
use crate::record::{Act, record_between, to_json};
use crate::seal::seal_all;
use crate::store;

/// Writes down the settings of a process that starts, if they are others than the last process's.
pub async fn record_settings(db: &Db, settings: SettingsFacts, now: Timestamp) -> Result<(), Error> {
    // What the last process wrote may not be sealed yet, and only what is sealed is looked at.
    seal_all(db, now).await?;
    db.write((settings, now), |tx, (settings, now)| compare(tx, settings, *now).boxed()).await
}

async fn compare(tx: &Tx, settings: &SettingsFacts, now: Timestamp) -> Result<(), Error> {
    let last = store::find_last_facts(tx, Action::SettingsChanged).await?;
    let after = Facts::Settings(settings.clone());
    if last.as_ref() == Some(&to_json(&after)?) {
        return Ok(());
    }
    record_between(tx, &Author::nobody(now), &Act::new(Action::SettingsChanged, None).after(after), last)
        .await
}
