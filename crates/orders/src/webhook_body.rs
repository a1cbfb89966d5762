//! What requests about webhooks may say.

use events::EventFilter;
use kit::fields::{Faults, Fields, FromFields, FromJson, read_list};
use kit::json::Json;
use kit::openapi::refuse_null;
use kit::text::Text;
use schemars::JsonSchema;
use webhooks::WebhookUrl;

/// What a webhook is for.
pub(crate) type WebhookDescription = Text<200>;

/// A new webhook.
#[derive(JsonSchema)]
#[schemars(transform = refuse_null(&["enabled"]))]
pub(crate) struct CreateWebhook {
    /// Where its messages go.
    pub(crate) url: WebhookUrl,
    pub(crate) description: Option<WebhookDescription>,
    /// What it is told; all, if left out.
    #[schemars(length(min = 1, max = 50))]
    pub(crate) types: Option<Vec<EventFilter>>,
    /// Whether it is told anything; true if left out.
    pub(crate) enabled: Option<bool>,
}

/// Only what is named changes; `null` clears, of `types` it stands for all.
#[derive(JsonSchema)]
#[schemars(transform = refuse_null(&["url", "enabled"]))]
pub(crate) struct ChangeWebhook {
    /// Where its messages go.
    pub(crate) url: Option<WebhookUrl>,
    pub(crate) description: Option<Option<WebhookDescription>>,
    /// What it is told.
    #[schemars(length(min = 1, max = 50))]
    pub(crate) types: Option<Option<Vec<EventFilter>>>,
    /// Whether it is told anything. One that is enabled again is told what happens from then on.
    pub(crate) enabled: Option<bool>,
}

impl FromFields for CreateWebhook {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (url, description) = (fields.required("url"), fields.optional("description"));
        let (types, enabled) = (read_types(fields), fields.change("enabled"));
        Some(Self { url: url?, description: description?, types: types?.flatten(), enabled: enabled? })
    }
}

impl FromFields for ChangeWebhook {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (url, description) = (fields.change("url"), fields.clearable("description"));
        let (types, enabled) = (read_types(fields), fields.change("enabled"));
        Some(Self { url: url?, description: description?, types: types?, enabled: enabled? })
    }
}

fn read_types(fields: &mut Fields<'_, '_>) -> Option<Option<Option<Vec<EventFilter>>>> {
    fields.change_with("types", |json: &Json<'_>, faults: &mut Faults| match json {
        Json::Null => Some(None),
        list => read_list(list, EventFilter::MOST, faults, EventFilter::from_json)
            .map(|types| Some(each_once(types))),
    })
}

/// What stands twice says nothing more.
fn each_once(types: Vec<EventFilter>) -> Vec<EventFilter> {
    types.into_iter().fold(Vec::new(), |mut once, filter| {
        if !once.contains(&filter) {
            once.push(filter);
        }
        once
    })
}
