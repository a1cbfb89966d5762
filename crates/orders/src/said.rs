//! What the history keeps of a change besides the states, as compact JSON. It is written straight from these types,
//! since a general JSON value would take an amount for a float.

use kit::money::Money;
use kit::problem::Problem;
use kit::text::Text;
use serde::Serialize;
use uuid::Uuid;

use crate::lifecycle::Step;

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

/// What a change said: the fields that it named, and the step that its status stood for.
#[derive(Serialize)]
pub(crate) struct SaidChange {
    pub(crate) fields: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<SaidStep>,
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
