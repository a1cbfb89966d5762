//! `storehouse openapi`: the document of the whole system.

use anyhow::Result;

/// The document as JSON.
pub(crate) fn document() -> Result<String> {
    Ok(serde_json::to_string_pretty(&crate::system::document())? + "\n")
}
