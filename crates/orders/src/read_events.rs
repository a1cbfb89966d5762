//! Reading a page of events.

use std::sync::Arc;

use events::{EventFilter, Events, Position, ReadError, chosen_types};
use futures_util::FutureExt;
use http::StatusCode;
use kit::problem::Problem;

use crate::Orders;

/// Where a reader wants to begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum After {
    /// With the oldest event that is kept.
    #[default]
    Nothing,
    /// With what happens from now on.
    Latest,
    /// Behind an event.
    Event(Position),
}

/// What a reader wants; all if there is none.
pub(crate) type Wanted = Arc<[EventFilter]>;

/// The position behind which a reader begins; none if with the oldest that is kept.
pub(crate) async fn start(orders: &Orders, after: After) -> Result<Option<Position>, Problem> {
    Ok(match after {
        After::Nothing => None,
        After::Event(position) => Some(position),
        After::Latest => Some(orders.shared.db.read((), |tx, ()| events::newest(tx).boxed()).await?),
    })
}

/// Some events behind a position; 410 if there were others that are gone. What it gives is on the disk.
pub(crate) async fn read_page(
    orders: &Orders,
    after: Option<Position>,
    limit: i64,
    wanted: &Wanted,
) -> Result<Events, Problem> {
    let (db, input) = (&orders.shared.db, (after, limit, Arc::clone(wanted)));
    let read = db.read(input, |tx, (after, limit, wanted)| {
        async move { events::read_after(tx, *after, *limit, &chosen_types(wanted)).await.map_err(Refused) }.boxed()
    });
    let page = read.await.map_err(|Refused(error)| problem(error))?;
    if !page.items.is_empty() {
        db.settle().await?;
    }
    Ok(page)
}

/// Carries a refusal out of the transaction.
struct Refused(ReadError);

impl From<db::Error> for Refused {
    fn from(error: db::Error) -> Self {
        Self(error.into())
    }
}

fn problem(error: ReadError) -> Problem {
    match error {
        ReadError::Expired { oldest } => {
            let detail = "Events behind this position are not kept any more. Go on behind `oldest`, and look after yourself for what happened in between.";
            Problem::new(StatusCode::GONE, "cursor_expired", detail).with_member("oldest", oldest.to_string())
        }
        ReadError::Database(error) => error.into(),
    }
}
