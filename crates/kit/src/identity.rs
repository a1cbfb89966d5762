//! Who is calling. What they may do is their role's, and the endpoint's [`Permission`].

use std::ops::Deref;
use std::sync::Arc;

use aide::OperationInput;
use axum::extract::FromRequestParts;
use futures_util::future::BoxFuture;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::permission::Permission;
use crate::problem::Problem;
use crate::token::{Claims, Tokens};

/// What an account may do; each role may do all that the one before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees and acts on what is theirs.
    Customer,
    /// Runs the business: all orders, products and stock; reads users.
    Staff,
    /// All, and users and roles.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Customer, Self::Staff, Self::Admin];

    /// The word for it, in tokens, answers and storage.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Staff => "staff",
            Self::Admin => "admin",
        }
    }

    /// Reads [`Role::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

/// Claims that were checked in full: signature, times, and a session that lives. Only code can make one,
/// so a gateway may hand it on to a service of the same process.
#[derive(Clone, Debug)]
pub struct Verified(Arc<Claims>);

impl Deref for Verified {
    type Target = Claims;

    fn deref(&self) -> &Claims {
        &self.0
    }
}

/// Tells whether the session behind a token still lives.
pub trait Sessions: Send + Sync {
    /// At once where it is known, else by a question that has to be awaited.
    fn check<'a>(&'a self, claims: &'a Claims) -> Check<'a>;
}

/// What [`Sessions`] knows of a token's session.
pub enum Check<'a> {
    /// Known already; no query was needed.
    Known(Result<(), Problem>),
    /// The answer has to be fetched.
    Ask(BoxFuture<'a, Result<(), Problem>>),
}

const SCHEME: &[u8; 7] = b"bearer ";

/// Checks the bearer token of a request (RFC 6750): in full, unless nobody here knows which sessions live, as in a gateway
/// without a database, behind which each service checks the token again.
pub async fn authenticate(
    tokens: &Tokens,
    sessions: Option<&dyn Sessions>,
    headers: &HeaderMap,
) -> Result<Verified, Problem> {
    let claims = tokens.verify(bearer_token(headers)?)?;
    match sessions.map(|sessions| sessions.check(&claims)) {
        None => {}
        Some(Check::Known(known)) => known?,
        Some(Check::Ask(question)) => question.await?,
    }
    Ok(Verified(claims))
}

fn bearer_token(headers: &HeaderMap) -> Result<&[u8], Problem> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let value = match (sent.next(), sent.next()) {
        (None, _) => return Err(Problem::unauthenticated()),
        (Some(_), Some(_)) => {
            return Err(Problem::malformed(
                "duplicate_header",
                "Send one `Authorization` header, not several.",
            ));
        }
        (Some(value), None) => value.as_bytes(),
    };
    match value.split_first_chunk::<{ SCHEME.len() }>() {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) => Ok(token.trim_ascii()),
        _ => Err(Problem::invalid_token()),
    }
}

/// The caller, whom the endpoint's permission has admitted.
#[derive(Debug)]
pub struct Caller {
    verified: Verified,
    permission: Permission,
}

impl Caller {
    /// The caller's account.
    pub fn account(&self) -> Uuid {
        self.verified.sub
    }

    /// The caller's session.
    pub fn session(&self) -> Uuid {
        self.verified.sid
    }

    /// The caller's role.
    pub fn role(&self) -> Role {
        self.verified.role
    }

    /// Whether the caller is staff or an admin.
    pub fn is_staff(&self) -> bool {
        self.role() >= Role::Staff
    }

    /// All that the token says.
    pub fn claims(&self) -> &Claims {
        &self.verified
    }

    /// Whether the endpoint's permission lets the caller do this to a thing of `owner`, or of nobody: else 403, or 404 where
    /// the caller may not even know of it.
    pub fn check(&self, owner: Option<Uuid>) -> Result<(), Problem> {
        self.permission.judge(self.role(), owner == Some(self.account()))
    }

    /// Whether it lets the caller know of a thing of `owner`, or of nobody: else 404.
    pub fn check_sees(&self, owner: Option<Uuid>) -> Result<(), Problem> {
        self.permission.judge_sight(self.role(), owner == Some(self.account()))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Nobody was asked who calls what anybody may, so that there is no caller.
        let (verified, permission) =
            (parts.extensions.get::<Verified>(), parts.extensions.get::<Permission>());
        let (verified, permission) = verified.zip(permission).ok_or_else(Problem::unauthenticated)?;
        Ok(Self { verified: verified.clone(), permission: *permission })
    }
}

impl OperationInput for Caller {}
