//! Request and answer types, and the handlers.

use accounts::{
    Account, Email, LoginPassword, Password, Session, Username, end_all_sessions, end_session, store,
};
use aide::axum::ApiRouter;
use aide::axum::routing::{delete_with, get_with, post_with};
use axum::Json;
use axum::extract::State;
use futures_util::FutureExt;
use kit::answer::{Answer, Created, NoContent, Resource};
use kit::body::Body;
use kit::client::Client;
use kit::clock::Timestamp;
use kit::fields::{Fields, FromFields, Invalid};
use kit::identity::{Anyone, Caller, Public};
use kit::openapi::Describe;
use kit::page::{Key, List, Listing, Page, Position, Sorts};
use kit::problem::Problem;
use kit::query::{FromParams, NoQuery, Params, PathId};
use kit::text::Text;
use kit::token::{ACCESS_LIFETIME, Claims};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::refresh::refresh;
use crate::register::register;
use crate::{Auth, change_password, log_in};

pub(crate) fn endpoints() -> ApiRouter<Auth> {
    ApiRouter::new()
        .api_route(
            "/auth/register",
            post_with(auth_register, |op| {
                op.id("auth_register")
                    .summary("Register an account and log it in")
                    .problem(409, "The email or the user name is taken.")
            }),
        )
        .api_route(
            "/auth/login",
            post_with(auth_login, |op| {
                op.id("auth_login").summary("Log in").problem(401, "The email or the password is wrong.")
            }),
        )
        .api_route(
            "/auth/refresh",
            post_with(auth_refresh, |op| {
                op.id("auth_refresh")
                    .summary("Get a new pair of tokens")
                    .problem(401, "The refresh token is not valid, or no longer.")
            }),
        )
        .api_route(
            "/auth/logout",
            post_with(auth_logout, |op| op.id("auth_logout").summary("End this session")),
        )
        .api_route(
            "/auth/logout-all",
            post_with(auth_logout_all, |op| op.id("auth_logout_all").summary("End all own sessions")),
        )
        .api_route(
            "/auth/sessions",
            get_with(session_list, |op| op.id("session_list").summary("List own sessions")),
        )
        .api_route(
            "/auth/sessions/{id}",
            delete_with(session_delete, |op| op.id("session_delete").summary("End one own session")),
        )
        .api_route(
            "/auth/password",
            post_with(password_change, |op| op.id("password_change").summary("Change the own password")),
        )
        .api_route(
            "/auth/validate",
            get_with(auth_validate, |op| op.id("auth_validate").summary("Check a token and read its claims")),
        )
}

/// What registering asks for.
#[derive(JsonSchema)]
pub(crate) struct RegisterBody {
    pub(crate) email: Email,
    pub(crate) password: Password,
    pub(crate) username: Username,
}

impl FromFields for RegisterBody {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let email: Option<Email> = fields.required("email");
        let password: Option<Password> = fields.required("password");
        let username: Option<Username> = fields.required("username");
        let (email, password, username) = (email?, password?, username?);
        if password.repeats(email.as_str(), username.as_str()) {
            return fields.fault(
                "password",
                Invalid { code: "invalid_password", message: "must not be the email or user name".into() },
            );
        }
        Some(Self { email, password, username })
    }
}

/// What logging in asks for.
#[derive(JsonSchema)]
pub(crate) struct LoginBody {
    pub(crate) email: Text<254>,
    pub(crate) password: LoginPassword,
}

impl FromFields for LoginBody {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (email, password) = (fields.required("email"), fields.required("password"));
        Some(Self { email: email?, password: password? })
    }
}

/// What refreshing asks for.
#[derive(JsonSchema)]
pub(crate) struct RefreshBody {
    refresh_token: Text<200>,
}

impl FromFields for RefreshBody {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        fields.required("refresh_token").map(|refresh_token| Self { refresh_token })
    }
}

/// What changing a password asks for.
#[derive(JsonSchema)]
pub(crate) struct PasswordBody {
    pub(crate) current_password: LoginPassword,
    pub(crate) new_password: Password,
}

impl FromFields for PasswordBody {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (current_password, new_password) =
            (fields.required("current_password"), fields.required("new_password"));
        Some(Self { current_password: current_password?, new_password: new_password? })
    }
}

/// A body without fields, or none at all.
#[derive(JsonSchema)]
pub(crate) struct Nothing {}

impl FromFields for Nothing {
    const EMPTY_BODY: bool = true;

    fn from_fields(_: &mut Fields<'_, '_>) -> Option<Self> {
        Some(Self {})
    }
}

/// Who is logged in, and the tokens.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LoginAnswer {
    /// The account.
    user: Account,
    /// The access token: send it as `Authorization: Bearer <token>`.
    token: String,
    /// `Bearer`
    token_type: &'static str,
    /// How many seconds the access token is good.
    expires_in: u64,
    /// For `/auth/refresh`, once.
    refresh_token: String,
}

impl LoginAnswer {
    pub(crate) fn new(auth: &Auth, user: Account, session: Uuid, generation: i64) -> Result<Self, Problem> {
        let token = auth.shared.tokens.sign(user.id, &user.email, user.role, session)?;
        let refresh_token = auth.accounts.refresh_tokens.sign(session, generation);
        Ok(Self { user, token, token_type: "Bearer", expires_in: ACCESS_LIFETIME.as_secs(), refresh_token })
    }
}

async fn auth_register(
    _: Public,
    State(auth): State<Auth>,
    client: Client,
    body: Body<RegisterBody>,
) -> Result<Created<LoginAnswer>, Problem> {
    let answer = register(&auth, body.parse()?, &client).await?;
    let location = format!("/users/{}", answer.user.id);
    Ok(Answer::new(&answer)?.location(location))
}

async fn auth_login(
    _: Public,
    State(auth): State<Auth>,
    client: Client,
    body: Body<LoginBody>,
) -> Result<Resource<LoginAnswer>, Problem> {
    Answer::new(&log_in::log_in(&auth, body.parse()?, &client).await?)
}

async fn auth_refresh(
    _: Public,
    State(auth): State<Auth>,
    body: Body<RefreshBody>,
) -> Result<Resource<LoginAnswer>, Problem> {
    Answer::new(&refresh(&auth, body.parse()?.refresh_token.as_str()).await?)
}

async fn auth_logout(
    caller: Caller<Anyone>,
    State(auth): State<Auth>,
    body: Body<Nothing>,
) -> Result<NoContent, Problem> {
    body.parse()?;
    let input = (caller.session(), caller.account(), auth.accounts.live.clone(), auth.shared.clock.now());
    let ended = auth
        .shared
        .db
        .write(input, |tx, (session, account, live, now)| {
            end_session(tx, live, *session, *account, *now).boxed()
        })
        .await;
    match ended {
        // Another request has logged it out meanwhile, which is what was asked for.
        Ok(()) | Err(accounts::Error::NotFound) => Ok(NoContent),
        Err(error) => Err(error.into()),
    }
}

async fn auth_logout_all(
    caller: Caller<Anyone>,
    State(auth): State<Auth>,
    body: Body<Nothing>,
) -> Result<NoContent, Problem> {
    body.parse()?;
    let input = (caller.account(), auth.accounts.live.clone(), auth.shared.clock.now());
    auth.shared
        .db
        .write(input, |tx, (account, live, now)| end_all_sessions(tx, live, *account, None, *now).boxed())
        .await?;
    Ok(NoContent)
}

/// A session as its owner sees it.
#[derive(Serialize, JsonSchema)]
struct SessionView {
    /// The id.
    id: Uuid,
    /// What the client called itself (`User-Agent`).
    device: Option<String>,
    /// From where it was started.
    ip: Option<String>,
    /// When it was started.
    created_at: Timestamp,
    /// When it was last started or refreshed.
    last_used_at: Timestamp,
    /// Whether it is the one that asks.
    current: bool,
}

impl SessionView {
    fn new(session: Session, current: Uuid) -> Self {
        Self {
            current: session.id == current,
            id: session.id,
            device: session.device,
            ip: session.ip,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
        }
    }
}

/// Sessions have no filters.
#[derive(JsonSchema)]
struct SessionFilter {}

impl FromParams for SessionFilter {
    fn from_params(_: &mut Params) -> Self {
        Self {}
    }
}

impl Listing for SessionFilter {
    const SORTS: Sorts = &[("created_at", "created_at")];
}

async fn session_list(
    caller: Caller<Anyone>,
    State(auth): State<Auth>,
    list: List<SessionFilter>,
) -> Result<Page<SessionView>, Problem> {
    let (page, current) = (list.page, caller.session());
    let input = (caller.account(), auth.shared.clock.now(), page.clone());
    let (sessions, total) = auth
        .shared
        .db
        .read(input, |tx, (account, now, page)| store::list_live_sessions(tx, *account, *now, page).boxed())
        .await?;
    let position = |session: &Session| Position { key: Key::Int(session.created_at.0), id: session.id };
    Ok(page.page(&auth.shared, sessions, total, position, |session| SessionView::new(session, current)))
}

async fn session_delete(
    caller: Caller<Anyone>,
    State(auth): State<Auth>,
    PathId(id): PathId,
    _: NoQuery,
) -> Result<NoContent, Problem> {
    let input = (id, caller.account(), auth.accounts.live.clone(), auth.shared.clock.now());
    auth.shared
        .db
        .write(input, |tx, (session, account, live, now)| {
            end_session(tx, live, *session, *account, *now).boxed()
        })
        .await?;
    Ok(NoContent)
}

async fn password_change(
    caller: Caller<Anyone>,
    State(auth): State<Auth>,
    body: Body<PasswordBody>,
) -> Result<NoContent, Problem> {
    change_password::change_password(&auth, &caller, body.parse()?).await?;
    Ok(NoContent)
}

async fn auth_validate(caller: Caller<Anyone>, _: NoQuery) -> Json<Claims> {
    Json(caller.claims().clone())
}
