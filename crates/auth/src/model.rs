//! What requests may say, and what answers show.

use accounts::{
    Account, Email, LoginPassword, Password, Proof, RecoveryCode, RecoveryCodes, Session, TotpCode, Username,
};
use kit::clock::Timestamp;
use kit::fields::{Fields, FromFields};
use kit::page::{Listing, Sorts};
use kit::problem::Problem;
use kit::query::{FromParams, Params};
use kit::secret::{Sent, Shown};
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
        Some(Self { email: email?, password: password?, username: username? })
    }
}

/// What logging in asks for.
#[derive(JsonSchema)]
pub(crate) struct LoginBody {
    pub(crate) email: Text<254>,
    pub(crate) password: LoginPassword,
    /// Where two-factor authentication is on: the code of the authenticator.
    totp: Option<TotpCode>,
    /// Instead of that; each is good once.
    recovery_code: Option<RecoveryCode>,
}

impl LoginBody {
    pub(crate) fn proof(&self) -> Option<Proof> {
        Proof::of(self.totp.clone(), self.recovery_code.clone())
    }
}

impl FromFields for LoginBody {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (email, password) = (fields.required("email"), fields.required("password"));
        let (totp, recovery_code) = (fields.optional("totp"), fields.optional("recovery_code"));
        Some(Self { email: email?, password: password?, totp: totp?, recovery_code: recovery_code? })
    }
}

/// What refreshing asks for.
#[derive(JsonSchema)]
pub(crate) struct RefreshBody {
    pub(crate) refresh_token: Sent<200>,
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
    /// Where two-factor authentication is on: the code of the authenticator.
    pub(crate) totp: Option<TotpCode>,
    /// Instead of that; each is good once.
    pub(crate) recovery_code: Option<RecoveryCode>,
}

impl FromFields for PasswordBody {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (current_password, new_password) =
            (fields.required("current_password"), fields.required("new_password"));
        let (totp, recovery_code) = (fields.optional("totp"), fields.optional("recovery_code"));
        Some(Self {
            current_password: current_password?,
            new_password: new_password?,
            totp: totp?,
            recovery_code: recovery_code?,
        })
    }
}

/// What confirming an email asks for.
#[derive(JsonSchema)]
pub(crate) struct TokenBody {
    /// As it was mailed.
    pub(crate) token: Sent<200>,
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
    pub(crate) token: Sent<200>,
    pub(crate) new_password: Password,
}

impl FromFields for ResetBody {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (token, new_password) = (fields.required("token"), fields.required("new_password"));
        Some(Self { token: token?, new_password: new_password? })
    }
}

/// What beginning with two-factor authentication asks for.
#[derive(JsonSchema)]
pub(crate) struct BeginTotpBody {
    pub(crate) current_password: LoginPassword,
}

impl FromFields for BeginTotpBody {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        fields.required("current_password").map(|current_password| Self { current_password })
    }
}

/// What turning it on asks for.
#[derive(JsonSchema)]
pub(crate) struct ConfirmTotpBody {
    /// What the authenticator shows.
    pub(crate) code: TotpCode,
}

impl FromFields for ConfirmTotpBody {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        fields.required("code").map(|code| Self { code })
    }
}

/// What turning it off and new recovery codes ask for: both factors.
#[derive(JsonSchema)]
pub(crate) struct ProveTotpBody {
    pub(crate) current_password: LoginPassword,
    /// The code of the authenticator.
    pub(crate) totp: Option<TotpCode>,
    /// Instead of that.
    pub(crate) recovery_code: Option<RecoveryCode>,
}

impl FromFields for ProveTotpBody {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let current_password = fields.required("current_password");
        let (totp, recovery_code) = (fields.optional("totp"), fields.optional("recovery_code"));
        Some(Self { current_password: current_password?, totp: totp?, recovery_code: recovery_code? })
    }
}

/// What making the first admin asks for.
#[derive(JsonSchema)]
pub(crate) struct SetupBody {
    /// As the program printed it when it was started.
    pub(crate) token: Sent<200>,
    pub(crate) email: Email,
    pub(crate) password: Password,
    pub(crate) username: Username,
}

impl FromFields for SetupBody {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (token, email) = (fields.required("token"), fields.required("email"));
        let (password, username) = (fields.required("password"), fields.required("username"));
        Some(Self { token: token?, email: email?, password: password?, username: username? })
    }
}

/// Whether two-factor authentication is on.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TotpState {
    pub(crate) enabled: bool,
    /// Since when.
    pub(crate) enabled_at: Option<Timestamp>,
    /// How many recovery codes were not used yet.
    pub(crate) recovery_codes_left: i64,
}

/// The secret for an authenticator, shown once.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TotpSecret {
    /// To be typed into an authenticator, in base32.
    pub(crate) secret: Shown,
    /// To be shown as a QR code.
    pub(crate) uri: Shown,
}

/// The recovery codes, shown once.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ShownRecoveryCodes {
    /// Each stands in for a code of the authenticator, once.
    pub(crate) recovery_codes: Vec<String>,
}

impl ShownRecoveryCodes {
    pub(crate) fn of(codes: &RecoveryCodes) -> Self {
        Self { recovery_codes: codes.show().to_vec() }
    }
}

/// Who is logged in, and the tokens.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LoginAnswer {
    /// The account.
    pub(crate) user: Account,
    /// The access token: send it as `Authorization: Bearer <token>`.
    token: Shown,
    /// `Bearer`
    token_type: &'static str,
    /// How many seconds the access token is good.
    expires_in: u64,
    /// For `/auth/refresh`, once.
    refresh_token: Shown,
}

impl LoginAnswer {
    pub(crate) fn new(auth: &Auth, user: Account, session: Uuid, generation: i64) -> Result<Self, Problem> {
        let token = auth.shared.tokens.sign(user.id, &user.email, user.role, session)?;
        let refresh_token = auth.accounts.refresh_tokens.sign(session, generation).into();
        let expires_in = ACCESS_LIFETIME.as_secs();
        Ok(Self { user, token: token.into(), token_type: "Bearer", expires_in, refresh_token })
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
