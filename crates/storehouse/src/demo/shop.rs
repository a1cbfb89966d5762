//! The services of a system in the making: asked as over HTTP, but without a socket, by staff whose token is made anew for each moment.

use std::sync::Arc;
use std::time::Duration;

use accounts::{FirstAdmin, LiveSessions, NewAccount, Password, Passwords, SessionLimits, create_account};
use anyhow::{Context as _, Result, anyhow, bail};
use axum::body::Body;
use db::Db;
use futures_util::FutureExt as _;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use inventory::Inventory;
use kit::author::Author;
use kit::clock::{Clock, Timestamp, new_id};
use kit::identity::{Role, authenticate_alone};
use kit::metrics::Metrics;
use kit::money::Currency;
use kit::outgoing::{Authorities, Outgoing};
use kit::secret::Secret;
use kit::service::{Readiness, Service, Surroundings};
use kit::shared::Shared;
use orders::Orders;
use serde_json::Value;
use uuid::Uuid;
use webhooks::Webhooks;

use super::PASSWORD;
use crate::settings::Settings;

/// Nobody's orders pile up in it.
const MAX_PENDING: i64 = i64::MAX;

/// The services, and somebody of the staff.
pub(super) struct Shop {
    orders: Service,
    inventory: Service,
    shared: Arc<Shared>,
    clock: Clock,
    staff: Uuid,
    /// Of the one password that all have.
    password_hash: Secret,
    /// How often it was asked.
    pub(super) requests: u64,
}

impl Shop {
    /// With an admin and somebody of the staff.
    pub(super) async fn open(db: Db, clock: Clock, settings: &Settings, secret: &Secret) -> Result<Self> {
        let password_hash = hash(settings).await?;
        let live = LiveSessions::new(db.clone(), clock.clone(), SessionLimits::default());
        let shared = Arc::new(Shared::new(db.clone(), clock.clone(), secret, live, settings.orders.currency));
        // Nobody has asked to be told of anything yet.
        let outgoing = Outgoing::new(Vec::new(), Authorities::default())?;
        let webhooks = Webhooks::new(db.clone(), clock.clone(), secret, outgoing);
        let (readiness, metrics) = (Readiness::default(), Arc::<Metrics>::default());
        let surroundings =
            Surroundings { db, readiness, metrics, refusals: Arc::clone(&shared.refusals), docs: false };
        let expiry = settings.orders.pending_expiry;
        let orders = Orders::new(
            shared.clone(),
            Arc::new(webhooks),
            MAX_PENDING,
            expiry,
            surroundings.readiness.clone(),
        );
        let mut shop = Self {
            orders: orders::service(orders, &surroundings),
            inventory: inventory::service(Inventory::new(shared.clone()), &surroundings),
            shared,
            clock,
            staff: Uuid::nil(),
            password_hash,
            requests: 0,
        };
        shop.add_account("admin@example.com", "admin", "Anna Admin", Role::Admin).await?;
        shop.staff = shop.add_account("staff@example.com", "staff", "Stefan Staff", Role::Staff).await?;
        Ok(shop)
    }

    /// Adds somebody who can log in.
    pub(super) async fn add_account(
        &self,
        email: &str,
        username: &str,
        full_name: &str,
        role: Role,
    ) -> Result<Uuid> {
        let invalid = |fault: kit::fields::Invalid| anyhow!("{email}: {}", fault.message);
        let (email, username) = (email.parse().map_err(invalid)?, username.parse().map_err(invalid)?);
        let new = NewAccount {
            role,
            full_name: Some(full_name.to_owned()),
            ..NewAccount::customer(email, username, self.password_hash.clone())
        };
        let input = (new, Author::nobody(self.clock.now()));
        let created = self.shared.db.write(input, |tx, (new, author)| {
            create_account(tx, new, FirstAdmin::NotPromoted, author).boxed()
        });
        created.await.map(|account| account.id).map_err(|error| anyhow!("an account was not made: {error:?}"))
    }

    /// Lets time go by until then.
    pub(super) fn wait_until(&self, moment: Timestamp) {
        let age = self.clock.now().age(moment);
        if age > Duration::ZERO {
            self.clock.advance(age);
        }
    }

    /// The moment at which its clock stands.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What its prices are in.
    pub(super) fn currency(&self) -> Currency {
        self.shared.currency
    }

    /// Asks a service how something is.
    pub(super) async fn get(&mut self, path: &str) -> Result<Value> {
        match self.ask(Method::GET, path, Body::empty()).await? {
            Ok(answer) => Ok(answer),
            Err(code) => bail!("GET {path} was refused: {code}"),
        }
    }

    /// Asks a service for something that must succeed.
    pub(super) async fn post(&mut self, path: &str, body: &Value) -> Result<Value> {
        match self.try_post(path, body).await? {
            Ok(answer) => Ok(answer),
            Err(code) => bail!("POST {path} was refused: {code}: {body}"),
        }
    }

    /// The same of what may be refused, as where there is too little; then its code.
    pub(super) async fn try_post(&mut self, path: &str, body: &Value) -> Result<Result<Value, String>> {
        self.ask(Method::POST, path, Body::from(body.to_string())).await
    }

    async fn ask(&mut self, method: Method, path: &str, body: Body) -> Result<Result<Value, String>> {
        self.requests += 1;
        let token = self.shared.tokens.sign(self.staff, "staff@example.com", Role::Staff, new_id());
        let token = token.map_err(|problem| anyhow!("no token: {}", problem.code()))?;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(AUTHORIZATION, format!("Bearer {}", token.expose()))
            .header(CONTENT_TYPE, "application/json")
            .body(body)?;
        let verified = authenticate_alone(&self.shared.tokens, request.headers());
        let verified = verified.map_err(|problem| anyhow!("no token: {}", problem.code()))?;
        request.extensions_mut().insert(verified.context("no token")?);
        let service = if path.starts_with("/orders") { &self.orders } else { &self.inventory };
        let response = service.answer(request).await.response;
        let status = response.status();
        let bytes = response.into_body().collect().await.context("an answer broke off")?.to_bytes();
        let answer: Value = serde_json::from_slice(&bytes).context("an answer is no JSON")?;
        match status {
            status if status.is_success() => Ok(Ok(answer)),
            StatusCode::CONFLICT => Ok(Err(answer["code"].as_str().unwrap_or_default().to_owned())),
            status => bail!("{path} was answered with {status}: {answer}"),
        }
    }
}

async fn hash(settings: &Settings) -> Result<Secret> {
    let passwords = Passwords::new(settings.passwords.hash, settings.passwords.denylist)
        .context("can't start the threads that hash passwords")?;
    let password: Password =
        PASSWORD.parse().map_err(|fault: kit::fields::Invalid| anyhow!("the password {}", fault.message))?;
    passwords.hash(&password).await.map_err(|problem| anyhow!("can't hash the password: {}", problem.code()))
}
