//! How often passwords may be guessed. An address may be wrong 10 times a minute and log in 30 times in all; for one
//! account from one address five guesses are free, and each further one waits twice as long as the one before. It may
//! register 10 times a minute, since that costs a hash as well, and tells whether an email is taken.
//!
//! Nothing here locks an account: who comes from another address is not concerned. Only where more than a thousand guesses a day
//! come from many addresses, those wait that have never logged in to the account before (`known_addresses`). An email that
//! nobody has counts as any other, since no account is looked up.

use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;
use kit::clock::Clock;
use kit::limit::{Counting, Decision, Limiter, Origin, Place, Rate, Table, whole_seconds, write_refused};
use kit::metrics::{Counter, Text};
use kit::problem::Problem;

use crate::second_factor::TOTP_REQUIRED;
use crate::unique::email_key;

const MINUTE: Duration = Duration::from_secs(60);
const ATTEMPTS: Rate = Rate::new(30, MINUTE, 30);
const FAILURES: Rate = Rate::new(10, MINUTE, 10);
const REGISTRATIONS: Rate = Rate::new(10, MINUTE, 10);

/// How often a day an account may be guessed at, from wherever: by strangers, and as often again by those who are logged in.
const GUESSES: Rate = Rate::new(1000, Duration::from_secs(24 * 60 * 60), 1000);

/// How many wrong guesses wait for nothing; then a second, doubled by each further one, up to a minute.
const FREE_GUESSES: u32 = 5;
const LONGEST_DELAY: Duration = MINUTE;

/// After so long without a wrong guess the earlier ones are forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);

/// The limits of this process, or none.
pub struct LoginLimits(Option<Limits>);

struct Limits {
    clock: Clock,
    attempts: Limiter,
    failures: Limiter,
    registrations: Limiter,
    guesses: Limiter,
    confirmations: Limiter,
    delays: Table<Delay>,
    refused_logins: Counter,
    refused_registrations: Counter,
}

/// The wrong guesses at one account from one address.
#[derive(Default)]
struct Delay {
    guesses: u32,
    last: Duration,
}

/// A guess that may be looked at. It counts as wrong from the start, so that many at once are no more than one after
/// the other; [`Attempt::settle`] sets it right.
#[must_use]
pub struct Attempt<'a> {
    limits: Option<&'a Limits>,
    account: (String, Origin),
    guesser: Guesser,
}

/// Whoever makes a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guesser {
    /// Anybody.
    Stranger,
    /// Somebody at an address from which the account was logged in to before.
    Known,
    /// Somebody who is logged in, and gives the current password.
    LoggedIn,
}

impl LoginLimits {
    /// On, with nothing counted; without a way of counting, nothing is counted or refused.
    pub fn new(counting: Option<&Counting>) -> Self {
        Self(counting.map(|counting| {
            let limiter = |name, rate| Limiter::new(name, rate, counting);
            Limits {
                attempts: limiter("login-attempts", ATTEMPTS),
                failures: limiter("login-failures", FAILURES),
                registrations: limiter("registrations", REGISTRATIONS),
                // A bucket that all share who find no room would let strangers spend that of others.
                guesses: limiter("password-guesses", GUESSES).sparing_the_crowd(),
                confirmations: limiter("password-confirmations", GUESSES).sparing_the_crowd(),
                delays: Table::new(Delay::is_over),
                refused_logins: Counter::default(),
                refused_registrations: Counter::default(),
                clock: counting.clock.clone(),
            }
        }))
    }

    /// Whether anything is counted.
    pub fn are_on(&self) -> bool {
        self.0.is_some()
    }

    /// Counts a login from an address before anything of it is read: 429 if there were too many.
    pub fn admit(&self, address: Option<IpAddr>) -> Result<(), Problem> {
        let Some(limits) = &self.0 else { return Ok(()) };
        let origin = Origin::of(address);
        // In this order, since a login that is refused doesn't count.
        permit(limits.failures.look(&origin), &limits.refused_logins)?;
        permit(limits.attempts.take(&origin), &limits.refused_logins)
    }

    /// Counts a registration from an address before anything of it is read: 429 if there were too many.
    pub fn admit_registration(&self, address: Option<IpAddr>) -> Result<(), Problem> {
        let Some(limits) = &self.0 else { return Ok(()) };
        permit(limits.registrations.take(&Origin::of(address)), &limits.refused_registrations)
    }

    /// Whether so many have guessed at this email that it matters who makes the next guess.
    pub fn is_besieged(&self, email: &str) -> bool {
        self.0.as_ref().is_some_and(|limits| !limits.guesses.look(&email_key(email)).allowed)
    }

    /// Before a password is compared: 429 if it is too early for another guess at this email from this address.
    pub fn begin(
        &self,
        email: &str,
        address: Option<IpAddr>,
        guesser: Guesser,
    ) -> Result<Attempt<'_>, Problem> {
        let account = (email_key(email), Origin::of(address));
        let Some(limits) = &self.0 else { return Ok(Attempt { limits: None, account, guesser }) };
        permit(limits.failures.take(&account.1), &limits.refused_logins)?;
        limits.begin(&account, guesser).inspect_err(|_| limits.failures.give_back(&account.1))?;
        Ok(Attempt { limits: Some(limits), account, guesser })
    }

    /// Tells how many logins and guesses were refused, and how many registrations.
    pub fn write_metrics(&self, text: &mut Text) {
        for (policy, count) in ["login", "register"].into_iter().zip(self.refused()) {
            write_refused(policy, count, text);
        }
    }

    /// Logins and guesses, then registrations.
    fn refused(&self) -> [u64; 2] {
        let refused = |limits: &Limits| [limits.refused_logins.get(), limits.refused_registrations.get()];
        self.0.as_ref().map_or([0, 0], refused)
    }
}

impl Limits {
    /// What counts for the account from wherever.
    fn wherever_from(&self, guesser: Guesser) -> Option<&Limiter> {
        match guesser {
            Guesser::Stranger => Some(&self.guesses),
            Guesser::Known => None,
            // Of their own, or who holds a session could keep the owner from logging in.
            Guesser::LoggedIn => Some(&self.confirmations),
        }
    }

    fn begin(&self, account: &(String, Origin), guesser: Guesser) -> Result<(), Problem> {
        let wherever_from = self.wherever_from(guesser);
        if let Some(limiter) = wherever_from {
            permit(limiter.take(&account.0), &self.refused_logins)?;
        }
        let delay = self.guess(account);
        if delay.is_zero() {
            return Ok(());
        }
        if let Some(limiter) = wherever_from {
            limiter.give_back(&account.0);
        }
        Err(refuse(delay, &self.refused_logins))
    }

    /// Counts a guess, or says how long it has to wait. Where so many are remembered that there is no room for another
    /// account, its address's limit alone holds: a shared delay would let strangers lock it.
    fn guess(&self, account: &(String, Origin)) -> Duration {
        let now = self.clock.monotonic();
        self.delays.update(account, now, |delay, place| {
            if place == Place::Crowd {
                return Duration::ZERO;
            }
            if delay.is_over(now) {
                *delay = Delay::default();
            }
            let wait = delay.over_at().saturating_sub(now);
            if wait.is_zero() {
                *delay = Delay { guesses: delay.guesses.saturating_add(1), last: now };
            }
            wait
        })
    }
}

fn permit(decision: Decision, refused: &Counter) -> Result<(), Problem> {
    if decision.allowed { Ok(()) } else { Err(refuse(decision.retry_after, refused)) }
}

fn refuse(wait: Duration, refused: &Counter) -> Problem {
    refused.increment();
    Problem::rate_limited(whole_seconds(wait))
}

impl Delay {
    /// When the next guess may be made.
    fn over_at(&self) -> Duration {
        let seconds = match self.guesses.checked_sub(FREE_GUESSES) {
            None => 0,
            Some(more) => 1_u64.checked_shl(more).unwrap_or(u64::MAX),
        };
        self.last.saturating_add(LONGEST_DELAY.min(Duration::from_secs(seconds)))
    }

    fn is_over(&self, now: Duration) -> bool {
        self.guesses == 0 || self.last.saturating_add(FORGOTTEN_AFTER) <= now
    }
}

impl Attempt<'_> {
    /// Gives the outcome on. A right password makes the earlier wrong ones forgotten; one that was never compared
    /// doesn't count, nor a right one that lacks the second factor; a wrong one (401) stays counted, as does one whose client went away meanwhile.
    pub fn settle<T>(self, outcome: Result<T, Problem>) -> Result<T, Problem> {
        let is_wrong = |problem: &Problem| {
            problem.status() == StatusCode::UNAUTHORIZED && problem.code() != TOTP_REQUIRED
        };
        if let (Some(limits), false) = (self.limits, outcome.as_ref().is_err_and(is_wrong)) {
            limits.failures.give_back(&self.account.1);
            if let Some(limiter) = limits.wherever_from(self.guesser) {
                limiter.give_back(&self.account.0);
            }
            limits.delays.update(&self.account, limits.clock.monotonic(), |delay, place| {
                if place == Place::Own {
                    // Who is logged in gives no second factor here, so that others' guesses at one stay counted.
                    let is_over = outcome.is_ok() && self.guesser != Guesser::LoggedIn;
                    delay.guesses = if is_over { 0 } else { delay.guesses.saturating_sub(1) };
                }
            });
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
    const THERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)));

    fn limits() -> (LoginLimits, Clock) {
        let clock = Clock::stopped();
        (LoginLimits::new(Some(&Counting::alone(clock.clone()))), clock)
    }

    /// How long a wrong guess has to wait, in seconds; with 0 it was made.
    fn wrong(limits: &LoginLimits, email: &str, address: Option<IpAddr>) -> u64 {
        settle(limits, email, address, Err(Problem::invalid_credentials("wrong")))
    }

    fn settle(
        limits: &LoginLimits,
        email: &str,
        address: Option<IpAddr>,
        outcome: Result<(), Problem>,
    ) -> u64 {
        match limits.begin(email, address, Guesser::Stranger) {
            Ok(attempt) => {
                drop(attempt.settle(outcome));
                0
            }
            Err(problem) => {
                assert_eq!((problem.status().as_u16(), problem.code()), (429, "rate_limited"));
                problem.render("id").headers()["retry-after"].to_str().unwrap().parse().unwrap()
            }
        }
    }

    #[test]
    fn after_five_guesses_each_waits_twice_as_long() {
        let (limits, clock) = limits();
        for _ in 0..5 {
            assert_eq!(wrong(&limits, "ada@example.com", HERE), 0);
        }
        for delay in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            assert_eq!(wrong(&limits, "ADA@example.com", HERE), delay);
            assert_eq!(wrong(&limits, "ada@example.com", THERE), 0, "another address is not concerned");
            assert_eq!(settle(&limits, "ada@example.com", THERE, Ok(())), 0);
            clock.advance(Duration::from_secs(delay) - Duration::from_millis(1));
            assert_eq!(wrong(&limits, "ada@example.com", HERE), 1);
            clock.advance(Duration::from_millis(1));
            assert_eq!(wrong(&limits, "ada@example.com", HERE), 0);
        }
        clock.advance(FORGOTTEN_AFTER);
        for _ in 0..5 {
            assert_eq!(wrong(&limits, "ada@example.com", HERE), 0);
        }
        assert_eq!(wrong(&limits, "ada@example.com", HERE), 1);
    }

    #[test]
    fn a_right_password_clears_and_a_failure_of_ours_does_not_count() {
        let (limits, _) = limits();
        for _ in 0..4 {
            assert_eq!(wrong(&limits, "ada@example.com", HERE), 0);
        }
        for _ in 0..100 {
            let failure = Err(Problem::unavailable(1, "busy"));
            assert_eq!(settle(&limits, "ada@example.com", HERE, failure), 0);
        }
        assert_eq!(settle(&limits, "ada@example.com", HERE, Ok(())), 0);
        for _ in 0..5 {
            assert_eq!(wrong(&limits, "ada@example.com", HERE), 0);
        }
        assert_eq!(wrong(&limits, "ada@example.com", HERE), 1);
        assert_eq!(limits.refused(), [1, 0]);
    }

    #[test]
    fn an_address_is_wrong_ten_times_a_minute_whomever_it_guesses_at() {
        let (limits, clock) = limits();
        for number in 0..10 {
            limits.admit(HERE).unwrap();
            assert_eq!(wrong(&limits, &format!("user{number}@example.com"), HERE), 0);
        }
        limits.admit(HERE).unwrap_err();
        assert_eq!(wrong(&limits, "user10@example.com", HERE), 6);
        limits.admit(THERE).unwrap();
        clock.advance(Duration::from_secs(6));
        limits.admit(HERE).unwrap();
        assert_eq!(wrong(&limits, "user10@example.com", HERE), 0);
        assert_eq!(wrong(&limits, "user11@example.com", HERE), 6);
    }

    #[test]
    fn a_refused_login_does_not_count() {
        let (limits, clock) = limits();
        for number in 0..10 {
            assert_eq!(wrong(&limits, &format!("user{number}@example.com"), HERE), 0);
        }
        for _ in 0..40 {
            limits.admit(HERE).unwrap_err();
        }
        clock.advance(Duration::from_secs(6));
        limits.admit(HERE).unwrap();
    }

    #[test]
    fn an_address_logs_in_thirty_times_a_minute() {
        let (limits, clock) = limits();
        for _ in 0..30 {
            limits.admit(HERE).unwrap();
            assert_eq!(settle(&limits, "ada@example.com", HERE, Ok(())), 0);
        }
        let refused = limits.admit(HERE).unwrap_err();
        assert_eq!(refused.render("id").headers()["retry-after"], "2");
        clock.advance(Duration::from_secs(2));
        limits.admit(HERE).unwrap();
    }

    #[test]
    fn guesses_at_once_are_no_more_than_guesses_in_a_row() {
        let (limits, _) = limits();
        let one: Vec<_> =
            (0..200).filter_map(|_| limits.begin("ada@example.com", HERE, Guesser::Stranger).ok()).collect();
        assert_eq!(one.len(), 5);
        let guess = |number| limits.begin(&format!("user{number}@example.com"), HERE, Guesser::Stranger);
        let many = (0..200).filter_map(|number| guess(number).ok());
        assert_eq!(many.count(), 5, "ten in all from one address");
    }

    #[test]
    fn after_a_thousand_guesses_a_day_only_strangers_wait() {
        let (limits, clock) = limits();
        let address = |number: u32| Some(IpAddr::from([10, 0, (number / 250) as u8, (number % 250) as u8]));
        for number in 0..1000 {
            assert!(!limits.is_besieged("ada@example.com"));
            assert_eq!(wrong(&limits, "ada@example.com", address(number)), 0);
        }
        assert!(limits.is_besieged("ADA@example.com") && !limits.is_besieged("bob@example.com"));
        assert_eq!(wrong(&limits, "ada@example.com", THERE), 87);
        let known = || limits.begin("ada@example.com", HERE, Guesser::Known);
        for _ in 0..5 {
            drop(known().unwrap().settle::<()>(Err(Problem::invalid_credentials("wrong"))));
        }
        assert!(known().is_err(), "the known one waits as ever");
        clock.advance(MINUTE);
        drop(known().unwrap().settle(Ok(())));
        assert_eq!(wrong(&limits, "bob@example.com", THERE), 0);
        clock.advance(Duration::from_secs(27));
        assert_eq!(wrong(&limits, "ada@example.com", THERE), 0);
        assert_eq!(wrong(&limits, "ada@example.com", THERE), 86);
        let logged_in = |number| limits.begin("ada@example.com", address(number), Guesser::LoggedIn);
        let made = (1000..2500).filter_map(|number| logged_in(number).ok()).count();
        assert_eq!(made, 1000, "who holds a token is limited apart, however many addresses there are");
    }

    #[test]
    fn off_is_off() {
        let limits = LoginLimits::new(None);
        for _ in 0..1000 {
            limits.admit(HERE).unwrap();
            limits.admit_registration(HERE).unwrap();
            assert_eq!(wrong(&limits, "ada@example.com", HERE), 0);
        }
        assert_eq!(limits.refused(), [0, 0]);
    }
}
