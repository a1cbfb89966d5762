//! What was refused, counted for each client and minute, so that nobody can make us write by being refused often.
//!
//! It is kept in memory; whoever writes it down takes what is due. A process that is killed loses what wasn't taken yet: a minute or so.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::Request;
use axum::response::Response;
use http::HeaderValue;
use uuid::Uuid;

use crate::client::{ClientKey, Sender};
use crate::clock::{Clock, Timestamp};
use crate::limit::Origin;
use crate::problem::Problem;
use crate::request_id::X_REQUEST_ID;

/// In microseconds.
const MINUTE: i64 = 60_000_000;

/// How many are told apart in one minute; all others of the minute count as one.
pub const MOST_IN_A_MINUTE: usize = 100;

/// How many are kept where nobody takes them, as when the database fails; what comes then only adds to them.
const MOST: usize = 2_000;

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The caller may not do it, or not know of it.
    Denied,
    /// Email or password were wrong.
    WrongLogin,
    /// Somebody logged in gave a wrong current password.
    WrongPassword,
    /// Too many guesses, from this address or for this account.
    TooManyGuesses,
}

/// Who was refused what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// From where; of IPv6 the network (/64), as limits count too.
    pub address: Option<IpAddr>,
    /// Who asked, where that is known.
    pub actor_id: Option<Uuid>,
    /// By which API key of theirs.
    pub key_id: Option<Uuid>,
    /// Which account was tried, if there is one.
    pub account_id: Option<Uuid>,
}

/// How often it happened in a minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Who was refused; of a crowd only why.
    pub refused: Refused,
    /// Whether these are all for whom there was no room.
    pub is_crowd: bool,
    /// How often.
    pub count: i64,
    /// When it happened first.
    pub first_at: Timestamp,
    /// The first request.
    pub request_id: Option<String>,
    /// What it asked for: method and route.
    pub asked: Option<String>,
}

/// The minute, and who; nobody stands for the crowd.
type Key = (i64, Refusal, Option<Refused>);

/// What was refused and not yet written down.
pub struct Refusals {
    clock: Clock,
    client_key: ClientKey,
    tallies: Mutex<HashMap<Key, Tally>>,
}

/// What of a request is told if it is denied.
pub(crate) struct Asked {
    request_id: Option<HeaderValue>,
    sender: Sender,
}

impl Asked {
    pub(crate) fn of(request: &Request) -> Self {
        Self {
            request_id: request.headers().get(X_REQUEST_ID).cloned(),
            sender: Sender::of(request.extensions(), request.headers()),
        }
    }
}

impl Refusals {
    /// With nothing counted. The key believes what a gateway says of the client.
    pub fn new(clock: Clock, client_key: ClientKey) -> Self {
        Self { clock, client_key, tallies: Mutex::default() }
    }

    /// Counts a request whose answer says that the caller may not do this: method and route, as it stands in the document.
    pub(crate) fn note(&self, asked: &Asked, response: &Response, what: impl FnOnce() -> String) {
        let Some(denial) = response.extensions().get::<Problem>().and_then(Problem::denial) else { return };
        let address = asked.sender.address(&self.client_key);
        let (refusal, actor_id, key_id) = (Refusal::Denied, denial.account, denial.key);
        let request_id = asked.request_id.as_ref().and_then(|id| id.to_str().ok()).map(str::to_owned);
        let refused = Refused { refusal, address, actor_id, key_id, account_id: None };
        self.count(refused, request_id, Some(what()));
    }

    /// Counts something that was refused just now.
    pub fn count(&self, refused: Refused, request_id: Option<String>, asked: Option<String>) {
        let refused = Refused { address: Origin::of(refused.address).address(), ..refused };
        let now = self.clock.now();
        let minute = now.0.div_euclid(MINUTE);
        let mut tallies = self.lock();
        let own = (minute, refused.refusal, Some(refused));
        let has_room = || {
            let in_minute = tallies.keys().filter(|(other, _, who)| *other == minute && who.is_some());
            tallies.len() < MOST && in_minute.count() < MOST_IN_A_MINUTE
        };
        let is_crowd = !tallies.contains_key(&own) && !has_room();
        let (key, refused) = if is_crowd { crowd(minute, refused.refusal) } else { (own, refused) };
        let new = Tally { refused, is_crowd, count: 0, first_at: now, request_id, asked };
        tallies.entry(key).or_insert(new).count += 1;
    }

    /// Takes what is due: all of the minutes that are over, or all that there is.
    pub fn take(&self, all: bool) -> Vec<Tally> {
        let minute = self.clock.now().0.div_euclid(MINUTE);
        let mut tallies = self.lock();
        let mut due: Vec<Tally> =
            tallies.extract_if(|key, _| all || key.0 < minute).map(|(_, tally)| tally).collect();
        due.sort_unstable_by_key(|tally| tally.first_at);
        due
    }

    /// Gives back what couldn't be written down.
    pub fn give_back(&self, taken: Vec<Tally>) {
        let mut tallies = self.lock();
        for tally in taken {
            let minute = tally.first_at.0.div_euclid(MINUTE);
            let who = (!tally.is_crowd).then_some(tally.refused);
            let count = tally.count;
            tallies
                .entry((minute, tally.refused.refusal, who))
                .and_modify(|known| known.count += count)
                .or_insert(tally);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Tally>> {
        // Whatever panicked while it was held, the counts are as good as any.
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn crowd(minute: i64, refusal: Refusal) -> (Key, Refused) {
    let nobody = Refused { refusal, address: None, actor_id: None, key_id: None, account_id: None };
    ((minute, refusal, None), nobody)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::secret::Secret;

    fn refusals() -> (Refusals, Clock) {
        let clock = Clock::standing_at(Timestamp(30 * MINUTE));
        (Refusals::new(clock.clone(), ClientKey::new(&Secret::new("ours"))), clock)
    }

    fn wrong(refusals: &Refusals, address: &str) {
        let (address, refusal) = (Some(address.parse().unwrap()), Refusal::WrongLogin);
        refusals.count(
            Refused { refusal, address, actor_id: None, key_id: None, account_id: None },
            None,
            None,
        );
    }

    #[test]
    fn each_client_counts_once_a_minute_and_is_due_when_it_is_over() {
        let (refusals, clock) = refusals();
        for _ in 0..1000 {
            wrong(&refusals, "192.0.2.1");
            wrong(&refusals, "2001:db8::1");
            wrong(&refusals, "2001:db8::2");
        }
        assert!(refusals.take(false).is_empty());
        clock.advance(Duration::from_secs(60));
        wrong(&refusals, "192.0.2.1");
        let told = |taken: Vec<Tally>| -> Vec<(String, i64)> {
            let tell = |tally: &Tally| (tally.refused.address.unwrap().to_string(), tally.count);
            let mut told: Vec<_> = taken.iter().map(tell).collect();
            told.sort();
            told
        };
        let due = refusals.take(false);
        refusals.give_back(due);
        let expected = [("192.0.2.1".to_owned(), 1000), ("2001:db8::".to_owned(), 2000)];
        assert_eq!(told(refusals.take(false)), expected, "what is given back is due again");
        assert_eq!(told(refusals.take(true)), [("192.0.2.1".to_owned(), 1)]);
        assert!(refusals.take(true).is_empty());
    }

    #[test]
    fn a_flood_from_everywhere_is_bounded() {
        let (refusals, clock) = refusals();
        for minute in 0..50 {
            for number in 0..500 {
                wrong(&refusals, &format!("192.0.{}.{}", minute + number / 250, number % 250));
            }
            clock.advance(Duration::from_secs(60));
        }
        let taken = refusals.take(true);
        assert!(taken.len() <= MOST + 50, "{}", taken.len());
        assert_eq!(taken.iter().map(|tally| tally.count).sum::<i64>(), 50 * 500, "none is forgotten");
        let first = taken.iter().filter(|tally| tally.first_at.0 < 31 * MINUTE);
        assert_eq!(first.map(|tally| tally.count).max(), Some(400));
    }
}
