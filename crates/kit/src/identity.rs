//! Who is calling. What they may do is their role's, and the endpoint's [`Permission`].

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

use crate::api_key::{self, ApiKey, KeyHash};
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

/// Who was checked in full: a token's signature, times, and a session that lives, or a key that is good. Only code can make one,
/// so a gateway may hand it on to a service of the same process.
#[derive(Clone, Debug)]
pub struct Verified(Proof);

/// What was sent to show who calls, and what is known of it.
#[derive(Clone, Debug)]
pub enum Proof {
    /// An access token.
    Token(Arc<Claims>),
    /// An API key.
    Key(Arc<ApiKey>),
}

impl Verified {
    /// The account; of an API key the one that made it, and for which it acts.
    pub fn account(&self) -> Uuid {
        match &self.0 {
            Proof::Token(claims) => claims.sub,
            Proof::Key(key) => key.account,
        }
    }

    /// The account's role. An API key is staff at most: what it may do besides, its scopes say.
    pub fn role(&self) -> Role {
        match &self.0 {
            Proof::Token(claims) => claims.role,
            Proof::Key(_) => Role::Staff,
        }
    }

    /// The session; of an API key its own id, which no session has.
    pub fn session(&self) -> Uuid {
        match &self.0 {
            Proof::Token(claims) => claims.sid,
            Proof::Key(key) => key.id,
        }
    }

    /// Whom one tells from others in what is counted and kept for each: the API key, else the account.
    pub fn principal(&self) -> Uuid {
        match &self.0 {
            Proof::Token(claims) => claims.sub,
            Proof::Key(key) => key.id,
        }
    }

    /// The API key, if that is what was sent.
    pub fn key(&self) -> Option<&ApiKey> {
        match &self.0 {
            Proof::Token(_) => None,
            Proof::Key(key) => Some(key),
        }
    }

    /// What was sent.
    pub fn proof(&self) -> &Proof {
        &self.0
    }

    /// Whether it still holds: for what takes longer than a moment.
    pub async fn check_again(&self, sessions: &dyn Sessions) -> Result<(), Problem> {
        match &self.0 {
            Proof::Token(claims) => sessions.check(claims).answer().await,
            Proof::Key(key) => sessions.check_key(key.hash).answer().await.map(drop),
        }
    }
}

/// Tells whether the session behind a token still lives, and which API keys are good.
pub trait Sessions: Send + Sync {
    /// Whether it hears of what ends. While it doesn't, nobody is let in, since an end may have been missed.
    fn hears_feed(&self) -> bool;

    /// At once where it is known, else by a question that has to be awaited.
    fn check<'a>(&'a self, claims: &'a Claims) -> Check<'a, ()>;

    /// The key of this hash, alike.
    fn check_key(&self, hash: KeyHash) -> Check<'_, Arc<ApiKey>>;
}

/// What [`Sessions`] knows.
pub enum Check<'a, T> {
    /// Known already; no query was needed.
    Known(Result<T, Problem>),
    /// The answer has to be fetched.
    Ask(BoxFuture<'a, Result<T, Problem>>),
}

impl<T> Check<'_, T> {
    /// What is known, asked for if need be.
    pub async fn answer(self) -> Result<T, Problem> {
        match self {
            Self::Known(known) => known,
            Self::Ask(question) => question.await,
        }
    }
}

const SCHEME: &[u8; 7] = b"bearer ";

/// Checks the bearer token of a request (RFC 6750), an access token or an API key.
pub async fn authenticate(
    tokens: &Tokens,
    sessions: &dyn Sessions,
    headers: &HeaderMap,
) -> Result<Verified, Problem> {
    match credential(headers)? {
        Credential::Token(token) => {
            let claims = tokens.verify(token)?;
            sessions.check(&claims).answer().await?;
            Ok(Verified(Proof::Token(claims)))
        }
        Credential::Key(hash) => sessions.check_key(hash).answer().await.map(|key| Verified(Proof::Key(key))),
    }
}

/// The same where nobody knows which sessions live and which keys are good, as in a gateway without a database, behind which each service
/// checks again: nobody of whom more is known than that what they sent looks like a key.
pub fn authenticate_alone(tokens: &Tokens, headers: &HeaderMap) -> Result<Option<Verified>, Problem> {
    match credential(headers)? {
        Credential::Token(token) => Ok(Some(Verified(Proof::Token(tokens.verify(token)?)))),
        Credential::Key(_) => Ok(None),
    }
}

enum Credential<'a> {
    Token(&'a [u8]),
    Key(KeyHash),
}

fn credential(headers: &HeaderMap) -> Result<Credential<'_>, Problem> {
    let token = bearer_token(headers)?;
    if !api_key::is_key(token) {
        return Ok(Credential::Token(token));
    }
    api_key::hash_of(token).map(Credential::Key).ok_or_else(Problem::invalid_token)
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
    /// The caller's account; of an API key the one that made it, and for which it acts.
    pub fn account(&self) -> Uuid {
        self.verified.account()
    }

    /// The API key's id, if one was sent.
    pub fn key(&self) -> Option<Uuid> {
        self.verified.key().map(|key| key.id)
    }

    /// The caller's session; of an API key its own id, which no session has.
    pub fn session(&self) -> Uuid {
        self.verified.session()
    }

    /// The caller's role; an API key is staff at most.
    pub fn role(&self) -> Role {
        self.verified.role()
    }

    /// Whether the caller is staff or an admin.
    pub fn is_staff(&self) -> bool {
        self.role() >= Role::Staff
    }

    /// All that was checked.
    pub fn verified(&self) -> &Verified {
        &self.verified
    }

    /// Whether the endpoint's permission lets the caller do this to a thing of `owner`, or of nobody: else 403, or 404 where
    /// the caller may not even know of it.
    pub fn check(&self, owner: Option<Uuid>) -> Result<(), Problem> {
        let judged = self.permission.judge(self.role(), owner == Some(self.account()));
        judged.map_err(|refused| refused.naming(&self.verified))
    }

    /// Whether it lets the caller know of a thing of `owner`, or of nobody: else 404.
    pub fn check_sees(&self, owner: Option<Uuid>) -> Result<(), Problem> {
        let judged = self.permission.judge_sight(self.role(), owner == Some(self.account()));
        judged.map_err(|refused| refused.naming(&self.verified))
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
