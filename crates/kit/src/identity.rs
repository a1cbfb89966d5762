//! Who is calling, and what they may do: a handler's signature names it.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::Operation;
use axum::extract::{FromRef, FromRequestParts};
use futures_util::future::BoxFuture;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::openapi;
use crate::problem::Problem;
use crate::shared::Shared;
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
        [Self::Customer, Self::Staff, Self::Admin].into_iter().find(|role| role.as_str() == word)
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

/// The least role that an endpoint asks for.
pub trait Permission: Send + Sync + 'static {
    /// That role.
    const LEAST: Role;
}

/// Any account.
pub enum Anyone {}
/// Staff and admins.
pub enum Staff {}
/// Admins.
pub enum Admin {}

impl Permission for Anyone {
    const LEAST: Role = Role::Customer;
}
impl Permission for Staff {
    const LEAST: Role = Role::Staff;
}
impl Permission for Admin {
    const LEAST: Role = Role::Admin;
}

/// The caller, whose role is at least `P`'s.
#[derive(Debug)]
pub struct Caller<P = Anyone> {
    claims: Verified,
    permission: PhantomData<fn() -> P>,
}

impl<P> Caller<P> {
    /// The caller's account.
    pub fn account(&self) -> Uuid {
        self.claims.sub
    }

    /// The caller's session.
    pub fn session(&self) -> Uuid {
        self.claims.sid
    }

    /// The caller's role.
    pub fn role(&self) -> Role {
        self.claims.role
    }

    /// Whether the caller is staff or an admin.
    pub fn is_staff(&self) -> bool {
        self.role() >= Role::Staff
    }

    /// All that the token says.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }
}

impl<S, P: Permission> FromRequestParts<S> for Caller<P>
where
    S: Send + Sync,
    Arc<Shared>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let claims = match parts.extensions.get::<Verified>() {
            Some(verified) => verified.clone(),
            None => {
                let shared = Arc::<Shared>::from_ref(state);
                let claims = authenticate(&shared.tokens, Some(&*shared.sessions), &parts.headers).await?;
                // The body and the list that are read next want to know the caller too.
                parts.extensions.insert(claims.clone());
                claims
            }
        };
        if claims.role < P::LEAST {
            let article = if P::LEAST == Role::Admin { "an admin" } else { "staff" };
            return Err(Problem::forbidden(format!("Only {article} may do this.")));
        }
        Ok(Self { claims, permission: PhantomData })
    }
}

impl<P: Permission> OperationInput for Caller<P> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        operation.security.push([("bearer".to_owned(), Vec::new())].into_iter().collect());
        openapi::add_extension(operation, "x-least-role", P::LEAST.as_str());
        openapi::add_problem(ctx, operation, 401, "No token, or one that is not valid.");
        if P::LEAST > Role::Customer {
            openapi::add_problem(ctx, operation, 403, "The caller's role doesn't allow this.");
        }
    }
}

/// Marks a handler that anybody may call.
#[derive(Debug)]
pub struct Public;

impl<S: Sync> FromRequestParts<S> for Public {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self)
    }
}

impl OperationInput for Public {}
