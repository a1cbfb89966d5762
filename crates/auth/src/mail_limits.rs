//! How often mails with tokens may be asked for, and tokens be tried. Nobody learns from it whether an email is known: it is counted for every email alike.

use std::net::IpAddr;
use std::time::Duration;

use kit::limit::{Counting, Decision, Limiter, Origin, Rate, whole_seconds, write_refused};
use kit::metrics::Text;
use kit::problem::Problem;

const MINUTE: Duration = Duration::from_secs(60);

/// Of one address: mails asked for and tokens tried.
const REQUESTS: Rate = Rate::new(10, MINUTE, 10);
/// To one email: whoever uses it up sends its holder a mail each time, so that he isn't kept out.
const MAILS: Rate = Rate::new(1, Duration::from_secs(5 * 60), 3);

/// The limits of this process, or none.
pub(crate) struct MailLimits(Option<Limits>);

struct Limits {
    requests: Limiter,
    mails: Limiter,
}

impl MailLimits {
    /// On, with nothing counted; without a way of counting, nothing is counted or refused.
    pub(crate) fn new(counting: Option<&Counting>) -> Self {
        Self(counting.map(|counting| Limits {
            requests: Limiter::new("mail-requests", REQUESTS, counting),
            mails: Limiter::new("mails", MAILS, counting),
        }))
    }

    /// Counts a request from an address: 429 if there were too many.
    pub(crate) fn admit(&self, address: Option<IpAddr>) -> Result<(), Problem> {
        self.0.as_ref().map_or(Ok(()), |limits| permit(limits.requests.take(&Origin::of(address))))
    }

    /// Counts a mail to the email with this key: 429 if there were too many.
    pub(crate) fn admit_mail(&self, email_key: &str) -> Result<(), Problem> {
        self.0.as_ref().map_or(Ok(()), |limits| permit(limits.mails.take(&email_key)))
    }

    /// Tells how many were refused.
    pub(crate) fn write(&self, text: &mut Text) {
        let refused = |limits: &Limits| limits.requests.refused() + limits.mails.refused();
        write_refused("mail", self.0.as_ref().map_or(0, refused), text);
    }
}

fn permit(decision: Decision) -> Result<(), Problem> {
    if decision.allowed { Ok(()) } else { Err(Problem::rate_limited(whole_seconds(decision.retry_after))) }
}
