//! Access tokens (JWT, RFC 7519, HS256) and the other values that only we can make: refresh tokens,
//! cursors, fingerprints. Each kind has a key of its own, derived from the one secret.

mod hs256;

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

use crate::clock::Clock;
use crate::identity::Role;
use crate::problem::Problem;
use crate::secret::Secret;

/// How long an access token is good.
pub const ACCESS_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// How far two machines' clocks may differ.
const LEEWAY_SECONDS: u64 = 5;

/// How many tokens are kept in mind, in all some 6 MB; to check one anew costs about two microseconds.
const KNOWN: usize = 10_000;

/// Both the issuer and the audience of our tokens.
const ISSUER: &str = "storehouse";

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claims {
    /// The account's id.
    pub sub: Uuid,
    /// The account's email when the token was made.
    pub email: String,
    /// The account's role when the token was made.
    pub role: Role,
    /// The session's id.
    pub sid: Uuid,
    /// Who made it: `storehouse`.
    pub iss: String,
    /// For whom: `storehouse`.
    pub aud: String,
    /// When it was made, in seconds since 1970.
    pub iat: u64,
    /// From when it is good.
    pub nbf: u64,
    /// Until when it is good.
    pub exp: u64,
    /// The token's own id.
    pub jti: Uuid,
}

/// Makes and checks access tokens.
pub struct Tokens {
    clock: Clock,
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    /// Tokens whose signature was found good; what time has done to them is looked at each time.
    known: Cache<KnownToken, Arc<Claims>>,
}

/// A token that was found good. Its end, of the signature, is as random as any hash, and nobody else can choose it.
#[derive(PartialEq, Eq)]
struct KnownToken(Box<[u8]>);

/// The same, borrowed.
#[derive(PartialEq, Eq)]
struct SentToken<'a>(&'a [u8]);

const RANDOM_END: usize = 16;

impl Hash for SentToken<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.last_chunk::<RANDOM_END>().hash(state);
    }
}

impl Hash for KnownToken {
    fn hash<H: Hasher>(&self, state: &mut H) {
        SentToken(&self.0).hash(state);
    }
}

impl Equivalent<KnownToken> for SentToken<'_> {
    fn equivalent(&self, known: &KnownToken) -> bool {
        *self.0 == *known.0
    }
}

impl Tokens {
    /// With the shared secret (`JWT_SECRET`).
    pub fn new(secret: &Secret, clock: Clock) -> Self {
        hs256::install();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // Times are compared below, against our own clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let key = secret.expose().as_bytes();
        Self {
            clock,
            encoding: EncodingKey::from_secret(key),
            decoding: DecodingKey::from_secret(key),
            validation,
            known: Cache::new(KNOWN),
        }
    }

    /// A token for one session of one account.
    pub fn sign(&self, account: Uuid, email: &str, role: Role, session: Uuid) -> Result<Secret, Problem> {
        let now = u64::try_from(self.clock.now().seconds()).unwrap_or(0);
        let claims = Claims {
            sub: account,
            email: email.to_owned(),
            role,
            sid: session,
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            iat: now,
            nbf: now,
            exp: now + ACCESS_LIFETIME.as_secs(),
            jti: crate::clock::new_id(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map(Secret::new)
            .map_err(Problem::internal)
    }

    /// The claims of a token that we signed and whose time has come and not passed.
    pub fn verify(&self, token: impl AsRef<[u8]>) -> Result<Arc<Claims>, Problem> {
        let token = token.as_ref();
        let claims = match self.known.get(&SentToken(token)) {
            Some(claims) => claims,
            None => self.learn(token)?,
        };
        let now = u64::try_from(self.clock.now().seconds()).unwrap_or(0);
        let is_timely = claims.exp.saturating_add(LEEWAY_SECONDS) > now
            && claims.nbf <= now + LEEWAY_SECONDS
            && claims.iat <= now + LEEWAY_SECONDS;
        if is_timely { Ok(claims) } else { Err(Problem::invalid_token()) }
    }

    /// Checks all but the times of a token that was not seen before.
    fn learn(&self, token: &[u8]) -> Result<Arc<Claims>, Problem> {
        let checked = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation)
            .map_err(|_| Problem::invalid_token())?;
        // `crit` names extensions that must be understood (RFC 7515, section 4.1.11); we know none.
        if checked.header.crit.is_some() {
            return Err(Problem::invalid_token());
        }
        let claims = Arc::new(checked.claims);
        self.known.insert(KnownToken(token.into()), Arc::clone(&claims));
        Ok(claims)
    }
}

/// A key for one purpose, derived from the shared secret, so that a value of one kind is never one of another.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// The key for `purpose`.
    pub fn derive(secret: &Secret, purpose: &str) -> Self {
        let mut derivation = keyed(secret.expose().as_bytes());
        derivation.update(b"storehouse key v1\0");
        derivation.update(purpose.as_bytes());
        Self(keyed(&derivation.finalize().into_bytes()))
    }

    /// The authentication code (HMAC-SHA-256) of `parts`, each kept apart from the next by its length.
    pub fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.over(parts).finalize().into_bytes().into()
    }

    /// Whether `code` is the beginning, of 16 bytes or more, of the parts' code; takes the same time for any answer.
    pub fn verify(&self, parts: &[&[u8]], code: &[u8]) -> bool {
        code.len() >= 16 && self.over(parts).verify_truncated_left(code).is_ok()
    }

    fn over(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
    Hmac::new_from_slice(key).expect("HMAC takes any key")
}

/// Base64 for URLs, without padding (RFC 4648, section 5).
pub fn to_base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of [`to_base64`]; `None` for any other spelling, non-zero tail bits among them.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
