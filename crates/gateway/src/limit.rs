//! How often a client may ask: an account where the token is valid, else an address.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use kit::clock::Clock;
use kit::identity::Verified;
use kit::limit::{Decision, Origin, Policy, Rate};
use kit::problem::Problem;

use crate::client_address::Client;
use crate::forward::Upstream;
use crate::routes::{Route, Table};

/// The rate of all routes together that have none of their own.
const DEFAULT_RATE: Rate = Rate::new(100, Duration::from_secs(1), 200);

/// Every client's use of the routes.
pub(crate) struct RateLimits {
    default: Policy,
    /// Of routes with a rate of their own, by path.
    own: HashMap<String, Policy>,
}

impl RateLimits {
    pub(crate) fn new(table: &Table<Upstream>, clock: &Clock) -> Self {
        let own = table.iter().filter_map(|(path, route)| {
            let name = if path.is_empty() { "/" } else { path };
            Some((path.to_owned(), Policy::new(name, route.rate_limit?, clock.clone())))
        });
        Self { own: own.collect(), default: Policy::new("default", DEFAULT_RATE, clock.clone()) }
    }

    fn policy(&self, route: &Route<Upstream>) -> &Policy {
        let own = route.rate_limit.and_then(|_| self.own.get(&route.path));
        own.unwrap_or(&self.default)
    }

    /// Counts a request. A token that is no good counts for the address that sent it; that a token can't be
    /// checked is nobody's fault, and doesn't count.
    pub(crate) fn count(
        &self,
        route: &Route<Upstream>,
        caller: &Result<Option<Verified>, Problem>,
        client: &Client,
    ) -> Option<Count<'_>> {
        let policy = self.policy(route);
        let decision = match caller {
            Err(problem) if problem.status().is_server_error() => return None,
            Ok(Some(verified)) => policy.take(&by_account(verified)),
            Ok(None) | Err(_) => policy.take(&Origin::of(client.address)),
        };
        Some(Count { policy, decision })
    }
}

fn by_account(verified: &Verified) -> impl Hash {
    verified.sub
}

/// What became of one request's count.
pub(crate) struct Count<'a> {
    policy: &'a Policy,
    decision: Decision,
}

impl Count<'_> {
    /// 429, if it was one too many.
    pub(crate) fn refusal(&self) -> Option<Problem> {
        (!self.decision.allowed).then(|| self.decision.refusal())
    }

    /// Tells the client how much is left. Where the service itself refuses for a limit of its own, what it says stands.
    pub(crate) fn tell(&self, response: &mut Response) {
        if !self.decision.allowed || response.status() != StatusCode::TOO_MANY_REQUESTS {
            self.policy.tell(&self.decision, response.headers_mut());
        }
    }
}
