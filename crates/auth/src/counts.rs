//! What auth counts. A registration or a login counts once it is stored.

use accounts::TOTP_REQUIRED;
use kit::metrics::{Counter, Labelled, Text};
use kit::problem::Problem;

/// How logging in can end.
const OUTCOMES: usize = 4;

/// Registrations, and logins by how they ended.
#[derive(Debug, Default)]
pub(crate) struct AuthCounts {
    pub(crate) registrations: Counter,
    logins: Labelled<&'static str, OUTCOMES>,
}

impl AuthCounts {
    /// A session was started.
    pub(crate) fn login_succeeded(&self) {
        self.logins.increment("success");
    }

    /// No session was started, and why.
    pub(crate) fn login_refused(&self, problem: &Problem) {
        // Half a login: its other half follows.
        if problem.code() == TOTP_REQUIRED {
            return;
        }
        self.logins.increment(match problem.status().as_u16() {
            401 => "wrong",
            429 => "limited",
            _ => "failed",
        });
    }

    pub(crate) fn write(&self, text: &mut Text) {
        let help = "Accounts that people registered.";
        text.counter("storehouse_registrations_total", help, &[], self.registrations.get());
        let help = "Logins by outcome: success, wrong (credentials), limited, failed (for a reason of ours).";
        for (outcome, count) in self.logins.counts() {
            let labels = [("outcome", outcome.unwrap_or("other"))];
            text.counter("storehouse_logins_total", help, &labels, count);
        }
    }
}
