//! What requests may say.

use kit::fields::{Faults, Fields, FromFields, FromJson, Invalid, read_list, read_object, read_text};
use kit::identity::Role;
use kit::json::Json;
use kit::money::{Amount, Currency, Money};
use kit::text::{Quantity, Text};
use schemars::JsonSchema;
use stock::Sku;
use uuid::Uuid;

use crate::lifecycle::{Status, Step};
use crate::lines::check_prices;
use crate::model::{ExternalId, MAX_LINES, Metadata, Name, Note, ShipTo};

/// A new order.
pub(crate) struct PlaceOrder {
    pub(crate) lines: NewLines,
    /// For whom, if not for the caller; staff only.
    pub(crate) user_id: Option<Uuid>,
    pub(crate) currency: Option<Currency>,
    pub(crate) details: Details,
}

/// The lines of a new order.
pub(crate) enum NewLines {
    /// The original system's order: the buyer names product and price.
    FreeText { product_name: Name, quantity: Quantity, total: Money },
    /// Lines of stock, and for staff free ones.
    Listed(Vec<NewLine>),
}

/// One listed line.
#[derive(Clone, Debug)]
pub(crate) enum NewLine {
    Stock { sku: Sku, quantity: Quantity },
    Free { name: Name, quantity: Quantity, unit_price: Amount },
}

impl NewLine {
    /// Of a line of stock, its SKU.
    pub(crate) fn sku(&self) -> Option<&Sku> {
        if let Self::Stock { sku, .. } = self { Some(sku) } else { None }
    }
}

/// What an order carries besides its lines; the outer `None` leaves it as it is, an inner one clears it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Details {
    pub(crate) note: Option<Option<Note>>,
    pub(crate) ship_to: Option<Option<ShipTo>>,
    pub(crate) external_id: Option<Option<ExternalId>>,
    pub(crate) metadata: Option<Option<Metadata>>,
}

impl Details {
    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (note, ship_to) = (fields.clearable("note"), fields.clearable("ship_to"));
        let (external_id, metadata) = (fields.clearable("external_id"), fields.clearable("metadata"));
        Some(Self { note: note?, ship_to: ship_to?, external_id: external_id?, metadata: metadata? })
    }
}

impl FromFields for PlaceOrder {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let usual = fields.context().currency;
        let currency = fields.optional::<Currency>("currency");
        // A wrong currency is a fault of its own; the amounts are still read, so that theirs show too.
        let named = currency.flatten();
        let lines = if fields.has("lines") {
            read_listed(fields, named, usual)
        } else {
            read_free_text(fields, named.unwrap_or(usual))
        };
        let is_staff = fields.context().role >= Role::Staff;
        let user_id = if is_staff { fields.optional("user_id") } else { Some(None) };
        let details = Details::read(fields);
        Some(Self { lines: lines?, user_id: user_id?, currency: currency?, details: details? })
    }
}

fn read_free_text(fields: &mut Fields<'_, '_>, currency: Currency) -> Option<NewLines> {
    let (product_name, quantity) = (fields.required("product_name"), fields.required("quantity"));
    let total = fields.required_with("total_price", |json, faults| {
        let amount = Amount::from_json(json, faults)?;
        faults.keep(amount.in_currency(currency))
    });
    Some(NewLines::FreeText { product_name: product_name?, quantity: quantity?, total: total? })
}

/// Without a named currency, free lines beside stock are in that of the products, which isn't known yet.
fn read_listed(fields: &mut Fields<'_, '_>, named: Option<Currency>, usual: Currency) -> Option<NewLines> {
    let lines = fields.required_with("lines", read_lines)?;
    let is_free = lines.iter().all(|line| line.sku().is_none());
    let known = named.or(is_free.then_some(usual));
    match known.map(|currency| check_prices(&lines, currency)).unwrap_or_default() {
        faults if faults.is_empty() => Some(NewLines::Listed(lines)),
        faults => fields.faults.add_all(faults),
    }
}

fn read_lines(json: &Json<'_>, faults: &mut Faults) -> Option<Vec<NewLine>> {
    read_list(json, MAX_LINES, faults, read_object)
}

impl FromFields for NewLine {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let is_staff = fields.context().role >= Role::Staff;
        if is_staff && !fields.has("sku") {
            let (name, quantity) = (fields.required("name"), fields.required("quantity"));
            let unit_price = fields.required("unit_price");
            return Some(Self::Free { name: name?, quantity: quantity?, unit_price: unit_price? });
        }
        let (sku, quantity) = (fields.required("sku"), fields.required("quantity"));
        Some(Self::Stock { sku: sku?, quantity: quantity? })
    }
}

/// A change of an order: only what is named changes.
#[derive(Clone, Debug)]
pub(crate) struct ChangeOrder {
    pub(crate) product_name: Option<Name>,
    pub(crate) quantity: Option<Quantity>,
    pub(crate) total_price: Option<Amount>,
    pub(crate) lines: Option<Vec<NewLine>>,
    pub(crate) details: Details,
    pub(crate) status: Option<Target>,
}

impl ChangeOrder {
    /// Whether it changes the one line of a free-text order.
    pub(crate) fn names_free_text(&self) -> bool {
        self.product_name.is_some() || self.quantity.is_some() || self.total_price.is_some()
    }
}

impl FromFields for ChangeOrder {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (product_name, quantity) = (fields.change("product_name"), fields.change("quantity"));
        let (total_price, lines) = (fields.change("total_price"), fields.change_with("lines", read_lines));
        let (details, status) = (Details::read(fields), fields.change("status"));
        Some(Self {
            product_name: product_name?,
            quantity: quantity?,
            total_price: total_price?,
            lines: lines?,
            details: details?,
            status: status?,
        })
    }
}

/// A word that `status` takes in a change: a state to go to, or a step to take on all that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(crate) enum Target {
    Confirmed,
    OnHold,
    Cancelled,
    Shipped,
    Delivered,
    Returned,
    Paid,
    /// A state that no step leads to; to name it says no more than whether it is the present one.
    #[schemars(skip)]
    NoStep(Status),
}

impl Target {
    /// The step that leads there, if one does.
    pub(crate) fn step(self, from: Status) -> Option<Step> {
        Some(match self {
            Self::Confirmed if from == Status::OnHold => Step::Release,
            Self::Confirmed => Step::Confirm,
            Self::OnHold => Step::Hold,
            Self::Cancelled => Step::Cancel,
            Self::Shipped => Step::Ship,
            Self::Delivered => Step::Deliver,
            Self::Returned => Step::Return,
            Self::Paid => Step::Pay,
            Self::NoStep(_) => return None,
        })
    }

    /// What a word is that no step leads to.
    pub(crate) fn unknown() -> Invalid {
        let message = "must be confirmed, on_hold, cancelled, shipped, delivered, returned or paid";
        Invalid { code: "invalid_status", message: message.into() }
    }
}

impl std::str::FromStr for Target {
    type Err = Invalid;

    fn from_str(word: &str) -> Result<Self, Invalid> {
        Ok(match word {
            "confirmed" => Self::Confirmed,
            "on_hold" => Self::OnHold,
            "cancelled" => Self::Cancelled,
            "shipped" => Self::Shipped,
            "delivered" => Self::Delivered,
            "returned" => Self::Returned,
            "paid" => Self::Paid,
            other => return Status::parse(other).map(Self::NoStep).ok_or_else(Self::unknown),
        })
    }
}

impl FromJson for Target {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        read_text(json, faults)
    }
}

/// What a step may say besides its reason.
#[derive(Clone, Debug, Default)]
pub(crate) struct StepDetails {
    pub(crate) reason: Option<Text<1000>>,
    /// All that is open, if left out.
    pub(crate) lines: Option<Vec<StepLine>>,
    pub(crate) carrier: Option<Text<200>>,
    pub(crate) tracking: Option<Text<200>>,
    pub(crate) restock: Option<bool>,
    /// All that is open, if left out.
    pub(crate) amount: Option<Amount>,
    pub(crate) method: Option<Text<200>>,
    pub(crate) reference: Option<Text<200>>,
}

/// A part of a line.
#[derive(Clone, Debug, JsonSchema)]
pub(crate) struct StepLine {
    /// The line's id.
    pub(crate) id: Uuid,
    pub(crate) quantity: Quantity,
}

impl FromFields for StepLine {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (id, quantity) = (fields.required("id"), fields.required("quantity"));
        Some(Self { id: id?, quantity: quantity? })
    }
}

/// A step that takes no more than a reason.
pub(crate) struct PlainStep(StepDetails);
/// Shipping or returning.
pub(crate) struct GoodsStep(StepDetails);
/// Paying.
pub(crate) struct PayStep(StepDetails);
/// Giving money back.
pub(crate) struct RefundStep(StepDetails);

impl FromFields for PlainStep {
    const EMPTY_BODY: bool = true;

    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        Some(Self(StepDetails { reason: fields.optional("reason")?, ..StepDetails::default() }))
    }
}

impl FromFields for GoodsStep {
    const EMPTY_BODY: bool = true;

    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let lines =
            fields.change_with("lines", |json, faults| read_list(json, MAX_LINES, faults, read_object));
        let (carrier, tracking) = (fields.optional("carrier"), fields.optional("tracking"));
        let (restock, reason) = (fields.change("restock"), fields.optional("reason"));
        Some(Self(StepDetails {
            reason: reason?,
            lines: lines?,
            carrier: carrier?,
            tracking: tracking?,
            restock: restock?,
            ..StepDetails::default()
        }))
    }
}

impl FromFields for PayStep {
    const EMPTY_BODY: bool = true;

    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (amount, method) = (fields.change("amount"), fields.optional("method"));
        let (reference, reason) = (fields.optional("reference"), fields.optional("reason"));
        Some(Self(StepDetails {
            reason: reason?,
            amount: amount?,
            method: method?,
            reference: reference?,
            ..StepDetails::default()
        }))
    }
}

impl FromFields for RefundStep {
    const EMPTY_BODY: bool = true;

    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (amount, reason) = (fields.change("amount"), fields.optional("reason"));
        Some(Self(StepDetails { reason: reason?, amount: amount?, ..StepDetails::default() }))
    }
}

impl From<PlainStep> for StepDetails {
    fn from(step: PlainStep) -> Self {
        step.0
    }
}

impl From<GoodsStep> for StepDetails {
    fn from(step: GoodsStep) -> Self {
        step.0
    }
}

impl From<PayStep> for StepDetails {
    fn from(step: PayStep) -> Self {
        step.0
    }
}

impl From<RefundStep> for StepDetails {
    fn from(step: RefundStep) -> Self {
        step.0
    }
}
