//! The people and things that the requests of these tests are about.

use accounts::{NewSession, start_session};
use futures_util::FutureExt;
use serde_json::{Value, json};
use uuid::Uuid;

use super::document::Operation;
use super::dump::dump;
use crate::harness::{Answer, App, Call, Client};

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Nobody,
    /// Whose order, session and account the paths name.
    Owner,
    /// Another customer.
    Other,
    Staff,
    Admin,
}

impl Who {
    pub(crate) const ALL: [Self; 5] = [Self::Nobody, Self::Owner, Self::Other, Self::Staff, Self::Admin];

    /// Whether one of a permission's words means them, where the thing is the owner's.
    pub(crate) fn is_among(self, words: &[String]) -> bool {
        let own: &[&str] = match self {
            Self::Nobody => &["anybody"],
            Self::Owner => &["anybody", "customer", "owner"],
            Self::Other => &["anybody", "customer"],
            Self::Staff => &["anybody", "staff"],
            Self::Admin => &["anybody", "admin"],
        };
        words.iter().any(|word| own.contains(&word.as_str()))
    }
}

/// A system with some people, two orders and a spare session of the owner, and a few things on the shelf.
pub(crate) struct Stage<'a> {
    app: &'a App,
    people: [Client<'a>; 5],
    second_admin: Client<'a>,
    order: String,
    line: String,
    session: String,
    key: String,
    shelf: Shelf,
    webhook: Uuid,
    delivery: Uuid,
}

/// What staff have put on sale.
struct Shelf {
    product: String,
    sku: String,
    barcode: String,
    location: String,
}

impl<'a> Stage<'a> {
    /// `name` tells its people from those of other stages on the same system.
    pub(crate) async fn new(app: &'a App, name: &str) -> Self {
        let owner = app.customer(&format!("{name}-owner")).await;
        let people = [
            app.nobody(),
            owner.clone(),
            app.customer(&format!("{name}-other")).await,
            app.staff(&format!("{name}-staff")).await,
            app.admin(&format!("{name}-admin")).await,
        ];
        let body = json!({"product_name": "Laptop", "quantity": 2, "total_price": 10.00});
        owner.post("/orders", body.clone()).await.expect(201);
        let order = owner.post("/orders", body).await.expect(201).json();
        let (order, line) = (text(&order["id"]), text(&order["lines"][0]["id"]));
        owner.put(&format!("/orders/{order}"), json!({"note": "by the door"})).await.expect(200);
        let session = spare_session(app, &owner).await;
        let shelf = Shelf::fill(&people[3], name).await;
        let (webhook, delivery) = quiet_webhooks(app).await;
        let second_admin = app.admin(&format!("{name}-second")).await;
        app.key(&people[4], &["orders:read"]).await;
        let key = app.key(&people[4], &["orders:write"]).await.0;
        app.keep_audit().await;
        Self { app, people, second_admin, order, line, session, key, shelf, webhook, delivery }
    }

    pub(crate) fn client(&self, who: Who) -> &Client<'a> {
        &self.people[Who::ALL.iter().position(|known| *known == who).unwrap()]
    }

    /// Somebody who may see all that an admin may, and is another.
    pub(crate) fn second_admin(&self) -> &Client<'a> {
        &self.second_admin
    }

    /// A path of the document with the ids of the owner's things.
    pub(crate) fn address(&self, path: &str) -> String {
        let (owner, webhook) = (self.client(Who::Owner).id.to_string(), self.webhook.to_string());
        let id = match path.split('/').nth(1) {
            Some("auth") if path.starts_with("/auth/keys") => &self.key,
            Some("auth") => &self.session,
            Some("users") => &owner,
            Some("products") => &self.shelf.product,
            Some("locations") => &self.shelf.location,
            Some("webhooks") => &webhook,
            _ => &self.order,
        };
        let path = path.replace("{sku}", &self.shelf.sku).replace("{barcode}", &self.shelf.barcode);
        let path = path.replace("{delivery_id}", &self.delivery.to_string());
        path.replace("{id}", id).replace("{user_id}", &owner)
    }

    /// An example's body with the ids of the owner's things.
    pub(crate) fn body(&self, example: &str) -> Value {
        serde_json::from_str(&self.text(example)).unwrap()
    }

    /// The same of any text.
    pub(crate) fn text(&self, example: &str) -> String {
        let shelf = &self.shelf;
        let text = example.replace("$line", &self.line).replace("$order", &self.order);
        let text = text.replace("$product", &shelf.product).replace("$sku", &shelf.sku);
        text.replace("$location", &shelf.location)
    }

    /// Somebody who may call an operation without a body on the owner's things.
    pub(crate) fn caller(&self, operation: &Operation) -> &Client<'a> {
        let is_own_only = operation.path.starts_with("/auth") && !operation.path.starts_with("/auth/keys");
        self.client(if is_own_only { Who::Owner } else { Who::Admin })
    }

    /// A request to an operation, at the gateway or at the service's own door.
    pub(crate) fn call(&self, client: &Client<'a>, operation: &Operation, door: &'static str) -> Call<'a> {
        client.request(operation.method.clone(), &self.address(&operation.path)).to(door)
    }

    pub(crate) async fn dump(&self) -> Vec<String> {
        dump(&self.app.db).await
    }

    /// The ETag of the thing that an operation of this caller is about.
    pub(crate) async fn etag(&self, who: Who, operation: &Operation) -> String {
        let address = self.address(&operation.path_of_resource());
        self.client(who).get(&address).await.expect(200).header("etag").to_owned()
    }
}

impl Shelf {
    /// Two products that are low, two categories and a location, so that every list has a second page.
    async fn fill(staff: &Client<'_>, name: &str) -> Self {
        for number in 1..=2 {
            staff.post("/categories", json!({"name": format!("{name} {number}")})).await.expect(201);
        }
        let product = |number: i64| {
            json!({
                "sku": format!("{name}-{number}"), "name": "Laptop", "barcode": format!("{number}{name}"),
                "category": format!("{name} 1"), "unit_price": 999.99, "reorder_point": 9
            })
        };
        staff.post("/products", product(2)).await.expect(201);
        let first = staff.post("/products", product(1)).await.expect(201).json();
        let (sku, barcode) = (text(&first["sku"]), text(&first["barcode"]));
        let location = json!({"code": format!("{name}-b"), "name": "Behind the counter"});
        let location = text(&staff.post("/locations", location).await.expect(201).json()["id"]);
        for place in ["MAIN", &location] {
            let received = json!({"sku": sku, "location": place, "kind": "receive", "quantity": 3});
            staff.post("/stock/adjustments", received).await.expect(201);
        }
        Self { product: text(&first["id"]), sku, barcode, location }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl Operation {
    /// Where the thing that this changes can be read: a step stands one segment below it.
    fn path_of_resource(&self) -> String {
        self.path.split_inclusive("{id}").next().unwrap().to_owned()
    }
}

async fn spare_session(app: &App, owner: &Client<'_>) -> String {
    let input = (owner.id, app.clock.now());
    let start = app.db.write(input, |tx, (account, now)| {
        async move {
            let session = NewSession { device: None, ip: None };
            Ok::<_, accounts::Error>(start_session(tx, *account, &session, *now).await?.id)
        }
        .boxed()
    });
    start.await.unwrap().to_string()
}

/// Two webhooks, and of the second two deliveries that ended. They are stored as they are, since no stage must meet the bound on how many there may be, and
/// disabled, so that nothing of them changes by itself.
async fn quiet_webhooks(app: &App) -> (Uuid, Uuid) {
    let now = app.clock.now().0;
    let store = app.db.write(now, |tx, now| {
        async move {
            let (mut webhook, mut delivery) = (Uuid::nil(), Uuid::nil());
            for _ in 0..2 {
                webhook = Uuid::now_v7();
                let sql = "INSERT INTO webhooks (id, url, types, enabled, generation, cursor_xid, cursor_seq, version, created_at, updated_at)
                           VALUES ($1, 'http://127.0.0.1:9/', '', FALSE, 1, 0, 0, 1, $2, $2)";
                tx.execute(sql, &[webhook.into(), (*now).into()]).await?;
            }
            for seq in 1..=2 {
                delivery = Uuid::now_v7();
                let sql = "INSERT INTO webhook_deliveries (id, webhook_id, event_xid, event_seq, event_type, object_id, body, status, in_order, attempts,
                               created_at, ended_at)
                           VALUES ($1, $2, 0, $3, 'order.placed', $1, '{}', 'delivered', TRUE, 1, $4, $4)";
                tx.execute(sql, &[delivery.into(), webhook.into(), seq.into(), (*now).into()]).await?;
            }
            Ok::<_, ::db::Error>((webhook, delivery))
        }
        .boxed()
    });
    store.await.unwrap()
}

/// What was found wrong, all of it, so that one run shows everything.
#[derive(Default)]
pub(crate) struct Findings(Vec<String>);

impl Findings {
    pub(crate) fn check(&mut self, holds: bool, finding: impl FnOnce() -> String) {
        if !holds {
            self.0.push(finding());
        }
    }

    /// Checks that an answer is this problem, and one that its operation documents.
    pub(crate) fn problem(
        &mut self,
        answer: &Answer,
        operation: &Operation,
        status: u16,
        code: &str,
        what: &str,
    ) {
        let is_it = answer.status == status && answer.code() == code;
        self.check(is_it, || format!("{}: {what}: not {status} {code} but {}", at(answer), shown(answer)));
        // The methods of a path are documented by their presence.
        let is_documented = status == 405 || operation.statuses().contains(&answer.status.as_u16());
        self.check(is_documented, || format!("{}: {what}: {} is not documented", at(answer), answer.status));
    }

    /// Checks that a dump is as it was.
    pub(crate) fn unchanged(&mut self, before: &[String], after: &[String], what: &str) {
        self.check(before == after, || {
            let changed: Vec<&String> = after.iter().filter(|row| !before.contains(row)).collect();
            format!("{what}: something has changed: {changed:?}")
        });
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// Fails with all findings.
    pub(crate) fn finish(self) {
        let shown: Vec<&String> = self.0.iter().take(60).collect();
        assert!(self.0.is_empty(), "{} findings:\n{shown:#?}", self.0.len());
    }
}

fn at(answer: &Answer) -> String {
    answer.what.replace("http://localhost:8000", "")
}

fn shown(answer: &Answer) -> String {
    let text: String = answer.text().chars().take(300).collect();
    format!("{} {text}", answer.status)
}
