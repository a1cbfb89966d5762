//! What requests about API keys may say, and what answers show.

use std::sync::Arc;
use std::time::Duration;

use accounts::StoredKey;
use kit::clock::Timestamp;
use kit::fields::{Faults, Fields, FromFields, FromJson, Invalid, read_list, read_text};
use kit::identity::{Proof, Verified};
use kit::json::Json;
use kit::openapi::refuse_null;
use kit::page::{Listing, Sorts};
use kit::problem::Problem;
use kit::query::{FromParams, Params};
use kit::secret::{Secret, Shown};
use kit::text::Text;
use kit::token::Claims;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::Auth;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a key is good if nothing is said, and at most.
const USUAL_DAYS: u32 = 90;
const MOST_DAYS: u32 = 365;

/// More than there are.
const MOST_SCOPES: usize = 50;

/// A new key.
#[derive(JsonSchema)]
#[schemars(transform = refuse_null(&["expires_at", "expires_in_days"]))]
pub(crate) struct CreateKey {
    /// What it is for.
    pub(crate) name: Text<100>,
    /// What it may be used for: `orders:read`, `stock:write` and so on.
    #[schemars(length(min = 1, max = 50), inner(length(min = 1, max = 64)))]
    pub(crate) scopes: Vec<String>,
    /// Until when it is good: at most 365 days from now; 90 days, if left out.
    expires_at: Option<Timestamp>,
    /// The same in days from now.
    #[schemars(range(min = 1, max = 365))]
    expires_in_days: Option<u32>,
}

impl FromFields for CreateKey {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let name = fields.required("name");
        let scopes = fields.required_with("scopes", read_scopes);
        let expires_at = fields.change_with("expires_at", read_moment);
        let days = fields.change_with("expires_in_days", read_days);
        let (expires_at, days) = (expires_at?, days?);
        if expires_at.is_some() && days.is_some() {
            return fields.fault("expires_in_days", Invalid::value("can't stand beside `expires_at`"));
        }
        Some(Self { name: name?, scopes: scopes?, expires_at, expires_in_days: days })
    }
}

fn read_scopes(json: &Json<'_>, faults: &mut Faults) -> Option<Vec<String>> {
    let mut scopes = read_list(json, MOST_SCOPES, faults, |item, faults| {
        Text::<64>::from_json(item, faults).map(|scope| scope.as_str().to_owned())
    })?;
    scopes.sort();
    scopes.dedup();
    Some(scopes)
}

fn read_moment(json: &Json<'_>, faults: &mut Faults) -> Option<Timestamp> {
    let text: Text<64> = read_text(json, faults)?;
    let invalid = || Invalid::value("must be a time such as 2026-01-31T09:30:00Z");
    faults.keep(Timestamp::parse(text.as_str()).ok_or_else(invalid))
}

fn read_days(json: &Json<'_>, faults: &mut Faults) -> Option<u32> {
    let days = match json {
        Json::Number(digits) => digits.parse().ok().filter(|days| (1..=MOST_DAYS).contains(days)),
        _ => None,
    };
    faults.keep(days.ok_or_else(|| Invalid::value("must be a whole number of days from 1 to 365")))
}

impl CreateKey {
    /// Until when the key is good: 422 if that is past or too far.
    pub(crate) fn expires_at(&self, now: Timestamp) -> Result<Timestamp, Problem> {
        let most = now.plus(DAY * MOST_DAYS);
        match self.expires_at {
            Some(moment) if moment > now && moment <= most => Ok(moment),
            Some(_) => {
                let message = "must lie in the future, at most 365 days from now";
                Err(Problem::invalid_field("expires_at", "invalid_value", message))
            }
            None => Ok(now.plus(DAY * self.expires_in_days.unwrap_or(USUAL_DAYS))),
        }
    }
}

impl Auth {
    /// Refuses what no endpoint asks for.
    pub(crate) fn check_scopes(&self, scopes: &[String]) -> Result<(), Problem> {
        if scopes.iter().all(|scope| self.scopes.contains(scope)) {
            return Ok(());
        }
        let known: Vec<&str> = self.scopes.iter().map(String::as_str).collect();
        let message = format!("must be of these: {}", known.join(", "));
        Err(Problem::invalid_field("scopes", "unknown_scope", message))
    }
}

/// An API key as admins see it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ApiKey")]
pub(crate) struct KeyView {
    /// The id.
    id: Uuid,
    /// What it is for.
    name: String,
    /// What it may be used for.
    scopes: Vec<String>,
    /// The admin who made it, for whom it acts. It is good only while they are one.
    created_by: Uuid,
    /// When it was made.
    created_at: Timestamp,
    /// Until when it is good.
    expires_at: Timestamp,
    /// When it was last used, to within a minute or so.
    last_used_at: Option<Timestamp>,
    /// The key itself: send it as `Authorization: Bearer <secret>`. Only here, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<Shown>,
}

impl From<StoredKey> for KeyView {
    fn from(key: StoredKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            scopes: key.scopes,
            created_by: key.account_id,
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            secret: None,
        }
    }
}

impl KeyView {
    /// With the key itself, for its maker.
    pub(crate) fn with_secret(key: StoredKey, secret: &Secret) -> Self {
        Self { secret: Some(secret.clone().into()), ..key.into() }
    }
}

/// Who asks, as their token or their key says.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Validated {
    Token(Arc<Claims>),
    Key(KeyClaims),
}

/// What is known of an API key that is good.
#[derive(Serialize, JsonSchema)]
pub(crate) struct KeyClaims {
    /// The admin for whom it acts.
    sub: Uuid,
    /// The key's id.
    key: Uuid,
    /// What it may be used for, with spaces between (RFC 8693, section 4.2).
    scope: String,
    /// Until when it is good, in seconds since 1970.
    exp: i64,
}

impl From<&Verified> for Validated {
    fn from(verified: &Verified) -> Self {
        match verified.proof() {
            Proof::Token(claims) => Self::Token(Arc::clone(claims)),
            Proof::Key(key) => {
                let (scope, exp) = (key.scopes.join(" "), key.expires_at.seconds());
                Self::Key(KeyClaims { sub: key.account, key: key.id, scope, exp })
            }
        }
    }
}

/// Keys have no filters.
#[derive(JsonSchema)]
pub(crate) struct KeyFilter {}

impl FromParams for KeyFilter {
    fn from_params(_: &mut Params) -> Self {
        Self {}
    }
}

impl Listing for KeyFilter {
    const SORTS: Sorts = &[("created_at", "created_at")];
}
