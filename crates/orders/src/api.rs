//! The handlers.

mod events;
mod webhooks;

use std::sync::Arc;

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::Operation;
use audit::record_export;
use axum::Json;
use axum::extract::{FromRequestParts, State};
use futures_util::FutureExt;
use http::request::Parts;
use kit::answer::{Answer, Created, NoContent, Resource};
use kit::author::Author;
use kit::body::Body;
use kit::client::Address;
use kit::clock::Timestamp;
use kit::csv::{Download, Sheet as _, Wanted};
use kit::endpoint::Endpoints;
use kit::endpoint::Verb::{Delete, Get, Patch, Post, Put};
use kit::etag::{IfMatch, IfNoneMatch};
use kit::fields::{FromFields, Invalid};
use kit::idempotency::IdempotencyKey;
use kit::identity::{Caller, Role};
use kit::openapi::{Problems, op};
use kit::page::{Key, List, Listing, Page, Position, Sorts};
use kit::permission::{ANYONE, OWNER_OR_STAFF, Party, STAFF, Scope};
use kit::problem::Problem;
use kit::query::{FromParams, NoQuery, Params, PathId};
use kit::request_id::RequestId;
use kit::search;
use schemars::JsonSchema;
use stock::Sku;
use uuid::Uuid;

use crate::Orders;
use crate::body::{ChangeOrder, GoodsStep, PayStep, PlaceOrder, PlainStep, RefundStep, StepDetails};
use crate::change_order::{Changing, change_order};
use crate::delete_order::{Deleting, delete_order};
use crate::export::OrderSheet;
use crate::lifecycle::{self, OrderStates, Status, Step};
use crate::model;
use crate::place_order::{Actor, place_order};
use crate::store::{self, HistoryRow, OrderFilter};
use crate::take_step::{Taking, check_may_take, take_step};
use crate::view::{HistoryView, OrderView};

// What an API key must be made for.
const READ: Scope = "orders:read";
const WRITE: Scope = "orders:write";

// What only the handler knows may go wrong; the rest comes from its types.
const CHANGE: Problems = &[(403, "Only staff may take this step."), (409, "At odds with the order's state.")];
const DELETE: Problems = &[(409, "Something of it was shipped, or it is completed.")];

pub(crate) fn endpoints() -> Endpoints<Orders> {
    Endpoints::new()
        .on(
            Get,
            "/orders",
            ANYONE.scope(READ),
            order_list,
            op("order_list", "List orders: own ones, for staff all", &[]),
        )
        .on(
            Get,
            "/orders.csv",
            STAFF.scope(READ),
            order_export,
            op("order_export", "Take all orders along, as a CSV file", &[]),
        )
        .on(Post, "/orders", ANYONE.scope(WRITE), order_create, op("order_create", "Place an order", &[]))
        .on(
            Get,
            "/orders/states",
            ANYONE.scope(READ),
            order_states,
            op("order_states", "See the states of an order and the steps between them", &[]),
        )
        .on(
            Get,
            "/orders/user/{user_id}",
            OWNER_OR_STAFF.scope(READ),
            order_list_of_user,
            op("order_list_of_user", "List a user's orders", &[]),
        )
        .merge(order_endpoints())
        .merge(step_endpoints())
        .merge(events::endpoints())
        .merge(webhooks::endpoints())
}

fn order_endpoints() -> Endpoints<Orders> {
    Endpoints::new()
        .on(
            Get,
            "/orders/{id}",
            OWNER_OR_STAFF.scope(READ),
            order_view,
            op("order_view", "See an order", &[]),
        )
        .on(
            Put,
            "/orders/{id}",
            OWNER_OR_STAFF.scope(WRITE),
            order_change,
            op("order_change", "Change an order", CHANGE),
        )
        .on(
            Patch,
            "/orders/{id}",
            OWNER_OR_STAFF.scope(WRITE),
            order_change,
            op("order_patch", "Change an order", CHANGE),
        )
        .on(
            Delete,
            "/orders/{id}",
            OWNER_OR_STAFF.scope(WRITE),
            order_delete,
            op("order_delete", "Cancel an order and hide it", DELETE),
        )
        .on(
            Get,
            "/orders/{id}/history",
            OWNER_OR_STAFF.scope(READ),
            order_history,
            op("order_history", "See every change of an order", &[]),
        )
}

fn step_endpoints() -> Endpoints<Orders> {
    Endpoints::new()
        .merge(order_step::<PlainStep>(Step::Confirm, "Confirm an order"))
        .merge(order_step::<PlainStep>(Step::Hold, "Halt an order"))
        .merge(order_step::<PlainStep>(Step::Release, "Let a halted order go on"))
        .merge(order_step::<PlainStep>(Step::Cancel, "Call an order off"))
        .merge(order_step::<GoodsStep>(Step::Ship, "Ship an order, or a part"))
        .merge(order_step::<PlainStep>(Step::Deliver, "Say that what was shipped arrived"))
        .merge(order_step::<GoodsStep>(Step::Return, "Take goods back"))
        .merge(order_step::<PayStep>(Step::Pay, "Record a payment"))
        .merge(order_step::<RefundStep>(Step::Refund, "Record that money was given back"))
}

/// What the list of orders can be filtered by.
#[derive(JsonSchema)]
struct OrderQuery {
    /// Only in this status.
    status: Option<Status>,
    /// Only of this user.
    user_id: Option<Uuid>,
    /// Only with a line of this SKU, whatever its case.
    sku: Option<String>,
    /// Only placed after this moment (RFC 3339).
    created_after: Option<Timestamp>,
    /// Only placed before this moment (RFC 3339).
    created_before: Option<Timestamp>,
    /// Only with this name in another system.
    external_id: Option<String>,
    /// Words of the number, the lines' names and SKUs, the note, or the external id.
    #[schemars(with = "Option<String>")]
    q: Vec<String>,
}

impl FromParams for OrderQuery {
    fn from_params(params: &mut Params) -> Self {
        let moment = |text: &str| {
            Timestamp::parse(text)
                .ok_or_else(|| Invalid::value("must be a time such as 2026-01-31T09:30:00Z"))
        };
        Self {
            status: params.word(
                "status",
                Status::parse,
                "pending, confirmed, on_hold, completed, cancelled, expired",
            ),
            user_id: params.id("user_id"),
            sku: params.text("sku"),
            created_after: params.optional_with("created_after", moment),
            created_before: params.optional_with("created_before", moment),
            external_id: params.text("external_id"),
            q: params.words("q"),
        }
    }
}

impl OrderQuery {
    /// As the store takes it; others than staff see only what is visible to them.
    fn filter(self, visible_to: Option<Uuid>) -> OrderFilter {
        OrderFilter {
            status: self.status,
            user_id: self.user_id,
            sku_key: self.sku.map(|sku| Sku::key_of(&sku)),
            created_after: self.created_after,
            created_before: self.created_before,
            external_id: self.external_id,
            patterns: self.q.iter().map(|word| search::pattern(word)).collect(),
            visible_to,
        }
    }
}

impl Listing for OrderQuery {
    const SORTS: Sorts =
        &[("created_at", "created_at"), ("total_price", "total_price"), ("number", "number")];
}

/// History has no filters.
#[derive(JsonSchema)]
struct HistoryQuery {}

impl FromParams for HistoryQuery {
    fn from_params(_: &mut Params) -> Self {
        Self {}
    }
}

impl Listing for HistoryQuery {
    const SORTS: Sorts = &[("created_at", "created_at")];
}

async fn order_list(
    caller: Caller,
    State(orders): State<Arc<Orders>>,
    list: List<OrderQuery>,
) -> Result<Page<OrderView>, Problem> {
    list_orders(&orders, &caller, list).await
}

async fn order_list_of_user(
    caller: Caller,
    State(orders): State<Arc<Orders>>,
    PathId(user_id): PathId,
    mut list: List<OrderQuery>,
) -> Result<Page<OrderView>, Problem> {
    caller.check_sees(Some(user_id))?;
    if list.filter.user_id.is_some_and(|asked| asked != user_id) {
        return Err(Problem::invalid_parameters(vec![
            Invalid::value("is another user than the path names").at("user_id"),
        ]));
    }
    list.filter.user_id = Some(user_id);
    list_orders(&orders, &caller, list).await
}

async fn list_orders(
    orders: &Orders,
    caller: &Caller,
    list: List<OrderQuery>,
) -> Result<Page<OrderView>, Problem> {
    let (query, page, is_staff) = (list.filter, list.page.clone(), caller.is_staff());
    let filter = query.filter((!is_staff).then(|| caller.account()));
    let input = (filter, list.page);
    let found =
        orders.shared.db.read(input, |tx, (filter, page)| store::list_orders(tx, filter, page).boxed());
    let (found, total) = found.await?;
    let position = |order: &crate::model::Order| store::order_position(order, page.sort);
    Ok(page.page(&orders.shared, found, total, position, |order| OrderView::new(order, is_staff)))
}

async fn order_export(
    State(orders): State<Arc<Orders>>,
    caller: Caller,
    author: Author,
    wanted: Wanted<OrderQuery>,
) -> Result<Download<OrderSheet>, Problem> {
    record_export(&orders.shared.db, &author, OrderSheet::FILE_NAME, wanted.is_part).await?;
    let sheet = OrderSheet(wanted.filter.filter(None));
    Download::begin(&orders.shared, &caller, sheet, wanted.has_mark).await
}

async fn order_create(
    caller: Caller,
    State(orders): State<Arc<Orders>>,
    origin: (RequestId, Address),
    key: IdempotencyKey,
    body: Body<PlaceOrder>,
) -> Result<Created<OrderView>, Problem> {
    let claim = key.claim(&orders.shared, &caller, body.bytes());
    let new = body.parse_after(claim.refuse_reuse(&orders.shared.db)).await?;
    place_order(&orders, actor(&caller, origin), new, claim).await
}

async fn order_states(_: NoQuery) -> Json<OrderStates> {
    Json(lifecycle::states())
}

async fn order_view(
    caller: Caller,
    State(orders): State<Arc<Orders>>,
    PathId(id): PathId,
    condition: IfNoneMatch,
    _: NoQuery,
) -> Result<Resource<OrderView>, Problem> {
    let found = orders.shared.db.lookup(id, |tx, id| store::find_order(tx, *id).boxed()).await?;
    let order = found.ok_or_else(Problem::not_found)?;
    order.check_visible_to(caller.account(), caller.is_staff())?;
    let version = order.version;
    Ok(Answer::new(&OrderView::new(order, caller.is_staff()))?.version(version).unless(&condition))
}

async fn order_change(
    caller: Caller,
    State(orders): State<Arc<Orders>>,
    PathId(id): PathId,
    origin: (RequestId, Address),
    condition: IfMatch,
    body: Body<ChangeOrder>,
) -> Result<Resource<OrderView>, Problem> {
    let change = body.parse_after(check_visible(&orders, &caller, id)).await?;
    let actor = actor(&caller, origin);
    let now = orders.shared.clock.now();
    let (expires_at, counts) = (now.plus(orders.pending_expiry), orders.counts.clone());
    let changing = Changing { order_id: id, change, actor, condition, now, expires_at, counts };
    change_order(&orders, changing).await
}

async fn order_delete(
    caller: Caller,
    State(orders): State<Arc<Orders>>,
    PathId(id): PathId,
    origin: (RequestId, Address),
    condition: IfMatch,
    _: NoQuery,
) -> Result<NoContent, Problem> {
    let actor = actor(&caller, origin);
    let now = orders.shared.clock.now();
    let deleting = Deleting { order_id: id, actor, condition, now, counts: orders.counts.clone() };
    delete_order(&orders, deleting).await?;
    Ok(NoContent)
}

async fn order_history(
    caller: Caller,
    State(orders): State<Arc<Orders>>,
    PathId(id): PathId,
    list: List<HistoryQuery>,
) -> Result<Page<HistoryView>, Problem> {
    check_visible(&orders, &caller, id).await?;
    let page = list.page.clone();
    let read =
        orders.shared.db.read((id, list.page), |tx, (id, page)| store::list_history(tx, *id, page).boxed());
    let (rows, total) = read.await?;
    let position = |row: &HistoryRow| Position { key: Key::Int(row.created_at.0), id: row.id };
    Ok(page.page(&orders.shared, rows, total, position, HistoryView::from))
}

/// The headers of a step's request.
struct StepRequest {
    origin: (RequestId, Address),
    condition: IfMatch,
    key: IdempotencyKey,
}

impl FromRequestParts<Arc<Orders>> for StepRequest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, orders: &Arc<Orders>) -> Result<Self, Problem> {
        let condition = IfMatch::from_request_parts(parts, orders).await?;
        let key = IdempotencyKey::from_request_parts(parts, orders).await?;
        let Ok(address) = Address::from_request_parts(parts, orders).await;
        Ok(Self { origin: (RequestId::of(&parts.headers), address), condition, key })
    }
}

impl OperationInput for StepRequest {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        IfMatch::operation_input(ctx, operation);
        IdempotencyKey::operation_input(ctx, operation);
    }
}

/// `POST /orders/{id}/<step>`: the steps differ only in what their bodies may say.
fn order_step<B>(step: Step, summary: &'static str) -> Endpoints<Orders>
where
    B: FromFields + Into<StepDetails> + JsonSchema + Send + 'static,
{
    let take = move |caller: Caller,
                     State(orders): State<Arc<Orders>>,
                     PathId(id): PathId,
                     request: StepRequest,
                     body: Body<B>| async move {
        let claim = request.key.claim(&orders.shared, &caller, body.bytes());
        let actor = actor(&caller, request.origin);
        let earlier = async {
            check_visible(&orders, &caller, id).await?;
            check_may_take(step, &actor)?;
            claim.refuse_reuse(&orders.shared.db).await
        };
        let details = body.parse_after(earlier).await?.into();
        let condition = request.condition;
        let (now, counts) = (orders.shared.clock.now(), orders.counts.clone());
        let expires_at = now.plus(orders.pending_expiry);
        let taking = Taking { order_id: id, step, details, actor, condition, claim, now, expires_at, counts };
        take_step(&orders, taking).await
    };
    let permission =
        if step.is_for_owner() { OWNER_OR_STAFF } else { STAFF.seen_by(Party::OwnerOr(Role::Staff)) };
    let (path, id) = (format!("/orders/{{id}}/{}", step.as_str()), format!("order_{}", step.as_str()));
    Endpoints::new().on(Post, &path, permission.scope(WRITE), take, |op| op.id(&id).summary(summary))
}

fn actor(caller: &Caller, (request_id, Address(address)): (RequestId, Address)) -> Actor {
    let (account, is_staff, key) = (caller.account(), caller.is_staff(), caller.key());
    Actor { account, is_staff, request_id, address, key }
}

/// 404 for an order that the caller may not know of.
async fn check_visible(orders: &Orders, caller: &Caller, id: Uuid) -> Result<(), Problem> {
    let owner = orders.shared.db.lookup(id, |tx, id| store::find_owner(tx, *id).boxed()).await?;
    let (owner, hidden) = owner.ok_or_else(Problem::not_found)?;
    model::check_visible(owner, hidden, caller.account(), caller.is_staff())
}
