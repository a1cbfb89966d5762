//! Webhooks, for admins; nobody else learns which there are.

use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, get_with, patch_with, post_with, put_with};
use axum::Json;
use axum::extract::State;
use futures_util::FutureExt;
use kit::answer::{Answer, Created, NoContent, Resource};
use kit::body::{Body, Nothing};
use kit::clock::new_id;
use kit::etag::{IfMatch, IfNoneMatch};
use kit::idempotency::{self, Claim, IdempotencyKey};
use kit::identity::{Admin, Anyone, Caller, Role};
use kit::openapi::{Problems, op};
use kit::page::{List, Listing, Page, Sorts};
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

// What only the handler knows may go wrong; the rest comes from its types.
const CREATE: Problems = &[(409, "There are as many as there may be.")];

pub(crate) fn endpoints() -> ApiRouter<Orders> {
    ApiRouter::new()
        .api_route("/webhooks", get_with(webhook_list, op("webhook_list", "List webhooks", &[])))
        .api_route("/webhooks", post_with(webhook_create, op("webhook_create", "Make a webhook", CREATE)))
        .api_route("/webhooks/{id}", get_with(webhook_view, op("webhook_view", "See a webhook", &[])))
        .api_route("/webhooks/{id}", put_with(webhook_change, op("webhook_change", "Change a webhook", &[])))
        .api_route("/webhooks/{id}", patch_with(webhook_change, op("webhook_patch", "Change a webhook", &[])))
        .api_route(
            "/webhooks/{id}",
            delete_with(webhook_delete, op("webhook_delete", "Delete a webhook", &[])),
        )
        .api_route(
            "/webhooks/{id}/rotate",
            post_with(webhook_rotate, op("webhook_rotate", "Give a webhook another secret", &[])),
        )
        .api_route(
            "/webhooks/{id}/test",
            post_with(webhook_test, op("webhook_test", "Send a webhook a test message now", &[])),
        )
        .merge(delivery_endpoints())
}

fn delivery_endpoints() -> ApiRouter<Orders> {
    ApiRouter::new()
        .api_route(
            "/webhooks/{id}/deliveries",
            get_with(delivery_list, op("delivery_list", "List what a webhook was sent, and what waits", &[])),
        )
        .api_route(
            "/webhooks/{id}/deliveries/{delivery_id}/replay",
            post_with(delivery_replay, op("delivery_replay", "Send a delivery again", &[])),
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
    _: Caller<Admin>,
    State(orders): State<Orders>,
    list: List<WebhookQuery>,
) -> Result<Page<WebhookView>, Problem> {
    let page = list.page.clone();
    let found = orders.shared.db.read(list.page, |tx, page| list_webhooks(tx, page).boxed());
    let (found, total): (Vec<Webhook>, Option<i64>) = found.await?;
    Ok(page.page(&orders.shared, found, total, webhook_position, WebhookView::from))
}

async fn webhook_create(
    _: Caller<Admin>,
    State(orders): State<Orders>,
    body: Body<CreateWebhook>,
) -> Result<Created<WebhookView>, Problem> {
    create_webhook(&orders, body.parse()?).await
}

async fn webhook_view(
    caller: Caller<Anyone>,
    State(orders): State<Orders>,
    PathId(id): PathId,
    condition: IfNoneMatch,
    _: NoQuery,
) -> Result<Resource<WebhookView>, Problem> {
    check_admin_sees(&caller)?;
    let webhook = find(&orders, id).await?;
    let version = webhook.version;
    Ok(Answer::new(&WebhookView::from(webhook))?.version(version).unless(&condition))
}

async fn webhook_change(
    caller: Caller<Anyone>,
    State(orders): State<Orders>,
    PathId(id): PathId,
    condition: IfMatch,
    body: Body<ChangeWebhook>,
) -> Result<Resource<WebhookView>, Problem> {
    check_admin_sees(&caller)?;
    let change = body.parse_after(check_exists(&orders, id)).await?;
    change_webhook(&orders, id, change, condition).await
}

async fn webhook_delete(
    caller: Caller<Anyone>,
    State(orders): State<Orders>,
    PathId(id): PathId,
    condition: IfMatch,
    _: NoQuery,
) -> Result<NoContent, Problem> {
    check_admin_sees(&caller)?;
    delete_webhook(&orders, id, condition).await?;
    Ok(NoContent)
}

async fn webhook_rotate(
    caller: Caller<Anyone>,
    State(orders): State<Orders>,
    PathId(id): PathId,
    condition: IfMatch,
    body: Body<Nothing>,
) -> Result<Resource<WebhookView>, Problem> {
    check_admin_sees(&caller)?;
    body.parse_after(check_exists(&orders, id)).await?;
    rotate_webhook(&orders, id, condition).await
}

/// The message looks as an event does; it is none, and stands in no log.
async fn webhook_test(
    caller: Caller<Anyone>,
    State(orders): State<Orders>,
    PathId(id): PathId,
    request_id: RequestId,
    body: Body<Nothing>,
) -> Result<Json<TestView>, Problem> {
    check_admin_sees(&caller)?;
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
    caller: Caller<Anyone>,
    State(orders): State<Orders>,
    PathId(id): PathId,
    list: List<DeliveryQuery>,
) -> Result<Page<DeliveryView>, Problem> {
    check_admin_sees(&caller)?;
    check_exists(&orders, id).await?;
    let (page, filter) = (list.page.clone(), DeliveryFilter { webhook_id: id, status: list.filter.status });
    let input = (filter, list.page);
    let found = orders.shared.db.read(input, |tx, (filter, page)| list_deliveries(tx, *filter, page).boxed());
    let (found, total): (Vec<webhooks::Delivery>, Option<i64>) = found.await?;
    Ok(page.page(&orders.shared, found, total, delivery_position, DeliveryView::from))
}

async fn delivery_replay(
    caller: Caller<Anyone>,
    State(orders): State<Orders>,
    PathIds(webhook, delivery): PathIds,
    key: IdempotencyKey,
    body: Body<Nothing>,
) -> Result<Resource<DeliveryView>, Problem> {
    check_admin_sees(&caller)?;
    let claim = key.claim(&orders.shared, caller.account(), body.bytes());
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

/// Nobody else learns what there is.
fn check_admin_sees(caller: &Caller) -> Result<(), Problem> {
    if caller.role() == Role::Admin { Ok(()) } else { Err(Problem::not_found()) }
}

async fn check_exists(orders: &Orders, id: Uuid) -> Result<(), Problem> {
    find(orders, id).await.map(drop)
}

async fn find(orders: &Orders, id: Uuid) -> Result<Webhook, Problem> {
    let found = orders.shared.db.lookup(id, |tx, id| find_webhook(tx, *id).boxed()).await?;
    found.ok_or_else(Problem::not_found)
}
