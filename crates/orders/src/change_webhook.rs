//! Making, changing, rotating and removing webhooks.

use audit::{Act, Action, Facts, WebhookFacts};
use db::Tx;
use futures_util::FutureExt;
use kit::answer::{Answer, Created, Resource};
use kit::author::Author;
use kit::clock::new_id;
use kit::etag::IfMatch;
use kit::problem::Problem;
use uuid::Uuid;
use webhooks::{Added, Webhook, WebhookUrl, add_webhook, lock_webhook, remove_webhook, rotate_secret};

use crate::Orders;
use crate::webhook_body::{ChangeWebhook, CreateWebhook};
use crate::webhook_view::WebhookView;

pub(crate) async fn create_webhook(
    orders: &Orders,
    new: CreateWebhook,
    author: Author,
) -> Result<Created<WebhookView>, Problem> {
    check_address(orders, &new.url)?;
    let now = author.now;
    let webhook = Webhook {
        id: new_id(),
        url: new.url.as_str().to_owned(),
        description: new.description.map(|text| text.as_str().to_owned()),
        filters: new.types.unwrap_or_default(),
        enabled: new.enabled.unwrap_or(true),
        disabled_reason: None,
        generation: 1,
        rotated_at: None,
        failing_since: None,
        cursor: events::Position::default(),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let input = (webhook, author);
    let webhook = orders.shared.db.write(input, |tx, (new, author)| store(tx, new, author).boxed()).await?;
    let (path, version) = (format!("/webhooks/{}", webhook.id), webhook.version);
    Ok(Answer::new(&with_secret(orders, webhook))?.version(version).location(path))
}

async fn store(tx: &Tx, new: &Webhook, author: &Author) -> Result<Webhook, Problem> {
    let mut webhook = new.clone();
    match add_webhook(tx, &mut webhook).await? {
        Added::Stored => {
            record(tx, Action::WebhookCreated, None, Some(&webhook), None, author).await?;
            Ok(webhook)
        }
        Added::TooMany => Err(Problem::conflict(
            "too_many_webhooks",
            "There are 50 webhooks, which is as many as there may be.",
        )),
    }
}

fn with_secret(orders: &Orders, webhook: Webhook) -> WebhookView {
    let secret = orders.webhooks.secret_of(&webhook).show();
    WebhookView::with_secret(webhook, secret)
}

/// An address that no message would reach is refused at once; where a name leads is seen at each message.
fn check_address(orders: &Orders, url: &WebhookUrl) -> Result<(), Problem> {
    if url.address().is_none_or(|address| orders.webhooks.outgoing.allows(address)) {
        return Ok(());
    }
    let message = "is a private or reserved address, which WEBHOOK_ALLOW_NETWORKS doesn't name";
    Err(Problem::invalid_field("url", "address_refused", message))
}

/// A change to make.
struct Changing {
    id: Uuid,
    change: ChangeWebhook,
    condition: IfMatch,
    author: Author,
}

pub(crate) async fn change_webhook(
    orders: &Orders,
    id: Uuid,
    change: ChangeWebhook,
    condition: IfMatch,
    author: Author,
) -> Result<Resource<WebhookView>, Problem> {
    if let Some(url) = &change.url {
        check_address(orders, url)?;
    }
    let changing = Changing { id, change, condition, author };
    let webhook = orders.shared.db.write(changing, |tx, changing| changing.run(tx).boxed()).await?;
    let version = webhook.version;
    Ok(Answer::new(&WebhookView::from(webhook))?.version(version))
}

impl Changing {
    async fn run(&self, tx: &Tx) -> Result<Webhook, Problem> {
        let before = locked(tx, self.id, &self.condition).await?;
        let ChangeWebhook { url, description, types, enabled } = &self.change;
        if self.change.fields().is_empty() {
            return Ok(before);
        }
        let mut after = before.clone();
        if let Some(url) = url {
            after.url = url.as_str().to_owned();
        }
        if let Some(description) = description {
            after.description = description.as_ref().map(|text| text.as_str().to_owned());
        }
        if let Some(types) = types {
            after.filters = types.clone().unwrap_or_default();
        }
        after.enabled = enabled.unwrap_or(before.enabled);
        after.version += 1;
        after.updated_at = self.author.now.max(before.updated_at);
        webhooks::change_webhook(tx, &before, &mut after).await?;
        let fields = Some(self.change.fields());
        record(tx, Action::WebhookChanged, Some(&before), Some(&after), fields, &self.author).await?;
        Ok(after)
    }
}

impl ChangeWebhook {
    /// The names of the fields that are to change.
    fn fields(&self) -> Vec<&'static str> {
        let named = [
            ("url", self.url.is_some()),
            ("description", self.description.is_some()),
            ("types", self.types.is_some()),
            ("enabled", self.enabled.is_some()),
        ];
        named.into_iter().filter(|(_, is_named)| *is_named).map(|(field, _)| field).collect()
    }
}

/// Into the audit log, which gets no secret: of the address the host alone, of the signing secret how often it was changed.
async fn record(
    tx: &Tx,
    action: Action,
    before: Option<&Webhook>,
    after: Option<&Webhook>,
    fields: Option<Vec<&'static str>>,
    author: &Author,
) -> Result<(), db::Error> {
    let facts = |webhook: &Webhook, fields| {
        Facts::Webhook(WebhookFacts {
            host: webhook.host().to_owned(),
            types: webhook.filters.iter().map(|filter| filter.as_str().to_owned()).collect(),
            enabled: webhook.enabled,
            secret_generation: webhook.generation,
            fields,
        })
    };
    let mut act = Act::new(action, before.or(after).map(|webhook| webhook.id));
    if let Some(before) = before {
        act = act.before(facts(before, None));
    }
    if let Some(after) = after {
        act = act.after(facts(after, fields));
    }
    audit::record(tx, author, act).await
}

/// A webhook, locked until the transaction ends, in the version that the caller means.
async fn locked(tx: &Tx, id: Uuid, condition: &IfMatch) -> Result<Webhook, Problem> {
    let webhook = lock_webhook(tx, id).await?.ok_or_else(Problem::not_found)?;
    condition.check(webhook.version)?;
    Ok(webhook)
}

pub(crate) async fn rotate_webhook(
    orders: &Orders,
    id: Uuid,
    condition: IfMatch,
    author: Author,
) -> Result<Resource<WebhookView>, Problem> {
    let rotate = orders.shared.db.write((id, condition, author), |tx, (id, condition, author)| {
        async move {
            let before = locked(tx, *id, condition).await?;
            let after = rotate_secret(tx, &before, author.now).await?;
            record(tx, Action::WebhookRotated, Some(&before), Some(&after), None, author).await?;
            Ok::<_, Problem>(after)
        }
        .boxed()
    });
    let webhook = rotate.await?;
    let version = webhook.version;
    Ok(Answer::new(&with_secret(orders, webhook))?.version(version))
}

pub(crate) async fn delete_webhook(
    orders: &Orders,
    id: Uuid,
    condition: IfMatch,
    author: Author,
) -> Result<(), Problem> {
    let delete = orders.shared.db.write((id, condition, author), |tx, (id, condition, author)| {
        async move {
            let webhook = locked(tx, *id, condition).await?;
            remove_webhook(tx, &webhook, author.now).await?;
            Ok::<_, Problem>(record(tx, Action::WebhookDeleted, Some(&webhook), None, None, author).await?)
        }
        .boxed()
    });
    delete.await
}
