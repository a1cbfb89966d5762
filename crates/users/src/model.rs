//! What a body may say of a user.

use accounts::{
    AccountChange, Email, LoginPassword, Password, Preferences, Proof, RecoveryCode, TotpCode, Username,
    parse_role,
};
use kit::fields::{Faults, Fields, FromFields, FromJson, Invalid, read_text};
use kit::identity::Role;
use kit::json::Json;
use kit::openapi::refuse_null;
use kit::text::Text;
use schemars::JsonSchema;

/// A role in a body.
#[derive(Clone, Copy)]
pub(crate) struct RoleName(pub(crate) Role);

impl std::str::FromStr for RoleName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        parse_role(text).map(Self)
    }
}

impl FromJson for RoleName {
    fn from_json(json: &Json<'_>, faults: &mut Faults) -> Option<Self> {
        read_text(json, faults)
    }
}

impl JsonSchema for RoleName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Role::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        Role::schema_id()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Role::json_schema(generator)
    }
}

/// A new user, as an admin makes one.
#[derive(JsonSchema)]
#[schemars(transform = refuse_null(&["role"]))]
pub(crate) struct CreateUser {
    pub(crate) email: Email,
    pub(crate) username: Username,
    /// Without one the user can't log in.
    pub(crate) password: Option<Password>,
    pub(crate) role: Option<RoleName>,
    pub(crate) full_name: Option<Text<200>>,
    pub(crate) phone: Option<Text<50>>,
    pub(crate) address: Option<Text<1000>>,
    pub(crate) preferences: Option<Preferences>,
}

impl FromFields for CreateUser {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (email, username) = (fields.required::<Email>("email"), fields.required::<Username>("username"));
        let (password, role) = (fields.optional::<Password>("password"), fields.change("role"));
        let (full_name, phone, address) =
            (fields.optional("full_name"), fields.optional("phone"), fields.optional("address"));
        let preferences = fields.optional("preferences");
        Some(Self {
            email: email?,
            username: username?,
            password: password?,
            role: role?,
            full_name: full_name?,
            phone: phone?,
            address: address?,
            preferences: preferences?,
        })
    }
}

/// A change of a user, as the OpenAPI document shows it: only what is named changes.
#[derive(JsonSchema)]
#[schemars(transform = refuse_null(&["email", "username", "role", "disabled", "current_password"]))]
#[expect(dead_code, reason = "describes what `UserChange` reads")]
pub(crate) struct ChangeUser {
    email: Option<Email>,
    username: Option<Username>,
    /// By an admin only.
    role: Option<RoleName>,
    /// By an admin only.
    disabled: Option<bool>,
    full_name: Option<Text<200>>,
    phone: Option<Text<50>>,
    address: Option<Text<1000>>,
    preferences: Option<Preferences>,
    /// To change the own email.
    current_password: Option<LoginPassword>,
    /// To change the own email where two-factor authentication is on: the code of the authenticator.
    totp: Option<TotpCode>,
    /// Instead of that; each is good once.
    recovery_code: Option<RecoveryCode>,
}

/// A change of a user, read.
pub(crate) struct UserChange {
    pub(crate) change: AccountChange,
    pub(crate) current_password: Option<LoginPassword>,
    pub(crate) proof: Option<Proof>,
}

impl FromFields for UserChange {
    fn from_fields(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let (email, username) = (fields.change("email"), fields.change("username"));
        let is_admin = fields.context().role == Role::Admin;
        let role = if is_admin { fields.change::<RoleName>("role") } else { Some(None) };
        let disabled = if is_admin { fields.change("disabled") } else { Some(None) };
        let (full_name, phone) =
            (fields.clearable::<Text<200>>("full_name"), fields.clearable::<Text<50>>("phone"));
        let (address, preferences) =
            (fields.clearable::<Text<1000>>("address"), fields.clearable("preferences"));
        let current_password = fields.change("current_password");
        let (totp, recovery_code) = (fields.optional("totp"), fields.optional("recovery_code"));
        let change = AccountChange {
            email: email?,
            username: username?,
            role: role?.map(|role| role.0),
            disabled: disabled?,
            full_name: owned(full_name?),
            phone: owned(phone?),
            address: owned(address?),
            preferences: preferences?,
        };
        let proof = Proof::of(totp?, recovery_code?);
        Some(Self { change, current_password: current_password?, proof })
    }
}

impl JsonSchema for UserChange {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        ChangeUser::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        ChangeUser::json_schema(generator)
    }
}

fn owned<const MAX: usize>(change: Option<Option<Text<MAX>>>) -> Option<Option<String>> {
    change.map(|text| text.map(|text| text.as_str().to_owned()))
}
