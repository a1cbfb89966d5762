//! What the history keeps of a change besides the states, as compact JSON. It is written straight from these types,
//! since a general JSON value would take an amount for a float.

use kit::money::Money;
use kit::problem::Problem;
use kit::text::Text;
use serde::Serialize;
use uuid::Uuid;

use crate::lifecycle::Step;
use crate::model::{Line, Order};

/// What a step said.
#[derive(Default, Serialize)]
pub(crate) struct Said {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) lines: Vec<SaidLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) carrier: Option<Text<200>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tracking: Option<Text<200>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) restock: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) amount: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) method: Option<Text<200>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<Text<200>>,
}

/// A part of a line that was moved.
#[derive(Serialize)]
pub(crate) struct SaidLine {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) quantity: i64,
}

/// What a change said: the fields that it named, what the order had and has where lines were among them, and the step that its status stood for.
#[derive(Serialize)]
pub(crate) struct SaidChange {
    pub(crate) fields: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<SaidLines>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<SaidLines>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<SaidStep>,
}

/// All lines of an order, and what they cost.
#[derive(Serialize)]
pub(crate) struct SaidLines {
    total_price: Money,
    lines: Vec<SaidPrice>,
}

#[derive(Serialize)]
struct SaidPrice {
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<String>,
    /// Where there is no SKU to know it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    quantity: i64,
    total_price: Option<Money>,
}

impl SaidLines {
    pub(crate) fn of(order: &Order) -> Self {
        let line = |line: &Line| SaidPrice {
            sku: line.sku.clone(),
            name: line.sku.is_none().then(|| line.name.clone()),
            quantity: line.quantity,
            total_price: Money::from_minor(line.total_minor, order.total.currency()),
        };
        Self { total_price: order.total, lines: order.lines.iter().map(line).collect() }
    }
}

/// A step that a change took.
#[derive(Serialize)]
pub(crate) struct SaidStep {
    pub(crate) name: Step,
    pub(crate) details: Said,
}

/// As the history stores it.
pub(crate) fn to_json(said: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(said).map_err(Problem::internal)
}
