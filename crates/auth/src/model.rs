//! What requests may say, and what answers show.

use accounts::{Account, Email, LoginPassword, Password, Session, Username};
use kit::clock::Timestamp;
use kit::fields::{Fields, FromFields, Invalid};
use kit::page::{Listing, Sorts};
use kit::problem::Problem;
use kit::query::{FromParams, Params};
use kit::text::Text;
use kit::token::ACCESS_LIFETIME;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::Auth;

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
    pub(crate) refresh_token: Text<200>,
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

/// What confirming an email asks for.
#[derive(JsonSchema)]
pub(crate) struct TokenBody {
    /// As it was mailed.
    pub(crate) token: Text<200>,
}

impl FromFields for TokenBody {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        fields.required("token").map(|token| Self { token })
    }
}

/// What asking for a new password asks for.
#[derive(JsonSchema)]
pub(crate) struct ForgotBody {
    pub(crate) email: Email,
}

impl FromFields for ForgotBody {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        fields.required("email").map(|email| Self { email })
    }
}

/// What setting a new password asks for.
#[derive(JsonSchema)]
pub(crate) struct ResetBody {
    /// As it was mailed.
    pub(crate) token: Text<200>,
    pub(crate) new_password: Password,
}

impl FromFields for ResetBody {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (token, new_password) = (fields.required("token"), fields.required("new_password"));
        Some(Self { token: token?, new_password: new_password? })
    }
}

/// Who is logged in, and the tokens.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LoginAnswer {
    /// The account.
    pub(crate) user: Account,
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

/// A session as its owner sees it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct SessionView {
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
    pub(crate) fn new(session: Session, current: Uuid) -> Self {
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
pub(crate) struct SessionFilter {}

impl FromParams for SessionFilter {
    fn from_params(_: &mut Params) -> Self {
        Self {}
    }
}

impl Listing for SessionFilter {
    const SORTS: Sorts = &[("created_at", "created_at")];
}
