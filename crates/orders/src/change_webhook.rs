//! Making, changing, rotating and removing webhooks.

use db::Tx;
use futures_util::FutureExt;
use kit::answer::{Answer, Created, Resource};
use kit::clock::{Timestamp, new_id};
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
) -> Result<Created<WebhookView>, Problem> {
    check_address(orders, &new.url)?;
    let now = orders.shared.clock.now();
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
    let webhook = orders.shared.db.write(webhook, |tx, new| store(tx, new).boxed()).await?;
    let (path, version) = (format!("/webhooks/{}", webhook.id), webhook.version);
    Ok(Answer::new(&with_secret(orders, webhook))?.version(version).location(path))
}

async fn store(tx: &Tx, new: &Webhook) -> Result<Webhook, Problem> {
    let mut webhook = new.clone();
    match add_webhook(tx, &mut webhook).await? {
        Added::Stored => Ok(webhook),
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
    now: Timestamp,
}

pub(crate) async fn change_webhook(
    orders: &Orders,
    id: Uuid,
    change: ChangeWebhook,
    condition: IfMatch,
) -> Result<Resource<WebhookView>, Problem> {
    if let Some(url) = &change.url {
        check_address(orders, url)?;
    }
    let changing = Changing { id, change, condition, now: orders.shared.clock.now() };
    let webhook = orders.shared.db.write(changing, |tx, changing| changing.run(tx).boxed()).await?;
    let version = webhook.version;
    Ok(Answer::new(&WebhookView::from(webhook))?.version(version))
}

impl Changing {
    async fn run(&self, tx: &Tx) -> Result<Webhook, Problem> {
        let before = locked(tx, self.id, &self.condition).await?;
        let ChangeWebhook { url, description, types, enabled } = &self.change;
        if url.is_none() && description.is_none() && types.is_none() && enabled.is_none() {
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
        after.updated_at = self.now.max(before.updated_at);
        webhooks::change_webhook(tx, &before, &mut after).await?;
        Ok(after)
    }
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
) -> Result<Resource<WebhookView>, Problem> {
    let input = (id, condition, orders.shared.clock.now());
    let rotate = orders.shared.db.write(input, |tx, (id, condition, now)| {
        async move {
            let before = locked(tx, *id, condition).await?;
            Ok::<_, Problem>(rotate_secret(tx, &before, *now).await?)
        }
        .boxed()
    });
    let webhook = rotate.await?;
    let version = webhook.version;
    Ok(Answer::new(&with_secret(orders, webhook))?.version(version))
}

pub(crate) async fn delete_webhook(orders: &Orders, id: Uuid, condition: IfMatch) -> Result<(), Problem> {
    let input = (id, condition, orders.shared.clock.now());
    let delete = orders.shared.db.write(input, |tx, (id, condition, now)| {
        async move {
            let webhook = locked(tx, *id, condition).await?;
            Ok::<_, Problem>(remove_webhook(tx, &webhook, *now).await?)
        }
        .boxed()
    });
    delete.await
}
