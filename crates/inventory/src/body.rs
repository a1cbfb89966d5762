//! What requests may say.

use kit::fields::{Faults, Fields, FromFields, FromJson, Invalid, read_text};
use kit::json::Json;
use kit::money::{Amount, Currency, Money};
use kit::text::{Quantity, Text};
use schemars::JsonSchema;
use stock::{Change, Sku};
use uuid::Uuid;

use crate::model::{
    Barcode, Count, Description, ExternalId, Label, Metadata, Name, ReasonCode, Reference, SignedQuantity,
};

/// A new product.
pub(crate) struct CreateProduct {
    pub(crate) sku: Sku,
    pub(crate) name: Name,
    pub(crate) price: Money,
    pub(crate) cost: Option<Money>,
    pub(crate) details: Details,
}

/// What a product carries besides its SKU, its name and its prices. The outer `None` leaves it as it is, an inner one clears it.
#[derive(Default)]
pub(crate) struct Details {
    pub(crate) description: Option<Option<Description>>,
    pub(crate) barcode: Option<Option<Barcode>>,
    pub(crate) category: Option<Option<Reference>>,
    pub(crate) attributes: Option<Option<Metadata>>,
    pub(crate) track_stock: Option<bool>,
    pub(crate) backorder_limit: Option<Count>,
    pub(crate) reorder_point: Option<Option<Count>>,
    pub(crate) reorder_quantity: Option<Option<Quantity>>,
    pub(crate) active: Option<bool>,
    pub(crate) external_id: Option<Option<ExternalId>>,
    pub(crate) metadata: Option<Option<Metadata>>,
}

impl Details {
    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (description, barcode) = (fields.clearable("description"), fields.clearable("barcode"));
        let (category, attributes) = (fields.clearable("category"), fields.clearable("attributes"));
        let (track_stock, active) = (fields.change("track_stock"), fields.change("active"));
        let (point, quantity) = (fields.clearable("reorder_point"), fields.clearable("reorder_quantity"));
        let (external_id, metadata) = (fields.clearable("external_id"), fields.clearable("metadata"));
        let backorder_limit = fields.change("backorder_limit");
        Some(Self {
            description: description?,
            barcode: barcode?,
            category: category?,
            attributes: attributes?,
            track_stock: track_stock?,
            backorder_limit: backorder_limit?,
            reorder_point: point?,
            reorder_quantity: quantity?,
            active: active?,
            external_id: external_id?,
            metadata: metadata?,
        })
    }
}

impl FromFields for CreateProduct {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (sku, name) = (fields.required("sku"), fields.required("name"));
        let default = fields.context().currency;
        let currency = fields.optional("currency").map(|named| named.unwrap_or(default));
        // A wrong currency is a fault of its own; the amounts are still read, so that theirs show too.
        let reading = currency.unwrap_or(default);
        let price = fields.required_with("unit_price", |json, faults| read_money(json, reading, faults));
        let cost = fields.change_with("unit_cost", |json, faults| match json {
            Json::Null => Some(None),
            amount => read_money(amount, reading, faults).map(Some),
        });
        let details = Details::read(fields);
        currency?;
        Some(Self { sku: sku?, name: name?, price: price?, cost: cost?.flatten(), details: details? })
    }
}

fn read_money(json: &Json<'_>, currency: Currency, faults: &mut Faults) -> Option<Money> {
    let amount = Amount::from_json(json, faults)?;
    faults.keep(amount.in_currency(currency))
}

/// A change of a product: only what is named changes.
pub(crate) struct ChangeProduct {
    pub(crate) sku: Option<Sku>,
    pub(crate) name: Option<Name>,
    pub(crate) unit_price: Option<Amount>,
    pub(crate) unit_cost: Option<Option<Amount>>,
    pub(crate) currency: Option<Currency>,
    pub(crate) details: Details,
}

impl FromFields for ChangeProduct {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (sku, name) = (fields.change("sku"), fields.change("name"));
        let (unit_price, unit_cost) = (fields.change("unit_price"), fields.clearable("unit_cost"));
        let (currency, details) = (fields.change("currency"), Details::read(fields));
        Some(Self {
            sku: sku?,
            name: name?,
            unit_price: unit_price?,
            unit_cost: unit_cost?,
            currency: currency?,
            details: details?,
        })
    }
}

/// A new category.
pub(crate) struct CreateCategory {
    pub(crate) name: Label,
}

impl FromFields for CreateCategory {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        Some(Self { name: fields.required("name")? })
    }
}

/// A new reason code.
pub(crate) struct CreateReasonCode {
    pub(crate) code: ReasonCode,
    pub(crate) description: Text<200>,
}

impl FromFields for CreateReasonCode {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (code, description) = (fields.required("code"), fields.required("description"));
        Some(Self { code: code?, description: description? })
    }
}

/// A new location.
pub(crate) struct CreateLocation {
    pub(crate) code: Label,
    pub(crate) name: Name,
    pub(crate) priority: Option<Count>,
}

impl FromFields for CreateLocation {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (code, name) = (fields.required("code"), fields.required("name"));
        let priority = fields.change("priority");
        Some(Self { code: code?, name: name?, priority: priority? })
    }
}

/// A change of a location: only what is named changes.
pub(crate) struct ChangeLocation {
    pub(crate) code: Option<Label>,
    pub(crate) name: Option<Name>,
    pub(crate) priority: Option<Count>,
}

impl FromFields for ChangeLocation {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (code, name, priority) =
            (fields.change("code"), fields.change("name"), fields.change("priority"));
        Some(Self { code: code?, name: name?, priority: priority? })
    }
}

/// The product that a body names.
#[derive(Clone, Debug)]
pub(crate) enum ProductReference {
    Id(Uuid),
    Sku(Sku),
}

impl ProductReference {
    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (id, sku) = (fields.change("product_id"), fields.change("sku"));
        match (id?, sku?) {
            (Some(id), None) => Some(Self::Id(id)),
            (None, Some(sku)) => Some(Self::Sku(sku)),
            (Some(_), Some(_)) => fields.fault("product_id", Invalid::value("must not stand beside sku")),
            (None, None) => {
                let message = "is required, or product_id in its place";
                fields.fault("sku", Invalid { code: "required", message: message.into() })
            }
        }
    }

    /// The field that names it.
    pub(crate) fn field(&self) -> &'static str {
        match self {
            Self::Id(_) => "product_id",
            Self::Sku(_) => "sku",
        }
    }
}

/// What can be done to a level.
#[derive(Clone, Copy, Debug, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(crate) enum AdjustmentKind {
    /// Goods came in: 1 or more.
    Receive,
    /// The figure is put right: so many more, or less.
    Adjust,
    /// So many were counted: 0 or more.
    Count,
    /// So many more can't be sold, or so many less.
    Quarantine,
}

impl std::str::FromStr for AdjustmentKind {
    type Err = Invalid;

    fn from_str(word: &str) -> Result<Self, Invalid> {
        Ok(match word {
            "receive" => Self::Receive,
            "adjust" => Self::Adjust,
            "count" => Self::Count,
            "quarantine" => Self::Quarantine,
            _ => return Err(Invalid::value("must be receive, adjust, count or quarantine")),
        })
    }
}

impl FromJson for AdjustmentKind {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        read_text(json, faults)
    }
}

impl AdjustmentKind {
    fn read_change(self, json: &Json<'_>, faults: &mut Faults) -> Option<Change> {
        Some(match self {
            Self::Receive => Change::Receive(Quantity::from_json(json, faults)?.get()),
            Self::Adjust => Change::Adjust(SignedQuantity::from_json(json, faults)?.0),
            Self::Count => Change::Count(Count::from_json(json, faults)?.0),
            Self::Quarantine => Change::Quarantine(SignedQuantity::from_json(json, faults)?.0),
        })
    }
}

/// A change of a level.
pub(crate) struct AdjustStock {
    pub(crate) product: ProductReference,
    /// MAIN, if left out.
    pub(crate) location: Option<Reference>,
    pub(crate) change: Change,
    pub(crate) reason: Option<Reference>,
    pub(crate) expected_on_hand: Option<Count>,
    pub(crate) unit_cost: Option<Amount>,
}

impl FromFields for AdjustStock {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (product, location) = (ProductReference::read(fields), fields.optional("location"));
        let kind = fields.required::<AdjustmentKind>("kind");
        // Without a kind any whole number might be meant.
        let reading = kind.unwrap_or(AdjustmentKind::Adjust);
        let change = fields.required_with("quantity", |json, faults| reading.read_change(json, faults));
        // Null is refused where it would be taken for nothing said, and a figure was meant.
        let (reason, expected) = (fields.optional("reason"), fields.change("expected_on_hand"));
        let unit_cost = fields.change::<Amount>("unit_cost")?;
        if unit_cost.is_some() && !matches!(kind?, AdjustmentKind::Receive) {
            return fields.fault("unit_cost", Invalid::value("is only known of what came in (`receive`)"));
        }
        kind?;
        Some(Self {
            product: product?,
            location: location?,
            change: change?,
            reason: reason?,
            expected_on_hand: expected?,
            unit_cost,
        })
    }
}

/// What was counted, in a file: what it names besides is looked up by the file's own texts.
pub(crate) struct CountStock {
    pub(crate) on_hand: Count,
    pub(crate) reason: Option<Reference>,
}

impl FromFields for CountStock {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (sku, location) = (fields.required::<Sku>("sku"), fields.optional::<Reference>("location"));
        let (on_hand, reason) = (fields.required("on_hand"), fields.optional("reason"));
        sku?;
        location?;
        Some(Self { on_hand: on_hand?, reason: reason? })
    }
}

/// Goods that change their place.
pub(crate) struct TransferStock {
    pub(crate) product: ProductReference,
    pub(crate) from: Reference,
    pub(crate) to: Reference,
    pub(crate) quantity: Quantity,
}

impl FromFields for TransferStock {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let product = ProductReference::read(fields);
        let (from, to, quantity) =
            (fields.required("from"), fields.required("to"), fields.required("quantity"));
        Some(Self { product: product?, from: from?, to: to?, quantity: quantity? })
    }
}
