//! The second factor: codes of an authenticator (TOTP, RFC 6238), and recovery codes for when that is lost. It is looked at
//! only once the password was found right, so nobody learns of it who doesn't know that.
//!
//! Each code is good once: its step and all before it are over with it. What is wrong counts for the account, from whatever
//! address, since a code has but six digits: five are free, and each further one waits twice as long as the one before, a
//! quarter of an hour at most. Who logs in from an address that has given a second factor before is not concerned, or whoever learnt the password could keep
//! its owner out; there the limits of logins hold (`login_limits`). A recovery code waits for nothing.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use audit::{Act, Action};
use db::Tx;
use http::StatusCode;
use http::header::WWW_AUTHENTICATE;
use kit::author::Author;
use kit::clock::Timestamp;
use kit::fields::{Faults, FromJson, Invalid, read_text};
use kit::json::Json;
use kit::limit::whole_seconds;
use kit::problem::Problem;
use kit::random;
use kit::seal::SealingKey;
use kit::secret::Secret;
use mails::Kind;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use totp_rs::{Builder, Totp};
use uuid::Uuid;

use crate::digest::digest;
use crate::error::Error;
use crate::live_sessions::LiveSessions;
use crate::login_limits::Guesser;
use crate::model::Account;
use crate::session::end_all_sessions;
use crate::store::{self, Factor};

/// The code of the problem that asks for the second factor.
pub const TOTP_REQUIRED: &str = "totp_required";

const FREE_TRIES: i64 = 5;
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// As RFC 4226 recommends, in bytes.
const SECRET_LENGTH: usize = 20;

const RECOVERY_CODES: usize = 10;

/// Six digits of an authenticator.
#[derive(Clone, Debug)]
pub struct TotpCode(Secret);

/// A recovery code, however it was broken into groups.
#[derive(Clone, Debug)]
pub struct RecoveryCode(Secret);

/// What is sent to prove the second factor.
#[derive(Clone, Debug)]
pub enum Proof {
    /// A code of the authenticator.
    Totp(TotpCode),
    /// What stands in for one.
    Recovery(RecoveryCode),
}

impl Proof {
    /// Of the fields `totp` and `recovery_code`: of both, the first counts, and the second is not spent.
    pub fn of(totp: Option<TotpCode>, recovery: Option<RecoveryCode>) -> Option<Self> {
        totp.map(Self::Totp).or(recovery.map(Self::Recovery))
    }
}

/// How a second factor was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proven {
    /// There is none that had to be.
    Needless,
    /// By a code of the authenticator.
    Totp,
    /// By a recovery code, which is spent.
    Recovery,
}

impl Proven {
    /// Its word, if there was anything to prove.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Needless => None,
            Self::Totp => Some("totp"),
            Self::Recovery => Some("recovery_code"),
        }
    }
}

/// A new secret for an authenticator.
pub struct NewFactor {
    /// In base32, as it is typed into an authenticator.
    pub secret: Secret,
    /// The address that authenticators read as a QR code.
    pub uri: Secret,
    sealed: Vec<u8>,
}

/// New recovery codes.
pub struct RecoveryCodes(Vec<String>);

/// Seals, opens and compares what second factors consist of.
pub struct SecondFactors(SealingKey);

impl SecondFactors {
    /// With a key derived from the shared secret: with another one no stored secret can be opened, and only recovery codes are good.
    pub fn new(secret: &Secret) -> Self {
        Self(SealingKey::derive(secret, "totp secret"))
    }

    /// A secret for an account.
    pub fn generate(&self, account: &Account) -> Result<NewFactor, Problem> {
        let bytes: [u8; SECRET_LENGTH] = random::bytes().map_err(Problem::internal)?;
        let sealed = self.0.seal(account.id.as_bytes(), &bytes).map_err(Problem::internal)?;
        let secret = totp_rs::Secret::from(&bytes[..]).to_base32();
        let label: String = form_urlencoded::byte_serialize(account.email.as_bytes()).collect();
        let uri = format!("otpauth://totp/Storehouse:{label}?secret={secret}&issuer=Storehouse");
        Ok(NewFactor { secret: Secret::new(secret), uri: Secret::new(uri), sealed })
    }

    /// Whether an account that the transaction has locked needs no second factor, or this proves it. What is refused was counted, so
    /// the transaction must commit all the same.
    pub async fn prove(
        &self,
        tx: &Tx,
        account: Uuid,
        proof: Option<&Proof>,
        now: Timestamp,
    ) -> Result<Result<(), Problem>, db::Error> {
        Ok(self.prove_as(tx, account, proof, Guesser::Stranger, now).await?.map(drop))
    }

    /// The same, and by what; a code from a known address is neither counted nor made to wait, so whoever calls must limit it.
    pub async fn prove_as(
        &self,
        tx: &Tx,
        account: Uuid,
        proof: Option<&Proof>,
        guesser: Guesser,
        now: Timestamp,
    ) -> Result<Result<Proven, Problem>, db::Error> {
        let is_strange = guesser == Guesser::Stranger;
        let factor = store::find_factor(tx, account).await?.filter(|factor| factor.is_confirmed);
        let (factor, code) = match (factor, proof) {
            (None, _) => return Ok(Ok(Proven::Needless)),
            (Some(_), None) => return Ok(Err(required())),
            (Some(_), Some(Proof::Recovery(code))) => {
                let spent = store::spend_recovery_code(tx, account, &code.digest(account)).await?;
                return Ok(if spent { Ok(Proven::Recovery) } else { Err(wrong()) });
            }
            (Some(factor), Some(Proof::Totp(code))) => (factor, code),
        };
        let wait = factor.wait(now);
        if is_strange && !wait.is_zero() {
            return Ok(Err(Problem::rate_limited(whole_seconds(wait))));
        }
        match self.step_of(account, &factor, code, now) {
            Ok(Some(step)) => store::accept_step(tx, account, step).await.map(|()| Ok(Proven::Totp)),
            Ok(None) if is_strange => store::count_wrong_code(tx, account, now).await.map(|()| Err(wrong())),
            Ok(None) => Ok(Err(wrong())),
            Err(problem) => Ok(Err(problem)),
        }
    }

    /// Turns on what was begun, if the code is one of its authenticator.
    pub async fn confirm(
        &self,
        tx: &Tx,
        account: Uuid,
        code: &TotpCode,
        codes: &RecoveryCodes,
        now: Timestamp,
    ) -> Result<Result<(), Problem>, db::Error> {
        let Some(factor) = store::find_factor(tx, account).await? else {
            return Ok(Err(Problem::conflict("totp_not_begun", "Begin with `POST /auth/totp`.")));
        };
        if factor.is_confirmed {
            return Ok(Err(is_on()));
        }
        match self.step_of(account, &factor, code, now) {
            Ok(Some(step)) => {
                store::confirm_factor(tx, account, step, now).await?;
                store::forget_addresses(tx, account).await?;
                store::replace_recovery_codes(tx, account, &codes.digests(account)).await?;
                Ok(Ok(()))
            }
            Ok(None) => {
                let message =
                    "is not the present code of your authenticator: look whether its clock is right";
                Ok(Err(Problem::invalid_field("code", "invalid_totp", message)))
            }
            Err(problem) => Ok(Err(problem)),
        }
    }

    /// The step whose code it is, one step early or late, if that is not over.
    fn step_of(
        &self,
        account: Uuid,
        factor: &Factor,
        code: &TotpCode,
        now: Timestamp,
    ) -> Result<Option<i64>, Problem> {
        let secret = self.0.open(account.as_bytes(), &factor.sealed_secret);
        let cause = "a stored secret can't be opened: is JWT_SECRET another one?";
        let totp = totp(&secret.ok_or_else(|| Problem::internal(cause))?)?;
        let seconds = u64::try_from(now.seconds()).unwrap_or(0);
        let step = totp.check(code.0.expose(), seconds).and_then(|step| i64::try_from(step).ok());
        Ok(step.filter(|step| *step > factor.last_step))
    }
}

/// Begins anew; what was begun before and not confirmed is void.
pub async fn begin_factor(tx: &Tx, account: Uuid, new: &NewFactor) -> Result<Result<(), Problem>, db::Error> {
    if store::find_factor(tx, account).await?.is_some_and(|factor| factor.is_confirmed) {
        return Ok(Err(is_on()));
    }
    store::replace_factor(tx, account, &new.sealed).await.map(Ok)
}

/// Replaces the recovery codes of an account whose second factor is on, and was proven.
pub async fn renew_codes(
    tx: &Tx,
    account: Uuid,
    codes: &RecoveryCodes,
) -> Result<Result<(), Problem>, db::Error> {
    if store::factor_state(tx, account).await?.0.is_none() {
        return Ok(Err(Problem::conflict("totp_not_enabled", "Turn two-factor authentication on first.")));
    }
    store::replace_recovery_codes(tx, account, &codes.digests(account)).await.map(Ok)
}

/// Takes the second factor away where it is on or was begun, for an account that the transaction has locked; where it was on, ends its sessions but `keep`.
/// Says whether it was.
pub async fn remove_factor(
    tx: &Tx,
    live: &Arc<LiveSessions>,
    account: Uuid,
    keep: Option<Uuid>,
    author: &Author,
) -> Result<bool, Error> {
    let was_on = store::delete_factor(tx, account).await?;
    if was_on {
        factor_changed(tx, live, account, keep, Action::TotpDisabled, author).await?;
    }
    Ok(was_on)
}

/// What follows a change of the second factor: the account's sessions but `keep` end, and its owner is told.
pub async fn factor_changed(
    tx: &Tx,
    live: &Arc<LiveSessions>,
    account: Uuid,
    keep: Option<Uuid>,
    action: Action,
    author: &Author,
) -> Result<(), Error> {
    end_all_sessions(tx, live, account, keep, author.now).await?;
    audit::record(tx, author, Act::new(action, account)).await?;
    Ok(mails::ask(tx, Kind::SecondFactorChanged, account, author.now).await?)
}

fn totp(secret: &[u8]) -> Result<Totp, Problem> {
    Builder::new().with_secret(totp_rs::Secret::from(secret)).build().map_err(Problem::internal)
}

impl Factor {
    /// How long the next try has to wait.
    fn wait(&self, now: Timestamp) -> Duration {
        let Ok(more) = u32::try_from(self.failures - FREE_TRIES) else { return Duration::ZERO };
        let seconds = 1_u64.checked_shl(more).unwrap_or(u64::MAX);
        let wait = LONGEST_WAIT.min(Duration::from_secs(seconds));
        wait.saturating_sub(self.failed_at.age(now))
    }
}

impl RecoveryCodes {
    /// Ten of 80 random bits each: too many to be guessed, so they need no slow hash.
    pub fn generate() -> Result<Self, Problem> {
        let code = || {
            let hex: String = random::bytes::<10>()?.iter().map(|byte| format!("{byte:02x}")).collect();
            Ok(format!("{}-{}-{}-{}", &hex[..5], &hex[5..10], &hex[10..15], &hex[15..]))
        };
        let codes: std::io::Result<Vec<String>> = (0..RECOVERY_CODES).map(|_| code()).collect();
        codes.map(Self).map_err(Problem::internal)
    }

    /// As their owner is shown them, once.
    pub fn show(&self) -> &[String] {
        &self.0
    }

    fn digests(&self, account: Uuid) -> Vec<[u8; 32]> {
        self.0.iter().map(|code| RecoveryCode::plain(code).digest(account)).collect()
    }
}

impl RecoveryCode {
    fn plain(text: &str) -> Self {
        let letters = text.chars().filter(char::is_ascii_alphanumeric);
        Self(Secret::new(letters.map(|letter| letter.to_ascii_lowercase()).collect::<String>()))
    }

    /// What of it is stored: it is of this account, and of no use without the code itself.
    fn digest(&self, account: Uuid) -> [u8; 32] {
        digest(&[b"recovery code", account.as_bytes(), self.0.expose().as_bytes()])
    }
}

fn required() -> Problem {
    refused(TOTP_REQUIRED, "Send the code of your authenticator as `totp` too, or a `recovery_code`.")
}

fn wrong() -> Problem {
    refused("invalid_totp", "The code is wrong, or was used already.")
}

fn refused(code: &'static str, detail: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, detail).with_header(WWW_AUTHENTICATE, "Bearer")
}

fn is_on() -> Problem {
    Problem::conflict("totp_enabled", "Two-factor authentication is on already: remove it first.")
}

impl FromStr for TotpCode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digits: String = text.chars().filter(|character| *character != ' ').collect();
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) || text.len() > 16 {
            return Err(Invalid::value("must be the six digits that an authenticator shows"));
        }
        Ok(Self(Secret::new(digits)))
    }
}

impl FromStr for RecoveryCode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_known = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == ' ';
        let is_blank = !text.contains(|letter: char| letter.is_ascii_alphanumeric());
        if is_blank || text.len() > 64 || !text.chars().all(is_known) {
            return Err(Invalid::value("must be a recovery code: letters and digits, in groups or not"));
        }
        Ok(Self::plain(text))
    }
}

impl FromJson for TotpCode {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        read_text(json, faults)
    }
}

impl FromJson for RecoveryCode {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        read_text(json, faults)
    }
}

impl JsonSchema for TotpCode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TotpCode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-9]{3} ?[0-9]{3}$", "examples": ["123456"], "writeOnly": true})
    }
}

impl JsonSchema for RecoveryCode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RecoveryCode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": 64, "writeOnly": true})
    }
}
