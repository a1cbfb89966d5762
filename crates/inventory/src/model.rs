//! Products, locations and what they are called by: types that can only be valid.

use std::ops::RangeInclusive;
use std::str::FromStr;

use kit::clock::Timestamp;
use kit::fields::{Faults, FromJson, Invalid, read_text};
use kit::json::Json;
use kit::money::{Currency, Money};
use kit::text::{JsonObject, Quantity, Text};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use stock::{Sku, Terms};
use uuid::Uuid;

/// A product's name.
pub(crate) type Name = Text<200>;

/// What is said of a product.
pub(crate) type Description = Text<10_000>;

/// The product's name in another system.
pub(crate) type ExternalId = Text<200>;

/// An integrator's own fields: at most 16 KiB.
pub(crate) type Metadata = JsonObject<{ 16 * 1024 }>;

/// What names a location or a category in a body: its code or name, or its id.
pub(crate) type Reference = Text<64>;

/// A product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) id: Uuid,
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) barcode: Option<String>,
    pub(crate) category: Option<Category>,
    pub(crate) price: Money,
    pub(crate) cost: Option<Money>,
    /// Compact JSON.
    pub(crate) attributes: String,
    /// Whether orders take it from stock.
    pub(crate) track_stock: bool,
    /// How many may be sold beyond what there is.
    pub(crate) backorder_limit: i64,
    pub(crate) reorder_point: Option<i64>,
    pub(crate) reorder_quantity: Option<i64>,
    /// Whether it is sold; customers see no other.
    pub(crate) active: bool,
    pub(crate) external_id: Option<String>,
    /// Compact JSON.
    pub(crate) metadata: String,
    pub(crate) version: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) stock: Figures,
}

impl Product {
    /// The text to find it by: words of its name, SKU, barcode and external id. The description would be most of all words, and find what
    /// nobody meant.
    pub(crate) fn search_text(&self) -> String {
        let optional = [self.barcode.as_deref(), self.external_id.as_deref()];
        kit::search::fold(
            [self.name.as_str(), self.sku.as_str()].into_iter().chain(optional.into_iter().flatten()),
        )
    }

    /// What makes its SKU unique.
    pub(crate) fn sku_key(&self) -> String {
        Sku::key_of(&self.sku)
    }

    /// What its level at MAIN knows of it; what isn't tracked or sold is never low.
    pub(crate) fn terms(&self) -> Terms {
        let reorder_point = self.reorder_point.filter(|_| self.track_stock && self.active);
        Terms { product_id: self.id, backorder_limit: self.backorder_limit, reorder_point }
    }

    /// How many can be ordered now; nothing where it isn't tracked.
    pub(crate) fn available(&self) -> Option<i64> {
        self.stock.available(self.backorder_limit, self.track_stock)
    }

    pub(crate) fn currency(&self) -> Currency {
        self.price.currency()
    }

    /// Makes it the next version. Its time never goes back, though a request that came earlier may wait longer for the row.
    pub(crate) fn touch(&mut self, now: Timestamp) {
        self.version += 1;
        self.updated_at = now.max(self.updated_at);
    }
}

/// What there is of a product at all locations, or at one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) on_hand: i64,
    pub(crate) allocated: i64,
    pub(crate) unavailable: i64,
    /// How many movements there were.
    pub(crate) version: i64,
}

impl Figures {
    /// What is there and nobody's.
    pub(crate) fn free(&self) -> i64 {
        self.on_hand - self.unavailable - self.allocated
    }

    /// How many can be ordered, with what may be backordered; nothing of a product that isn't tracked, of which there is no end.
    pub(crate) fn available(&self, backorder_limit: i64, is_tracked: bool) -> Option<i64> {
        is_tracked.then(|| self.free() + backorder_limit)
    }
}

/// A category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Category {
    pub(crate) id: Uuid,
    pub(crate) name: String,
}

/// A location.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    pub(crate) id: Uuid,
    pub(crate) code: String,
    pub(crate) name: String,
    /// Behind MAIN, the lowest is filled from first.
    pub(crate) priority: i64,
    pub(crate) version: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// A bar code: as a SKU is written, compared as it is.
#[derive(Clone, Debug)]
pub(crate) struct Barcode(pub(crate) String);

impl FromStr for Barcode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let code = text.parse::<Sku>().map_err(|invalid| Invalid { code: "invalid_barcode", ..invalid })?;
        Ok(Self(code.as_str().to_owned()))
    }
}

/// What a location or a category is called: written as a SKU is, unique without regard to case, and no id, since an id may stand in its place.
#[derive(Clone, Debug)]
pub(crate) struct Label(pub(crate) String);

impl FromStr for Label {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let label = text.parse::<Sku>().map_err(|invalid| Invalid { code: "invalid_value", ..invalid })?;
        if Uuid::try_parse(text).is_ok() {
            return Err(Invalid::value("must not look like an id"));
        }
        Ok(Self(label.as_str().to_owned()))
    }
}

/// The word for why stock was changed: 1 to 64 of `a-z`, `0-9` and `_`.
#[derive(Clone, Debug)]
pub(crate) struct ReasonCode(pub(crate) String);

impl FromStr for ReasonCode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_plain =
            text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !is_plain || !(1..=64).contains(&text.len()) {
            let message = "must have 1 to 64 characters of a-z, 0-9 and _";
            return Err(Invalid { code: "invalid_reason_code", message: message.into() });
        }
        Ok(Self(text.to_owned()))
    }
}

/// How many there are: 0 to 1,000,000,000.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count(pub(crate) i64);

impl Count {
    const RANGE: RangeInclusive<i64> = 0..=Quantity::MAX;
}

impl FromJson for Count {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        let message = "must be a whole number from 0 to 1000000000";
        read_whole(json, faults, |number| Self::RANGE.contains(&number), message).map(Self)
    }
}

/// How many more, or less: 1 to 1,000,000,000, or -1 to -1,000,000,000.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignedQuantity(pub(crate) i64);

impl FromJson for SignedQuantity {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        let is_change = |number: i64| number != 0 && Count::RANGE.contains(&number.saturating_abs());
        let message = "must be a whole number from 1 to 1000000000, or from -1 to -1000000000";
        read_whole(json, faults, is_change, message).map(Self)
    }
}

fn read_whole(
    json: &Json<'_>,
    faults: &mut Faults,
    is_in_range: impl FnOnce(i64) -> bool,
    message: &'static str,
) -> Option<i64> {
    let number = match json {
        // Minus nothing is no number of things.
        Json::Number(digits) if *digits != "-0" => digits.parse().ok(),
        _ => None,
    };
    let invalid = || Invalid { code: "invalid_quantity", message: message.into() };
    faults.keep(number.filter(|number| is_in_range(*number)).ok_or_else(invalid))
}

/// Lets a type that parses itself be read from a JSON string.
macro_rules! read_from_text {
    ($($name:ident),*) => {
        $(impl FromJson for $name {
            fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
                read_text(json, faults)
            }
        })*
    };
}

read_from_text!(Barcode, Label, ReasonCode);

/// Shows a type in the OpenAPI document by a schema that stands where it is used.
macro_rules! shown_as {
    ($($name:ident: $schema:tt),* $(,)?) => {
        $(impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        })*
    };
}

shown_as! {
    Barcode: {"type": "string", "minLength": 1, "maxLength": 64, "examples": ["4006381333931"]},
    Label: {"type": "string", "minLength": 1, "maxLength": 64},
    ReasonCode: {"type": "string", "pattern": "^[a-z0-9_]{1,64}$", "examples": ["damaged"]},
    Count: {"type": "integer", "minimum": 0, "maximum": 1_000_000_000},
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: FromJson>(text: &str) -> Option<T> {
        T::from_json(&Json::parse(text.as_bytes()).unwrap(), &mut Faults::default())
    }

    #[test]
    fn numbers_are_whole_and_within_their_range() {
        for (text, count, change) in [
            ("0", Some(0), None),
            ("1", Some(1), Some(1)),
            ("1000000000", Some(1_000_000_000), Some(1_000_000_000)),
            ("-1", None, Some(-1)),
            ("-1000000000", None, Some(-1_000_000_000)),
        ] {
            assert_eq!(read::<Count>(text).map(|count| count.0), count, "{text}");
            assert_eq!(read::<SignedQuantity>(text).map(|change| change.0), change, "{text}");
        }
        for text in [
            "-0",
            "0.5",
            "1.0",
            "1e2",
            "1e309",
            "1000000001",
            "-1000000001",
            "2147483648",
            "9007199254740993",
            "-9223372036854775808",
            "9223372036854775808",
            "\"1\"",
            "null",
            "true",
            "[]",
        ] {
            assert!(read::<Count>(text).is_none() && read::<SignedQuantity>(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_label_is_no_id() {
        assert_eq!("Main 2".parse::<Label>().unwrap().0, "Main 2");
        for bad in
            ["", " x", "a\u{7}", "0193f000-0000-7000-8000-000000000001", "0193f00000007000800000000000000a"]
        {
            assert!(bad.parse::<Label>().is_err(), "{bad:?}");
        }
        for bad in ["", "Damaged", "a-b", "ä", "a b"] {
            assert!(bad.parse::<ReasonCode>().is_err(), "{bad:?}");
        }
        assert!("data_entry2".parse::<ReasonCode>().is_ok());
    }
}
