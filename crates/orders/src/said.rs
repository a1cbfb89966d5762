//! What the history keeps of a change besides the states, as compact JSON. It is written straight from these types,
//! since a general JSON value would take an amount for a float.

use std::collections::HashMap;

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

/// What a change said: the fields that it named, the lines that only the order before had and those that only the one after has, and the step that its status
/// stood for.
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

/// So many lines of a change are told, so that a page of changes stays small.
const MOST_TOLD: usize = 50;

/// Some lines of an order, and what all of them cost.
#[derive(Serialize)]
pub(crate) struct SaidLines {
    total_price: Money,
    lines: Vec<SaidPrice>,
    /// How many more there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<usize>,
}

#[derive(Serialize)]
struct SaidPrice {
    #[serde(skip_serializing_if = "Option::is_none")]
    sku: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<Uuid>,
    /// Where there is no SKU to know it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    quantity: i64,
    total_price: Option<Money>,
}

impl SaidLines {
    /// Of two states of an order what only the one has, and what only the other; nothing if their lines are alike.
    pub(crate) fn between(before: &Order, after: &Order) -> Option<(Self, Self)> {
        let (had, has) = (only_in(&before.lines, &after.lines), only_in(&after.lines, &before.lines));
        let differ = !had.is_empty() || !has.is_empty();
        differ.then(|| (Self::new(before.total, &had), Self::new(after.total, &has)))
    }

    fn new(total_price: Money, lines: &[&Line]) -> Self {
        let line = |line: &&Line| SaidPrice {
            sku: line.sku.clone(),
            product_id: line.product_id,
            name: line.sku.is_none().then(|| line.name.clone()),
            quantity: line.quantity,
            total_price: Money::from_minor(line.total_minor, total_price.currency()),
        };
        let more = lines.len().checked_sub(MOST_TOLD).filter(|more| *more > 0);
        Self { total_price, lines: lines.iter().take(MOST_TOLD).map(line).collect(), more }
    }
}

/// The lines that have no like among others, each of which is the like of one.
fn only_in<'a>(lines: &'a [Line], others: &'a [Line]) -> Vec<&'a Line> {
    fn likeness(line: &Line) -> (Option<Uuid>, &str, i64, i64) {
        (line.product_id, line.sku.as_deref().unwrap_or(&line.name), line.quantity, line.total_minor)
    }
    let mut likes: HashMap<_, usize> = HashMap::new();
    for other in others {
        *likes.entry(likeness(other)).or_default() += 1;
    }
    let has_none = |line: &&'a Line| match likes.get_mut(&likeness(line)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    lines.iter().filter(has_none).collect()
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
