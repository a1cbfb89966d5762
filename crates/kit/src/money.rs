//! Money: integer minor units beside a currency. No float touches an amount.

use std::str::FromStr;

use db::{Column, Value};
use iso_currency::Currency as Iso;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::fields::{Faults, FromJson, Invalid, read_text};
use crate::json::Json;
use crate::text::write_json;

/// An ISO 4217 currency that has minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Currency(Iso);

impl Currency {
    /// The three letters.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    fn decimals(self) -> usize {
        self.0.exponent().map_or(0, usize::from)
    }
}

impl Default for Currency {
    fn default() -> Self {
        Self(Iso::USD)
    }
}

impl FromStr for Currency {
    type Err = Invalid;

    fn from_str(code: &str) -> Result<Self, Invalid> {
        let usual = Self::default();
        // Most name the usual one, and the crate compares with one code after the other.
        if code == usual.code() {
            return Ok(usual);
        }
        Iso::from_code(code).filter(|currency| currency.exponent().is_some()).map(Self).ok_or_else(|| {
            Invalid { code: "invalid_currency", message: "must be an ISO 4217 code such as USD".into() }
        })
    }
}

impl Column for Currency {
    fn from_value(value: Value<'_>) -> Option<Self> {
        if let Value::Text(code) = value { code.parse().ok() } else { None }
    }
}

impl FromJson for Currency {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        read_text(json, faults)
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl JsonSchema for Currency {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Currency".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["USD"], "description": "ISO 4217."})
    }
}

/// An amount: 0 to 2^53−1 minor units, written with the currency's decimals (`10.10`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// The largest amount, in minor units; totals keep to it too.
    pub const MAX_MINOR: i64 = (1 << 53) - 1;

    /// An amount of minor units; `None` out of range.
    pub fn from_minor(minor: i64, currency: Currency) -> Option<Self> {
        (0..=Self::MAX_MINOR).contains(&minor).then_some(Self { minor, currency })
    }

    /// Nothing.
    pub fn zero(currency: Currency) -> Self {
        Self { minor: 0, currency }
    }

    /// The amount in minor units.
    pub fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// This amount `quantity` times; `None` out of range.
    pub fn times(self, quantity: i64) -> Option<Self> {
        Self::from_minor(self.minor.checked_mul(quantity)?, self.currency)
    }

    /// The digits, written into the end of `buffer`: a page of orders has a hundred amounts, and `format!` costs five times
    /// as much.
    fn digits(self, buffer: &mut [u8; 24]) -> &str {
        let decimals = self.currency.decimals();
        let (mut rest, mut written, mut start) = (self.minor, 0, buffer.len());
        while rest > 0 || written <= decimals {
            if written == decimals && decimals > 0 {
                start -= 1;
                buffer[start] = b'.';
            }
            start -= 1;
            buffer[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            written += 1;
        }
        std::str::from_utf8(&buffer[start..]).unwrap_or_default()
    }
}

/// An amount as it was sent: plain decimal digits, to be read in a currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount(String);

impl Amount {
    /// The amount in a currency: 0 to 2^53−1 minor units, with no more decimals than the currency has.
    pub fn in_currency(&self, currency: Currency) -> Result<Money, Invalid> {
        parse_minor(&self.0, currency.decimals())
            .and_then(|minor| Money::from_minor(minor, currency))
            .ok_or_else(|| {
                let message = format!(
                    "must be 0 to 2^53-1 minor units, with at most {} decimals ({})",
                    currency.decimals(),
                    currency.code()
                );
                Invalid { code: "invalid_amount", message: message.into() }
            })
    }
}

impl FromJson for Amount {
    /// Reads a JSON number, or a string of the same digits.
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        let digits = match json {
            Json::Number(digits) => Some(*digits),
            Json::String(text) => Some(&**text),
            _ => None,
        };
        let plain = digits.filter(|digits| digits.len() <= 40 && is_plain_decimal(digits));
        faults.keep(plain.map(|digits| Self(digits.to_owned())).ok_or_else(|| Invalid {
            code: "invalid_amount",
            message: "must be an amount in plain decimal digits, not negative".into(),
        }))
    }
}

impl std::fmt::Display for Money {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.digits(&mut [0; 24]))
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_json(self.digits(&mut [0; 24]), serializer)
    }
}

impl JsonSchema for Money {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Money".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "number", "minimum": 0, "examples": [999.99], "description": "Major units, with the currency's decimals."})
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["number", "string"],
            "minimum": 0,
            "pattern": "^(0|[1-9][0-9]*)(\\.[0-9]+)?$",
            "description": "Major units with at most the currency's decimals; a string of the same digits is taken too.",
            "examples": [999.99]
        })
    }
}

/// Digits, and perhaps a point and more digits: no sign, no exponent, no leading zero.
fn is_plain_decimal(text: &str) -> bool {
    let (whole, fraction) =
        text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let has_leading_zero = whole.len() > 1 && whole.starts_with('0');
    is_digits(whole) && !has_leading_zero && fraction.is_none_or(is_digits)
}

fn parse_minor(text: &str, decimals: usize) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > decimals {
        return None;
    }
    let unit = |decimals: usize| 10_i64.checked_pow(u32::try_from(decimals).ok()?);
    let whole = whole.parse::<i64>().ok()?.checked_mul(unit(decimals)?)?;
    if fraction.is_empty() {
        return Some(whole);
    }
    whole.checked_add(fraction.parse::<i64>().ok()?.checked_mul(unit(decimals - fraction.len())?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minor(json: &str, code: &str) -> Option<i64> {
        let amount = Amount::from_json(&Json::parse(json.as_bytes()).unwrap(), &mut Faults::default())?;
        amount.in_currency(code.parse().unwrap()).ok().map(Money::minor)
    }

    #[test]
    fn reads_plain_decimals_exactly() {
        assert_eq!(minor("999.99", "USD"), Some(99_999));
        assert_eq!(minor("\"10.1\"", "USD"), Some(1_010));
        assert_eq!(minor("0", "USD"), Some(0));
        assert_eq!(minor("90071992547409.91", "USD"), Some(Money::MAX_MINOR));
        assert_eq!(minor("5", "JPY"), Some(5));
        assert_eq!(minor("1.234", "BHD"), Some(1_234));
        assert_eq!(minor("1.05", "BHD"), Some(1_050));
        assert_eq!(minor("0.05", "EUR"), Some(5));
    }

    #[test]
    fn refuses_what_is_no_amount() {
        let refused = [
            "-1",
            "-0",
            "0.001",
            "1e2",
            "1e309",
            "90071992547409.92",
            "99999999999999999999",
            "\"1e1\"",
            "\"\"",
            "\" 1\"",
            "\"01\"",
            "\"1.\"",
            "\".5\"",
            "\"NaN\"",
            "true",
            "null",
            "[1]",
        ];
        for json in refused {
            assert_eq!(minor(json, "USD"), None, "{json}");
        }
        assert_eq!(minor("5.0", "JPY"), None);
        assert!("XXX".parse::<Currency>().is_err() && "usd".parse::<Currency>().is_err());
    }

    #[test]
    fn writes_the_currencys_decimals() {
        let written =
            |minor, code: &str| Money::from_minor(minor, code.parse().unwrap()).unwrap().to_string();
        assert_eq!(written(1_010, "USD"), "10.10");
        assert_eq!(written(5, "USD"), "0.05");
        assert_eq!(written(0, "USD"), "0.00");
        assert_eq!(written(100, "USD"), "1.00");
        assert_eq!(written(Money::MAX_MINOR, "USD"), "90071992547409.91");
        assert_eq!(written(Money::MAX_MINOR, "CLF"), "900719925474.0991");
        assert_eq!(written(1, "BHD"), "0.001");
        assert_eq!(written(0, "JPY"), "0");
        assert_eq!(written(50, "JPY"), "50");
        let price = Money::from_minor(1_010, Currency::default()).unwrap();
        assert_eq!(serde_json::to_string(&price).unwrap(), "10.10");
    }
}
