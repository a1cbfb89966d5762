//! The handlers.

use std::sync::Arc;

use accounts::{Account, store};
use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::Operation;
use axum::extract::{FromRequestParts, State};
use futures_util::FutureExt;
use http::request::Parts;
use kit::answer::{Answer, Created, NoContent, Resource};
use kit::author::Author;
use kit::body::Body;
use kit::endpoint::Endpoints;
use kit::endpoint::Verb::{Delete, Get, Patch, Post, Put};
use kit::etag::{IfMatch, IfNoneMatch};
use kit::idempotency::IdempotencyKey;
use kit::identity::{Caller, Role};
use kit::openapi::{Problems, op};
use kit::page::{List, Listing, Page, Sorts};
use kit::permission::{ADMIN, ANYONE, OWNER_OR_ADMIN, OWNER_OR_STAFF, Party, STAFF, Scope};
use kit::problem::Problem;
use kit::query::{FromParams, NoQuery, Params, PathId};
use kit::search;
use schemars::JsonSchema;
use uuid::Uuid;

use crate::Users;
use crate::change_user::change_user;
use crate::create_user::create_user;
use crate::delete_user::delete_user;
use crate::end_sessions::{end_sessions, reset_totp};
use crate::export::Export;
use crate::model::{CreateUser, UserChange};

// What an API key must be made for.
const READ: Scope = "users:read";

// What only the handler knows may go wrong; the rest comes from its types.
const WRONG_TOO_OFTEN: (u16, &str) = (429, "`current_password` was wrong too often.");
const OWN_CHANGE: Problems =
    &[(403, "A new email needs `current_password`."), (409, "Taken, or the last admin."), WRONG_TOO_OFTEN];
const CHANGE: Problems =
    &[(403, "Only an admin may change somebody else."), (409, "Taken, or the last admin."), WRONG_TOO_OFTEN];
const TOTP_RESET: Problems = &[(403, "Only an admin may do this, and not to themselves.")];
const SESSIONS: Problems = &[(403, "Only an admin may end somebody else's sessions.")];
const DELETE: Problems = &[(403, "Only an admin may delete somebody else."), (409, "The last admin.")];

pub(crate) fn endpoints() -> Endpoints<Users> {
    Endpoints::new()
        .on(Get, "/users", STAFF.scope(READ), user_list, op("user_list", "List users", &[]))
        .on(Post, "/users", ADMIN, user_create, op("user_create", "Make a user", &[]))
        .on(Get, "/users/me", ANYONE.scope(READ), own_user_view, op("own_user_view", "See oneself", &[]))
        .on(Put, "/users/me", ANYONE, own_user_change, op("own_user_change", "Change oneself", OWN_CHANGE))
        .on(Patch, "/users/me", ANYONE, own_user_change, op("own_user_patch", "Change oneself", OWN_CHANGE))
        .on(Get, "/users/{id}", OWNER_OR_STAFF.scope(READ), user_view, op("user_view", "See a user", &[]))
        .on(Put, "/users/{id}", OWNER_OR_ADMIN, user_change, op("user_change", "Change a user", CHANGE))
        .on(Patch, "/users/{id}", OWNER_OR_ADMIN, user_change, op("user_patch", "Change a user", CHANGE))
        .on(Delete, "/users/{id}", OWNER_OR_ADMIN, user_delete, op("user_delete", "Delete a user", DELETE))
        .on(
            Get,
            "/users/me/export",
            ANYONE,
            own_data_export,
            op("own_data_export", "Download all that is kept of oneself", &[]),
        )
        .on(
            Delete,
            "/users/{id}/totp",
            ADMIN.seen_by(Party::OwnerOr(Role::Staff)),
            totp_reset,
            op("totp_reset", "Turn a user's two-factor authentication off", TOTP_RESET),
        )
        .on(
            Delete,
            "/users/{id}/sessions",
            OWNER_OR_ADMIN,
            sessions_end,
            op("sessions_end", "End all sessions of a user", SESSIONS),
        )
}

/// What the list of users can be filtered by.
#[derive(JsonSchema)]
struct UserFilter {
    /// Words of the user name, email or full name.
    #[schemars(with = "Option<String>")]
    q: Vec<String>,
    /// Only this role.
    role: Option<Role>,
}

impl FromParams for UserFilter {
    fn from_params(params: &mut Params) -> Self {
        Self { q: params.words("q"), role: params.word("role", Role::parse, "customer, staff, admin") }
    }
}

impl Listing for UserFilter {
    const SORTS: Sorts = &[("created_at", "created_at"), ("email", "email")];
}

async fn user_list(
    State(users): State<Arc<Users>>,
    list: List<UserFilter>,
) -> Result<Page<Account>, Problem> {
    let page = list.page.clone();
    let patterns = list.filter.q.iter().map(|word| search::pattern(word)).collect::<Vec<_>>();
    let input = (patterns, list.filter.role, list.page);
    let (accounts, total) = users
        .shared
        .db
        .read(input, |tx, (patterns, role, page)| store::list_accounts(tx, patterns, *role, page).boxed())
        .await?;
    Ok(page.page(
        &users.shared,
        accounts,
        total,
        |account| store::account_position(account, page.sort),
        |account| account,
    ))
}

async fn user_create(
    caller: Caller,
    State(users): State<Arc<Users>>,
    author: Author,
    key: IdempotencyKey,
    body: Body<CreateUser>,
) -> Result<Created<Account>, Problem> {
    let claim = key.claim(&users.shared, &caller, body.bytes());
    let new = body.parse_after(claim.refuse_reuse(&users.shared.db)).await?;
    create_user(&users, new, claim, author).await
}

async fn own_user_view(
    caller: Caller,
    State(users): State<Arc<Users>>,
    condition: IfNoneMatch,
    _: NoQuery,
) -> Result<Resource<Account>, Problem> {
    view(&users, caller.account(), &condition).await
}

async fn user_view(
    caller: Caller,
    State(users): State<Arc<Users>>,
    PathId(id): PathId,
    condition: IfNoneMatch,
    _: NoQuery,
) -> Result<Resource<Account>, Problem> {
    caller.check_sees(Some(id))?;
    view(&users, id, &condition).await
}

async fn view(users: &Users, id: Uuid, condition: &IfNoneMatch) -> Result<Resource<Account>, Problem> {
    let account = find(users, id).await?;
    Ok(Answer::new(&account)?.version(account.version).unless(condition))
}

async fn own_user_change(
    caller: Caller,
    State(users): State<Arc<Users>>,
    request: ChangeRequest,
    body: Body<UserChange>,
) -> Result<Resource<Account>, Problem> {
    let change = body.parse()?;
    change_user(&users, &caller, caller.account(), change, request).await
}

async fn user_change(
    caller: Caller,
    State(users): State<Arc<Users>>,
    PathId(id): PathId,
    request: ChangeRequest,
    body: Body<UserChange>,
) -> Result<Resource<Account>, Problem> {
    let change = body.parse_after(check_changeable(&users, &caller, id)).await?;
    change_user(&users, &caller, id, change, request).await
}

async fn user_delete(
    caller: Caller,
    State(users): State<Arc<Users>>,
    PathId(id): PathId,
    condition: IfMatch,
    author: Author,
    _: NoQuery,
) -> Result<NoContent, Problem> {
    delete_user(&users, &caller, id, condition, author).await?;
    Ok(NoContent)
}

async fn own_data_export(
    caller: Caller,
    State(users): State<Arc<Users>>,
    author: Author,
    _: NoQuery,
) -> Result<Export, Problem> {
    audit::record_export(&users.shared.db, &author, "export.json", true).await?;
    Export::begin(&users, &caller).await
}

async fn totp_reset(
    caller: Caller,
    State(users): State<Arc<Users>>,
    PathId(id): PathId,
    author: Author,
    _: NoQuery,
) -> Result<NoContent, Problem> {
    check_changeable(&users, &caller, id).await?;
    if caller.account() == id {
        return Err(Problem::forbidden(
            "Your own is turned off with `DELETE /auth/totp`, which asks for a code.",
        ));
    }
    reset_totp(&users, id, author).await?;
    Ok(NoContent)
}

async fn sessions_end(
    caller: Caller,
    State(users): State<Arc<Users>>,
    PathId(id): PathId,
    author: Author,
    _: NoQuery,
) -> Result<NoContent, Problem> {
    check_changeable(&users, &caller, id).await?;
    end_sessions(&users, id, author).await?;
    Ok(NoContent)
}

/// The headers of a request to change a user, and who makes it.
pub(crate) struct ChangeRequest {
    pub(crate) condition: IfMatch,
    pub(crate) author: Author,
}

impl FromRequestParts<Arc<Users>> for ChangeRequest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, users: &Arc<Users>) -> Result<Self, Problem> {
        let condition = IfMatch::from_request_parts(parts, users).await?;
        let Ok(author) = Author::from_request_parts(parts, users).await;
        Ok(Self { condition, author })
    }
}

impl OperationInput for ChangeRequest {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        IfMatch::operation_input(ctx, operation);
    }
}

/// What outranks the faults of a body.
async fn check_changeable(users: &Users, caller: &Caller, id: Uuid) -> Result<(), Problem> {
    caller.check_sees(Some(id))?;
    find(users, id).await?;
    caller.check(Some(id))
}

pub(crate) async fn find(users: &Users, id: Uuid) -> Result<Account, Problem> {
    let found = users.shared.db.lookup(id, |tx, id| store::find_account(tx, *id).boxed()).await?;
    found.ok_or_else(Problem::not_found)
}
