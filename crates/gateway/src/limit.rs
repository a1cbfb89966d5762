//! How often a client may ask: an account or an API key where that is valid, else an address.

use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use kit::identity::Verified;
use kit::limit::{Counting, Decision, Origin, Policy, Rate};
use kit::problem::Problem;

use crate::client_address::Client;

/// The rate of all routes together that have none of their own.
const DEFAULT_RATE: Rate = Rate::new(100, Duration::from_secs(1), 200);

/// The policy of all routes that have no rate of their own.
pub(crate) fn default_policy(counting: &Counting) -> Policy {
    Policy::new("default", DEFAULT_RATE, counting)
}

/// Counts a request. A token that is no good counts for the address that sent it; that a token can't be checked is nobody's
/// fault, and doesn't count. Where nobody knows here whether a session has ended, each session counts for itself, so that
/// a stolen token of an ended one can't use up what its account may ask; and an API key, which is unknown there, for its address.
pub(crate) fn count<'a>(
    policy: &'a Policy,
    caller: &Result<Option<Verified>, Problem>,
    checks_sessions: bool,
    client: &Client,
) -> Option<Count<'a>> {
    let decision = match caller {
        Err(problem) if problem.status().is_server_error() => return None,
        Ok(Some(verified)) => {
            policy.take(&if checks_sessions { verified.principal() } else { verified.session() })
        }
        Ok(None) | Err(_) => policy.take(&Origin::of(client.address)),
    };
    Some(Count { policy, decision })
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

#[cfg(test)]
mod tests {
    use kit::clock::Clock;

    use super::*;

    const SLOW: Rate = Rate::new(1, Duration::from_secs(60), 2);

    fn client(address: &str) -> Client {
        Client { address: Some(address.parse().unwrap()), scheme: "http", host: None }
    }

    fn counting() -> Counting {
        Counting::alone(Clock::stopped())
    }

    fn slow() -> Policy {
        Policy::new("/slow", SLOW, &counting())
    }

    fn is_refused(policy: &Policy, caller: &Result<Option<Verified>, Problem>, address: &str) -> bool {
        count(policy, caller, true, &client(address)).is_some_and(|count| count.refusal().is_some())
    }

    #[test]
    fn each_address_counts_alone() {
        let (slow, default) = (slow(), default_policy(&counting()));
        for refused in [false, false, true] {
            assert_eq!(is_refused(&slow, &Ok(None), "192.0.2.1"), refused);
        }
        assert!(!is_refused(&slow, &Ok(None), "192.0.2.2"));
        for number in 0..200 {
            assert!(!is_refused(&default, &Ok(None), "192.0.2.1"), "{number}");
        }
        assert!(is_refused(&default, &Ok(None), "192.0.2.1"));
    }

    #[test]
    fn a_bad_token_counts_for_its_address_and_a_failure_of_ours_for_nobody() {
        let slow = slow();
        for _ in 0..10 {
            assert!(!is_refused(&slow, &Err(Problem::unavailable(1, "busy")), "192.0.2.1"));
        }
        for refused in [false, false, true] {
            assert_eq!(is_refused(&slow, &Err(Problem::invalid_token()), "192.0.2.1"), refused);
        }
    }

    #[test]
    fn an_answer_has_one_of_each_header() {
        let slow = slow();
        let count = count(&slow, &Ok(None), true, &client("192.0.2.1")).unwrap();
        let mut response = Response::new(axum::body::Body::empty());
        for name in ["ratelimit", "ratelimit", "ratelimit-policy"] {
            response.headers_mut().append(name, "\"theirs\";q=1".parse().unwrap());
        }
        count.tell(&mut response);
        assert_eq!(response.headers()["ratelimit"], "\"/slow\";r=1;t=60");
        assert_eq!(response.headers()["ratelimit-policy"], "\"/slow\";q=2;w=120");
        assert_eq!(response.headers().len(), 2);
        let mut refused = Response::new(axum::body::Body::empty());
        *refused.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        count.tell(&mut refused);
        assert!(refused.headers().is_empty(), "a service's own limit is not ours to explain");
    }
}
