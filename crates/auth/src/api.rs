//! The handlers.

mod keys;

use std::sync::Arc;

use accounts::{Session, end_all_sessions, end_session, store};
use audit::{Act, Action};
use axum::extract::State;
use futures_util::FutureExt;
use kit::answer::{Answer, Created, NoContent, Resource};
use kit::author::Author;
use kit::body::{Body, Nothing};
use kit::client::Client;
use kit::endpoint::Endpoints;
use kit::endpoint::Verb::{Delete, Get, Post};
use kit::identity::Caller;
use kit::openapi::{Problems, op};
use kit::page::{Key, List, Page, Position};
use kit::permission::{ANYONE, OWNER, PUBLIC};
use kit::problem::Problem;
use kit::query::{NoQuery, PathId};
use kit::refusals::Refusal;
use uuid::Uuid;

use crate::key_model::Validated;
use crate::model::{
    BeginTotpBody, ConfirmTotpBody, ForgotBody, LoginAnswer, LoginBody, PasswordBody, ProveTotpBody,
    RefreshBody, RegisterBody, ResetBody, SessionFilter, SessionView, SetupBody, ShownRecoveryCodes,
    TokenBody, TotpSecret, TotpState,
};
use crate::refresh::refresh;
use crate::register::register;
use crate::set_up::set_up;
use crate::{Auth, change_password, log_in, reset_password, two_factor, verify_email};

// What only the handler knows may go wrong; the rest comes from its types.
const REGISTER: Problems = &[
    (409, "The email or the user name is taken."),
    (429, "Too many registrations; `Retry-After` says when to come back."),
];
const SETUP: Problems = &[
    (401, "The token is not valid, or no longer."),
    (409, "The email or the user name is taken."),
    (429, "Too many tries; `Retry-After` says when to come back."),
];
const TOTP_BEGIN: Problems =
    &[(409, "It is on already."), (429, "Too many wrong passwords; `Retry-After` says when to come back.")];
const TOTP_CONFIRM: Problems = &[(409, "It was not begun, or is on already.")];
const TOTP_RENEW: Problems = &[
    (409, "It is not on."),
    (429, "Too many wrong passwords or codes; `Retry-After` says when to come back."),
];
const LOGIN: Problems = &[
    (
        401,
        "The email or the password is wrong, or `totp_required`: the password is right, and a code is needed too.",
    ),
    (429, "Too many logins, or too many wrong ones; `Retry-After` says when to come back."),
];
const PASSWORD: Problems =
    &[(429, "Too many wrong passwords or codes; `Retry-After` says when to come back.")];
const REFRESH: Problems = &[(401, "The refresh token is not valid, or no longer.")];

const TOKEN: Problems = &[
    (401, "The token is not valid, or no longer."),
    (429, "Too many tokens were tried; `Retry-After` says when to come back."),
];
const FORGOT: Problems = &[(429, "Too many mails were asked for; `Retry-After` says when to come back.")];
const RESEND: Problems = &[
    (409, "The email is confirmed already."),
    (429, "Too many mails were asked for; `Retry-After` says when to come back."),
];

pub(crate) fn endpoints() -> Endpoints<Auth> {
    Endpoints::new()
        .on(
            Post,
            "/auth/register",
            PUBLIC,
            auth_register,
            op("auth_register", "Register an account and log it in", REGISTER),
        )
        .on(
            Post,
            "/auth/setup",
            PUBLIC,
            auth_setup,
            op("auth_setup", "Make the first admin of a new system", SETUP),
        )
        .on(Post, "/auth/login", PUBLIC, auth_login, op("auth_login", "Log in", LOGIN))
        .on(
            Post,
            "/auth/refresh",
            PUBLIC,
            auth_refresh,
            op("auth_refresh", "Get a new pair of tokens", REFRESH),
        )
        .on(Post, "/auth/logout", ANYONE, auth_logout, op("auth_logout", "End this session", &[]))
        .on(
            Post,
            "/auth/logout-all",
            ANYONE,
            auth_logout_all,
            op("auth_logout_all", "End all own sessions", &[]),
        )
        .on(Get, "/auth/sessions", ANYONE, session_list, op("session_list", "List own sessions", &[]))
        .on(
            Delete,
            "/auth/sessions/{id}",
            OWNER,
            session_delete,
            op("session_delete", "End one own session", &[]),
        )
        .on(
            Post,
            "/auth/password",
            ANYONE,
            password_change,
            op("password_change", "Change the own password", PASSWORD),
        )
        .on(
            Get,
            "/auth/validate",
            ANYONE.any_key(),
            auth_validate,
            op("auth_validate", "Check a token and read its claims", &[]),
        )
        .merge(mail_endpoints())
        .merge(two_factor_endpoints())
        .merge(keys::endpoints())
}

fn mail_endpoints() -> Endpoints<Auth> {
    Endpoints::new()
        .on(
            Post,
            "/auth/password/forgot",
            PUBLIC,
            password_forgot,
            op("password_forgot", "Have a token mailed with which a new password can be set", FORGOT),
        )
        .on(
            Post,
            "/auth/password/reset",
            PUBLIC,
            password_reset,
            op("password_reset", "Set a new password by a mailed token", TOKEN),
        )
        .on(
            Post,
            "/auth/email/verify",
            PUBLIC,
            email_verify,
            op("email_verify", "Confirm an email by a mailed token", TOKEN),
        )
        .on(
            Post,
            "/auth/email/verify/resend",
            ANYONE,
            email_verify_resend,
            op("email_verify_resend", "Have the token mailed again that confirms the own email", RESEND),
        )
        .merge(crate::audit_log::endpoints())
}

fn two_factor_endpoints() -> Endpoints<Auth> {
    Endpoints::new()
        .on(
            Get,
            "/auth/totp",
            ANYONE,
            totp_view,
            op("totp_view", "See whether two-factor authentication is on", &[]),
        )
        .on(
            Post,
            "/auth/totp",
            ANYONE,
            totp_begin,
            op("totp_begin", "Begin with two-factor authentication", TOTP_BEGIN),
        )
        .on(
            Delete,
            "/auth/totp",
            ANYONE,
            totp_remove,
            op("totp_remove", "Turn two-factor authentication off", PASSWORD),
        )
        .on(
            Post,
            "/auth/totp/confirm",
            ANYONE,
            totp_confirm,
            op("totp_confirm", "Turn two-factor authentication on", TOTP_CONFIRM),
        )
        .on(
            Post,
            "/auth/totp/recovery-codes",
            ANYONE,
            recovery_codes_renew,
            op("recovery_codes_renew", "Replace the own recovery codes by new ones", TOTP_RENEW),
        )
}

async fn auth_register(
    State(auth): State<Arc<Auth>>,
    client: Client,
    author: Author,
    body: Body<RegisterBody>,
) -> Result<Created<LoginAnswer>, Problem> {
    auth.accounts.login_limits.admit_registration(client.address)?;
    let answer = register(&auth, body.parse()?, &client, author).await?;
    let location = format!("/users/{}", answer.user.id);
    Ok(Answer::new(&answer)?.location(location))
}

async fn auth_setup(
    State(auth): State<Arc<Auth>>,
    client: Client,
    author: Author,
    body: Body<SetupBody>,
) -> Result<Created<LoginAnswer>, Problem> {
    auth.accounts.login_limits.admit_registration(client.address)?;
    let answer = set_up(&auth, body.parse()?, &client, author).await?;
    let location = format!("/users/{}", answer.user.id);
    Ok(Answer::new(&answer)?.location(location))
}

async fn totp_view(
    caller: Caller,
    State(auth): State<Arc<Auth>>,
    _: NoQuery,
) -> Result<Resource<TotpState>, Problem> {
    Answer::new(&two_factor::state(&auth, &caller).await?)
}

async fn totp_begin(
    caller: Caller,
    State(auth): State<Arc<Auth>>,
    author: Author,
    body: Body<BeginTotpBody>,
) -> Result<Resource<TotpSecret>, Problem> {
    Answer::new(&two_factor::begin(&auth, &caller, body.parse()?, &author).await?)
}

async fn totp_confirm(
    caller: Caller,
    State(auth): State<Arc<Auth>>,
    author: Author,
    body: Body<ConfirmTotpBody>,
) -> Result<Resource<ShownRecoveryCodes>, Problem> {
    Answer::new(&two_factor::confirm(&auth, &caller, body.parse()?, author).await?)
}

async fn totp_remove(
    caller: Caller,
    State(auth): State<Arc<Auth>>,
    author: Author,
    body: Body<ProveTotpBody>,
) -> Result<NoContent, Problem> {
    two_factor::remove(&auth, &caller, body.parse()?, author).await?;
    Ok(NoContent)
}

async fn recovery_codes_renew(
    caller: Caller,
    State(auth): State<Arc<Auth>>,
    author: Author,
    body: Body<ProveTotpBody>,
) -> Result<Resource<ShownRecoveryCodes>, Problem> {
    Answer::new(&two_factor::renew(&auth, &caller, body.parse()?, author).await?)
}

async fn auth_login(
    State(auth): State<Arc<Auth>>,
    client: Client,
    author: Author,
    body: Body<LoginBody>,
) -> Result<Resource<LoginAnswer>, Problem> {
    let admitted = auth.accounts.login_limits.admit(client.address);
    admitted.inspect_err(|problem| {
        auth.counts.login_refused(problem);
        auth.accounts.count_refused(problem, Refusal::WrongLogin, None, &author);
    })?;
    Answer::new(&log_in::log_in(&auth, &body.parse()?, &client, &author).await?)
}

async fn auth_refresh(
    State(auth): State<Arc<Auth>>,
    author: Author,
    body: Body<RefreshBody>,
) -> Result<Resource<LoginAnswer>, Problem> {
    Answer::new(&refresh(&auth, &body.parse()?.refresh_token.0, author).await?)
}

async fn auth_logout(
    caller: Caller,
    State(auth): State<Arc<Auth>>,
    author: Author,
    body: Body<Nothing>,
) -> Result<NoContent, Problem> {
    body.parse()?;
    match end_own_session(&auth, &caller, caller.session(), author).await {
        // Another request has logged it out meanwhile, which is what was asked for.
        Ok(()) | Err(accounts::Error::NotFound) => Ok(NoContent),
        Err(error) => Err(error.into()),
    }
}

async fn auth_logout_all(
    caller: Caller,
    State(auth): State<Arc<Auth>>,
    author: Author,
    body: Body<Nothing>,
) -> Result<NoContent, Problem> {
    body.parse()?;
    let input = (caller.account(), auth.accounts.live.clone(), author);
    let ended = auth.shared.db.write(input, |tx, (account, live, author)| {
        async move {
            end_all_sessions(tx, live, *account, None, author.now).await?;
            audit::record(tx, author, Act::new(Action::SessionsEnded, *account)).await?;
            Ok::<_, accounts::Error>(())
        }
        .boxed()
    });
    ended.await?;
    Ok(NoContent)
}

async fn end_own_session(
    auth: &Auth,
    caller: &Caller,
    session: Uuid,
    author: Author,
) -> Result<(), accounts::Error> {
    let input = (session, caller.account(), auth.accounts.live.clone(), author);
    let end = auth.shared.db.write(input, |tx, (session, account, live, author)| {
        end_session(tx, live, *session, *account, author).boxed()
    });
    end.await
}

async fn session_list(
    caller: Caller,
    State(auth): State<Arc<Auth>>,
    list: List<SessionFilter>,
) -> Result<Page<SessionView>, Problem> {
    let (page, current) = (list.page, caller.session());
    let lifetime = auth.accounts.live.limits().of(caller.role());
    let input = (caller.account(), lifetime, auth.shared.clock.now(), page.clone());
    let (sessions, total) = auth
        .shared
        .db
        .read(input, |tx, (account, lifetime, now, page)| {
            store::list_live_sessions(tx, *account, *lifetime, *now, page).boxed()
        })
        .await?;
    let position = |session: &Session| Position { key: Key::Int(session.created_at.0), id: session.id };
    Ok(page.page(&auth.shared, sessions, total, position, |session| SessionView::new(session, current)))
}

async fn session_delete(
    caller: Caller,
    State(auth): State<Arc<Auth>>,
    PathId(id): PathId,
    author: Author,
    _: NoQuery,
) -> Result<NoContent, Problem> {
    end_own_session(&auth, &caller, id, author).await?;
    Ok(NoContent)
}

async fn password_change(
    caller: Caller,
    State(auth): State<Arc<Auth>>,
    author: Author,
    body: Body<PasswordBody>,
) -> Result<NoContent, Problem> {
    change_password::change_password(&auth, &caller, body.parse()?, author).await?;
    Ok(NoContent)
}

async fn password_forgot(
    State(auth): State<Arc<Auth>>,
    client: Client,
    body: Body<ForgotBody>,
) -> Result<NoContent, Problem> {
    auth.mail_limits.admit(client.address)?;
    reset_password::ask_for_reset(&auth, &body.parse()?.email).await?;
    Ok(NoContent)
}

async fn password_reset(
    State(auth): State<Arc<Auth>>,
    author: Author,
    body: Body<ResetBody>,
) -> Result<NoContent, Problem> {
    auth.mail_limits.admit(author.address)?;
    reset_password::reset_password(&auth, body.parse()?, author).await?;
    Ok(NoContent)
}

async fn email_verify(
    State(auth): State<Arc<Auth>>,
    author: Author,
    body: Body<TokenBody>,
) -> Result<NoContent, Problem> {
    auth.mail_limits.admit(author.address)?;
    verify_email::verify_email(&auth, &body.parse()?, author).await?;
    Ok(NoContent)
}

async fn email_verify_resend(
    caller: Caller,
    State(auth): State<Arc<Auth>>,
    body: Body<Nothing>,
) -> Result<NoContent, Problem> {
    body.parse()?;
    verify_email::send_again(&auth, &caller).await?;
    Ok(NoContent)
}

async fn auth_validate(caller: Caller, _: NoQuery) -> Result<Resource<Validated>, Problem> {
    Answer::new(&Validated::from(caller.verified()))
}
