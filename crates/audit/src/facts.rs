//! All that an entry can tell of what there was before and after. There is no way to put anything else in: no password, no token, no secret of
//! a webhook has a place here. What is personal stands in [`PersonFacts`] alone, which can be erased.

use std::collections::BTreeMap;

use kit::clock::Timestamp;
use kit::money::Money;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// What there was before, or after.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "AuditFacts")]
pub enum Facts {
    /// `user.*`
    Account(AccountFacts),
    /// `key.created`
    Key(KeyFacts),
    /// `price.changed`
    Price(PriceFacts),
    /// `order.priced`
    Order(OrderFacts),
    /// `login`
    Login(LoginFacts),
    /// `stock.corrected`, before
    Level(LevelFacts),
    /// `stock.corrected`
    Correction(CorrectionFacts),
    /// `stock.imported`, `products.imported`
    Import(ImportFacts),
    /// `data.exported`
    Export(ExportFacts),
    /// `settings.changed`
    Settings(SettingsFacts),
    /// `webhook.*`
    Webhook(WebhookFacts),
    /// What was refused.
    Refused(RefusedFacts),
}

/// What an account may do.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditAccountFacts")]
pub struct AccountFacts {
    /// The role.
    pub role: &'static str,
    /// Whether logging in is refused.
    pub disabled: bool,
    /// After a change: the fields that were named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<&'static str>>,
}

/// What an API key may do.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditKeyFacts")]
pub struct KeyFacts {
    /// What it was made for.
    pub scopes: Vec<String>,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// What a product costs.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "AuditPriceFacts")]
pub struct PriceFacts {
    /// ISO 4217.
    pub currency: &'static str,
    /// What one costs.
    pub unit_price: Money,
    /// What one cost to buy.
    pub unit_cost: Option<Money>,
}

/// What an order costs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditOrderFacts")]
pub struct OrderFacts {
    /// ISO 4217.
    pub currency: &'static str,
    /// All of it.
    pub total_price: Money,
    /// How many of its lines have a price that no catalogue knows.
    pub priced_lines: usize,
}

/// How somebody got in.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditLoginFacts")]
pub struct LoginFacts {
    /// What was given besides the password: `totp`, `recovery_code`, or nothing.
    pub second_factor: Option<&'static str>,
}

/// A level of stock.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditLevelFacts")]
pub struct LevelFacts {
    /// Where.
    pub location_id: Uuid,
    /// How much lies there.
    pub on_hand: i64,
    /// How much of it can't be sold.
    pub unavailable: i64,
}

/// A row of the ledger, which tells the rest, and what it led to.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditCorrectionFacts")]
pub struct CorrectionFacts {
    /// The movement's id.
    pub movement_id: Uuid,
    /// Its kind.
    pub kind: &'static str,
    /// The level after it.
    #[serde(flatten)]
    pub level: LevelFacts,
}

/// What a file did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditImportFacts")]
pub struct ImportFacts {
    /// How many rows it had.
    pub rows: usize,
    /// What was made.
    pub created: usize,
    /// What was changed.
    pub changed: usize,
}

/// Settings in effect that decide what the system does: no address, no place and no secret is among them.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(rename = "AuditSettingsFacts")]
pub struct SettingsFacts(pub BTreeMap<&'static str, String>);

/// What was taken along.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditExportFacts")]
pub struct ExportFacts {
    /// The file.
    pub file: &'static str,
    /// Whether a part was asked for by filters, or all.
    pub filtered: bool,
}

/// Where events are told. Of the address only the host, since the rest may hold a secret of the receiver's.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditWebhookFacts")]
pub struct WebhookFacts {
    /// The receiver's host.
    pub host: String,
    /// What it is told; empty for all.
    pub types: Vec<String>,
    /// Whether it is told anything.
    pub enabled: bool,
    /// How often its secret was changed; the address is told by this alone if only its path did.
    pub secret_generation: i64,
    /// After a change: the fields that were named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<&'static str>>,
}

/// The first of what was counted.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditRefusedFacts")]
pub struct RefusedFacts {
    /// Method and route.
    pub asked: Option<String>,
    /// Whether these are all of a minute for whom no entry of their own was left.
    pub others: bool,
}

/// What names a person.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "AuditPersonFacts")]
pub struct PersonFacts {
    /// The address to log in with.
    pub email: String,
    /// The name that others see.
    pub username: String,
}
