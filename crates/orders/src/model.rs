//! An order and its lines, as they are stored.

use std::collections::BTreeMap;
use std::time::Duration;

use kit::clock::Timestamp;
use kit::fields::{Faults, FromJson, Invalid};
use kit::json::Json;
use kit::money::Money;
use kit::problem::Problem;
use kit::text::{JsonObject, Text};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use uuid::Uuid;

use crate::lifecycle::Status;

/// The most lines of an order.
pub(crate) const MAX_LINES: usize = 500;

/// A name of a product or a line.
pub(crate) type Name = Text<200>;

/// A note to an order.
pub(crate) type Note = Text<10_000>;

/// The order's name in another system.
pub(crate) type ExternalId = Text<200>;

/// An integrator's own fields: at most 16 KiB.
pub(crate) type Metadata = JsonObject<{ 16 * 1024 }>;

/// An order.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) id: Uuid,
    pub(crate) number: i64,
    pub(crate) user_id: Uuid,
    pub(crate) status: Status,
    pub(crate) lines: Vec<Line>,
    pub(crate) total: Money,
    pub(crate) paid_minor: i64,
    pub(crate) refunded_minor: i64,
    /// Whether the buyer named product and price, as in the original system's order, and may name others.
    pub(crate) is_free_text: bool,
    pub(crate) note: Option<String>,
    /// Compact JSON: a string or an object.
    pub(crate) ship_to: Option<String>,
    pub(crate) external_id: Option<String>,
    pub(crate) metadata: String,
    /// Whether its owner deleted it.
    pub(crate) hidden: bool,
    /// When it gives up what it holds, if it is pending and holds something.
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) version: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// A line. `returned ≤ delivered ≤ shipped ≤ quantity`: what came back has arrived before.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) id: Uuid,
    pub(crate) sku: Option<String>,
    /// What it is found by.
    pub(crate) sku_key: Option<String>,
    pub(crate) product_id: Option<Uuid>,
    /// Whether it is taken from stock, decided when it was written.
    pub(crate) takes_stock: bool,
    pub(crate) name: String,
    pub(crate) quantity: i64,
    pub(crate) shipped: i64,
    pub(crate) delivered: i64,
    pub(crate) returned: i64,
    /// Unknown where a total named by the buyer doesn't divide.
    pub(crate) unit_minor: Option<i64>,
    pub(crate) total_minor: i64,
}

impl Order {
    /// Text to find it by.
    pub(crate) fn search_text(&self) -> String {
        Self::search_text_of(self.number, &self.words())
    }

    /// The same of an order with this number and these words.
    pub(crate) fn search_text_of(number: i64, words: &str) -> String {
        format!(" {number}{words}")
    }

    /// The words to find it by, which are all but its number.
    pub(crate) fn words(&self) -> String {
        let names =
            self.lines.iter().flat_map(|line| [line.name.as_str(), line.sku.as_deref().unwrap_or_default()]);
        let own = [self.external_id.as_deref().unwrap_or_default(), self.note.as_deref().unwrap_or_default()];
        kit::search::fold(own.into_iter().chain(names))
    }

    /// What it holds of each product: all that isn't shipped yet, as long as it may be.
    pub(crate) fn held(&self) -> BTreeMap<Uuid, i64> {
        if self.status.is_open() { self.stock(|line| line.quantity - line.shipped) } else { BTreeMap::new() }
    }

    /// So much of each product, summed over the lines that take stock; only what is more than nothing.
    pub(crate) fn stock(&self, count: impl Fn(&Line) -> i64) -> BTreeMap<Uuid, i64> {
        let mut sums = BTreeMap::new();
        for line in self.lines.iter().filter(|line| line.takes_stock && count(line) > 0) {
            if let Some(product) = line.product_id {
                *sums.entry(product).or_default() += count(line);
            }
        }
        sums
    }

    /// Whether anything of it was shipped.
    pub(crate) fn was_shipped(&self) -> bool {
        self.lines.iter().any(|line| line.shipped > 0)
    }

    /// What was paid for it and not given back.
    pub(crate) fn received_minor(&self) -> i64 {
        self.paid_minor - self.refunded_minor
    }

    /// What is to be paid for what has not come back; of a line of which some came back, rounded down.
    pub(crate) fn due_minor(&self) -> i64 {
        let due = |line: &Line| {
            let part = i128::from(line.total_minor) * i128::from(line.quantity - line.returned);
            part / i128::from(line.quantity)
        };
        i64::try_from(self.lines.iter().map(due).sum::<i128>()).unwrap_or(i64::MAX)
    }

    /// Whether it gives up what it holds now. One for which money was received waits for staff.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.status == Status::Pending
            && self.received_minor() <= 0
            && self.expires_at.is_some_and(|moment| moment <= now)
    }

    /// Says when it expires. A moment that is set stays, so that changes don't prolong it.
    pub(crate) fn set_expiry(&mut self, at: Timestamp) {
        let expires = self.status == Status::Pending && !self.held().is_empty();
        self.expires_at = expires.then(|| self.expires_at.unwrap_or(at));
    }

    /// Lets what would expire do so no earlier.
    pub(crate) fn prolong(&mut self, at: Timestamp) {
        self.expires_at = self.expires_at.map(|moment| moment.max(at));
    }

    /// Makes it the next version. Each is later than the one before, by which its history is in order: a request that came earlier may have waited longer
    /// for the row, and a clock may stand or be set back.
    pub(crate) fn touch(&mut self, now: Timestamp) {
        self.version += 1;
        self.updated_at = now.max(self.updated_at.plus(Duration::from_micros(1)));
    }

    /// How many lines have a price that comes from no catalogue.
    pub(crate) fn priced_lines(&self) -> usize {
        self.lines.iter().filter(|line| line.product_id.is_none()).count()
    }

    /// 404 for a caller who may not know of it.
    pub(crate) fn check_visible_to(&self, account: Uuid, is_staff: bool) -> Result<(), Problem> {
        check_visible(self.user_id, self.hidden, account, is_staff)
    }
}

/// 404 for an account that may not know of an order of this owner: staff may always, the owner unless they deleted it.
pub(crate) fn check_visible(owner: Uuid, hidden: bool, account: Uuid, is_staff: bool) -> Result<(), Problem> {
    if is_staff || (owner == account && !hidden) {
        return Ok(());
    }
    Err(if owner == account { Problem::not_found() } else { Problem::hidden(account) })
}

/// Where to send it: a text of at most 1,000 characters, or an object of at most 4 KiB; kept as compact JSON.
#[derive(Clone, Debug)]
pub(crate) struct ShipTo(pub(crate) String);

impl FromJson for ShipTo {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        match json {
            Json::String(_) => Text::<1000>::from_json(json, faults).map(|_| Self(json.to_string())),
            Json::Object(_) => {
                JsonObject::<4096>::from_json(json, faults).map(|object| Self(object.as_str().to_owned()))
            }
            other => {
                let message = format!("must be a text or an object, not {}", other.kind());
                faults.add(Invalid { code: "invalid_type", message: message.into() })
            }
        }
    }
}

impl JsonSchema for ShipTo {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ShipTo".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "object"], "minLength": 1, "maxLength": 1000, "additionalProperties": true})
    }
}
