//! What people are told by mail: an outbox, what the mails say, and the work that sends them.
//!
//! It is not a service: it has no endpoints. A mail is asked for in the transaction of what it tells of, by its kind and the ids that it is about; its text is made
//! when it is sent, so that no secret and hardly anything personal lies in the outbox (decision 0016). Every process that has a way out for mails sends a share of them.
//!
//! What holds: a mail is sent once by one process; again only where its end was not stored, such as after a crash, and then with the same `Message-ID`. One that
//! can't be sent is tried again for a day.
//!
//! Tables: `mails`, `mail_tokens`, `low_stock_cursor`. It reads `accounts`, `products` and `stock_levels`.
//!
//! Files in reading order: `kind` (what mails there are), `ask` (asking for one), `store` (every statement), `low_stock` (events become mails), `token` (what is mailed and
//! works once), `public_url` (what links begin with), `compose` (what a mail says, with `account_mails`), `schedule` (when it is tried again), `outcome` (what became of it), `work` (all of that,
//! for ever), `counts` (what they count).

mod account_mails;
mod ask;
mod compose;
mod counts;
mod kind;
mod low_stock;
mod outcome;
mod public_url;
mod schedule;
mod store;
mod token;
mod work;

use std::sync::Arc;

use db::{Db, Error, Tx};
use futures_util::FutureExt;
use kit::clock::{Clock, Timestamp};
use kit::mail::{Address, Mail};
use kit::work::Ending;
use tracing::warn;

pub use ask::{ask, ask_former_address, ask_reset};
pub use counts::MailCounts;
pub use kind::Kind;
pub use public_url::PublicUrl;
pub use store::{Waiting, forget_account, mails_of, settle_in, void_token};
pub use token::{Proof, Purpose, look_at, redeem};

/// What sending mails needs.
pub struct Mails {
    db: Db,
    clock: Clock,
    way: Arc<dyn Mail>,
    /// Who is told of low stock.
    low_stock_to: Vec<Address>,
    /// What links begin with; none where it isn't known.
    public_url: Option<PublicUrl>,
    /// What became of the mails.
    pub counts: Arc<MailCounts>,
    ending: Ending,
}

impl Mails {
    /// With the way out, those who are told of low stock, and what links begin with.
    pub fn new(
        db: Db,
        clock: Clock,
        way: Arc<dyn Mail>,
        low_stock_to: Vec<Address>,
        public_url: Option<PublicUrl>,
    ) -> Self {
        let (counts, ending) = (Arc::default(), Ending::default());
        Self { db, clock, way, low_stock_to, public_url, counts, ending }
    }
}

/// Removes at most `limit` mails that nobody has sent in time: where no process has a way out, nobody else does. And as many tokens that nobody has used in theirs.
pub async fn sweep(db: &Db, now: Timestamp, limit: i64) -> Result<u64, Error> {
    let swept = db.write((now, limit), |tx, (now, limit)| sweep_some(tx, *now, *limit).boxed()).await?;
    if swept > 0 {
        warn!(count = swept, "mails were given up that no process could send");
    }
    Ok(swept)
}

async fn sweep_some(tx: &Tx, now: Timestamp, limit: i64) -> Result<u64, Error> {
    store::sweep_tokens(tx, now, limit).await?;
    store::sweep_mails(tx, now.minus(schedule::KEPT), limit).await
}
