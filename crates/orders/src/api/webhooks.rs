//! Webhooks, for admins; nobody else learns which there are.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use futures_util::FutureExt;
use kit::answer::{Answer, Created, NoContent, Resource};
use kit::author::Author;
use kit::body::{Body, Nothing};
use kit::clock::new_id;
use kit::endpoint::Endpoints;
use kit::endpoint::Verb::{Delete, Get, Patch, Post, Put};
use kit::etag::{IfMatch, IfNoneMatch};
use kit::idempotency::{self, Claim, IdempotencyKey};
use kit::identity::Caller;
use kit::openapi::{Problems, op};
use kit::page::{List, Listing, Page, Sorts};
use kit::permission::{ADMIN, Scope};
use kit::problem::Problem;
use kit::query::{FromParams, NoQuery, Params, PathId, PathIds};
use kit::request_id::RequestId;
use schemars::JsonSchema;
use serde_json::json;
use uuid::Uuid;
use webhooks::{
    DeliveryFilter, DeliveryStatus, Webhook, delivery_position, find_delivery, find_webhook, list_deliveries,
    list_webhooks, lock_webhook, replay_delivery, webhook_position,
};

use crate::Orders;
use crate::change_webhook::{change_webhook, create_webhook, delete_webhook, rotate_webhook};
use crate::webhook_body::{ChangeWebhook, CreateWebhook};
use crate::webhook_view::{DeliveryView, TestView, WebhookView};

// What an API key must be made for.
const READ: Scope = "webhooks:read";
const WRITE: Scope = "webhooks:write";

// What only the handler knows may go wrong; the rest comes from its types.
const CREATE: Problems = &[(409, "There are as many as there may be.")];

pub(crate) fn endpoints() -> Endpoints<Orders> {
    Endpoints::new()
        .on(Get, "/webhooks", ADMIN.scope(READ), webhook_list, op("webhook_list", "List webhooks", &[]))
        .on(
            Post,
            "/webhooks",
            ADMIN.scope(WRITE),
            webhook_create,
            op("webhook_create", "Make a webhook", CREATE),
        )
        .on(
            Get,
            "/webhooks/{id}",
            ADMIN.hidden().scope(READ),
            webhook_view,
            op("webhook_view", "See a webhook", &[]),
        )
        .on(
            Put,
            "/webhooks/{id}",
            ADMIN.hidden().scope(WRITE),
            webhook_change,
            op("webhook_change", "Change a webhook", &[]),
        )
        .on(
            Patch,
            "/webhooks/{id}",
            ADMIN.hidden().scope(WRITE),
            webhook_change,
            op("webhook_patch", "Change a webhook", &[]),
        )
        .on(
            Delete,
            "/webhooks/{id}",
            ADMIN.hidden().scope(WRITE),
            webhook_delete,
            op("webhook_delete", "Delete a webhook", &[]),
        )
        .on(
            Post,
            "/webhooks/{id}/rotate",
            ADMIN.hidden().scope(WRITE),
            webhook_rotate,
            op("webhook_rotate", "Give a webhook another secret", &[]),
        )
        .on(
            Post,
            "/webhooks/{id}/test",
            ADMIN.hidden().scope(WRITE),
            webhook_test,
            op("webhook_test", "Send a webhook a test message now", &[]),
        )
        .merge(delivery_endpoints())
}

fn delivery_endpoints() -> Endpoints<Orders> {
    Endpoints::new()
        .on(
            Get,
            "/webhooks/{id}/deliveries",
            ADMIN.hidden().scope(READ),
            delivery_list,
            op("delivery_list", "List what a webhook was sent, and what waits", &[]),
        )
        .on(
            Post,
            "/webhooks/{id}/deliveries/{delivery_id}/replay",
            ADMIN.hidden().scope(WRITE),
            delivery_replay,
            op("delivery_replay", "Send a delivery again", &[]),
        )
}

/// Webhooks have no filters.
#[derive(JsonSchema)]
struct WebhookQuery {}

impl FromParams for WebhookQuery {
    fn from_params(_: &mut Params) -> Self {
        Self {}
    }
}

impl Listing for WebhookQuery {
    const SORTS: Sorts = &[("created_at", "created_at")];
}

/// What the list of deliveries can be filtered by.
#[derive(JsonSchema)]
struct DeliveryQuery {
    /// Only those of which this became.
    status: Option<DeliveryStatus>,
}

impl FromParams for DeliveryQuery {
    fn from_params(params: &mut Params) -> Self {
        Self { status: params.word("status", DeliveryStatus::parse, "pending, delivered, failed") }
    }
}

impl Listing for DeliveryQuery {
    const SORTS: Sorts = &[("created_at", "created_at")];
}

async fn webhook_list(
    State(orders): State<Arc<Orders>>,
    list: List<WebhookQuery>,
) -> Result<Page<WebhookView>, Problem> {
    let page = list.page.clone();
    let found = orders.shared.db.read(list.page, |tx, page| list_webhooks(tx, page).boxed());
    let (found, total): (Vec<Webhook>, Option<i64>) = found.await?;
    Ok(page.page(&orders.shared, found, total, webhook_position, WebhookView::from))
}

async fn webhook_create(
    State(orders): State<Arc<Orders>>,
    author: Author,
    body: Body<CreateWebhook>,
) -> Result<Created<WebhookView>, Problem> {
    create_webhook(&orders, body.parse()?, author).await
}

async fn webhook_view(
    State(orders): State<Arc<Orders>>,
    PathId(id): PathId,
    condition: IfNoneMatch,
    _: NoQuery,
) -> Result<Resource<WebhookView>, Problem> {
    let webhook = find(&orders, id).await?;
    let version = webhook.version;
    Ok(Answer::new(&WebhookView::from(webhook))?.version(version).unless(&condition))
}

async fn webhook_change(
    State(orders): State<Arc<Orders>>,
    PathId(id): PathId,
    condition: IfMatch,
    author: Author,
    body: Body<ChangeWebhook>,
) -> Result<Resource<WebhookView>, Problem> {
    let change = body.parse_after(check_exists(&orders, id)).await?;
    change_webhook(&orders, id, change, condition, author).await
}

async fn webhook_delete(
    State(orders): State<Arc<Orders>>,
    PathId(id): PathId,
    condition: IfMatch,
    author: Author,
    _: NoQuery,
) -> Result<NoContent, Problem> {
    delete_webhook(&orders, id, condition, author).await?;
    Ok(NoContent)
}

async fn webhook_rotate(
    State(orders): State<Arc<Orders>>,
    PathId(id): PathId,
    condition: IfMatch,
    author: Author,
    body: Body<Nothing>,
) -> Result<Resource<WebhookView>, Problem> {
    body.parse_after(check_exists(&orders, id)).await?;
    rotate_webhook(&orders, id, condition, author).await
}

/// The message looks as an event does; it is none, and stands in no log.
async fn webhook_test(
    caller: Caller,
    State(orders): State<Arc<Orders>>,
    PathId(id): PathId,
    request_id: RequestId,
    body: Body<Nothing>,
) -> Result<Json<TestView>, Problem> {
    body.parse_after(check_exists(&orders, id)).await?;
    let webhook = find(&orders, id).await?;
    let message = json!({
        "id": events::Position::default(),
        "type": "webhook.test",
        "object": {"kind": "webhook", "id": id},
        "created_at": orders.shared.clock.now(),
        "actor_id": caller.account(),
        "request_id": request_id.to_string(),
        "data": {},
    });
    let attempt = orders.webhooks.attempt(&webhook, new_id(), &message.to_string()).await;
    Ok(Json(TestView::from(attempt)))
}

async fn delivery_list(
    State(orders): State<Arc<Orders>>,
    PathId(id): PathId,
    list: List<DeliveryQuery>,
) -> Result<Page<DeliveryView>, Problem> {
    check_exists(&orders, id).await?;
    let (page, filter) = (list.page.clone(), DeliveryFilter { webhook_id: id, status: list.filter.status });
    let input = (filter, list.page);
    let found = orders.shared.db.read(input, |tx, (filter, page)| list_deliveries(tx, *filter, page).boxed());
    let (found, total): (Vec<webhooks::Delivery>, Option<i64>) = found.await?;
    Ok(page.page(&orders.shared, found, total, delivery_position, DeliveryView::from))
}

async fn delivery_replay(
    caller: Caller,
    State(orders): State<Arc<Orders>>,
    PathIds(webhook, delivery): PathIds,
    key: IdempotencyKey,
    body: Body<Nothing>,
) -> Result<Resource<DeliveryView>, Problem> {
    let claim = key.claim(&orders.shared, &caller, body.bytes());
    let earlier = async {
        let found = orders.shared.db.lookup((webhook, delivery), |tx, (webhook, delivery)| {
            find_delivery(tx, *webhook, *delivery).boxed()
        });
        found.await?.ok_or_else(Problem::not_found)?;
        claim.refuse_reuse(&orders.shared.db).await
    };
    body.parse_after(earlier).await?;
    replay(&orders, webhook, delivery, claim).await
}

async fn replay(
    orders: &Orders,
    webhook: Uuid,
    delivery: Uuid,
    claim: Claim,
) -> Result<Resource<DeliveryView>, Problem> {
    let input = (webhook, delivery, orders.shared.clock.now(), claim);
    let replayed = orders.shared.db.write(input, |tx, (webhook, delivery, now, claim)| {
        let work = move || async move {
            let target = lock_webhook(tx, *webhook).await?.ok_or_else(Problem::not_found)?;
            let found = replay_delivery(tx, *webhook, *delivery, *now).await?;
            let found = found.ok_or_else(Problem::not_found)?;
            // A refusal takes the replay back.
            check_enabled(&target)?;
            Answer::new(&DeliveryView::from(found))
        };
        idempotency::once(tx, claim, work).boxed()
    });
    replayed.await
}

fn check_enabled(webhook: &Webhook) -> Result<(), Problem> {
    if webhook.enabled {
        return Ok(());
    }
    Err(Problem::conflict("webhook_disabled", "The webhook is disabled: enable it, then repeat this."))
}

async fn check_exists(orders: &Orders, id: Uuid) -> Result<(), Problem> {
    find(orders, id).await.map(drop)
}

async fn find(orders: &Orders, id: Uuid) -> Result<Webhook, Problem> {
    let found = orders.shared.db.lookup(id, |tx, id| find_webhook(tx, *id).boxed()).await?;
    found.ok_or_else(Problem::not_found)
}
