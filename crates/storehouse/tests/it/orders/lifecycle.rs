//! Random lives of orders, held against the model.

use http::Method;
use serde_json::{Value, json};

use super::model::{Ask, Change, Expected, Line, Model, STEPS, minor, shown};
use super::{path, place, view};
use crate::harness::{Answer, Client, Random, each_app};

#[tokio::test]
async fn z08_random_lives_go_as_the_model_says() {
    each_app(async |app| {
        let (ada, staff) = (app.customer("ada").await, app.staff("staff").await);
        let mut random = Random::new();
        for _ in 0..30 {
            let mut life = Life::start(&ada, &staff, &mut random).await;
            for _ in 0..25 {
                life.go_on(&mut random).await;
            }
            life.check_history().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_published_machine_is_the_models() {
    each_app(async |app| {
        let ada = app.customer("ada").await;
        let states = ada.get("/orders/states").await.expect(200).json();
        let names: Vec<&str> =
            states["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
        assert_eq!(names, STEPS);
        for step in states["steps"].as_array().unwrap() {
            let from: Vec<&str> =
                step["from"].as_array().unwrap().iter().map(|from| from.as_str().unwrap()).collect();
            for status in ["pending", "confirmed", "on_hold", "completed", "cancelled", "expired"] {
                let name = step["name"].as_str().unwrap();
                let is_legal = somewhere(status).iter().any(|model| model.is_legal(name, true));
                assert_eq!(from.contains(&status), is_legal, "{name} from {status}");
            }
            let by_owner = step["by"].as_array().unwrap().contains(&json!("owner"));
            assert_eq!(by_owner, step["name"] == "cancel");
        }
    })
    .await;
}

/// Orders in a status with goods and money at every place.
fn somewhere(status: &'static str) -> Vec<Model> {
    let mut models = Vec::new();
    for (shipped, delivered, paid) in [(0, 0, 0), (1, 0, 0), (1, 1, 0), (2, 2, 50), (2, 1, 100)] {
        let mut model = Model::new(&[(2, 100)], true);
        model.lines[0] = Line { total: 100, quantity: 2, shipped, delivered, returned: 0 };
        (model.status, model.paid) = (status, paid);
        models.push(model);
    }
    models
}

/// An order in the system and its model.
struct Life<'a> {
    ada: &'a Client<'a>,
    staff: &'a Client<'a>,
    order: Value,
    model: Model,
    is_free_text: bool,
    /// Whether staff named its price last, which its owner then can't.
    is_quoted: bool,
}

impl<'a> Life<'a> {
    async fn start(ada: &'a Client<'a>, staff: &'a Client<'a>, random: &mut Random) -> Self {
        if random.once_in(2) {
            let (quantity, total) = (random.between(1, 5), random.between(0, 300));
            let order =
                place(ada, json!({"product_name": "A", "quantity": quantity, "total_price": money(total)}))
                    .await;
            let model = Model::new(&[(quantity, total)], false);
            return Self { ada, staff, order, model, is_free_text: true, is_quoted: false };
        }
        let (lines, quantities) = random_lines(random);
        let order = place(staff, json!({"lines": lines, "user_id": ada.id})).await;
        Self { ada, staff, order, model: Model::new(&quantities, true), is_free_text: false, is_quoted: true }
    }

    async fn go_on(&mut self, random: &mut Random) {
        match random.below(10) {
            0 => self.change_note(random).await,
            1 => self.change_lines(random).await,
            2 => self.set_status(random).await,
            _ => self.take_step(random).await,
        }
        for (client, is_staff) in [(self.ada, false), (self.staff, true)] {
            let seen = view(client, &self.order).await;
            assert_eq!(shown(&seen), self.model.shown(is_staff));
            if is_staff {
                self.order = seen;
            }
        }
    }

    fn actor(&self, random: &mut Random) -> (&'a Client<'a>, bool) {
        if random.once_in(5) { (self.ada, false) } else { (self.staff, true) }
    }

    async fn take_step(&mut self, random: &mut Random) {
        let (client, is_staff) = self.actor(random);
        let mut step = *random.pick(&STEPS);
        // An early end makes a dull life.
        if step == "cancel" && !random.once_in(4) {
            step = "ship";
        }
        let (mut body, ask) = self.random_ask(step, random);
        let reason = random.once_in(2).then(|| format!("because of {step}"));
        if let Some(reason) = &reason {
            body["reason"] = reason.as_str().into();
        }
        let answer = client.post(&path(&self.order, &format!("/{step}")), body).await;
        let expected = self.model.take(step, &ask, is_staff, reason);
        self.check(&answer, expected, is_staff);
    }

    fn random_ask(&self, step: &str, random: &mut Random) -> (Value, Ask) {
        let mut ask = Ask::default();
        let mut body = json!({});
        if matches!(step, "ship" | "return") && random.once_in(2) {
            let mut counts = vec![0; self.model.lines.len()];
            let mut lines = Vec::new();
            for _ in 0..random.between(1, 3) {
                let (line, count) = (random.below(counts.len()), random.between(1, 3));
                counts[line] += count;
                lines.push(json!({"id": self.order["lines"][line]["id"], "quantity": count}));
            }
            body["lines"] = lines.into();
            ask.counts = Some(counts);
        }
        if matches!(step, "pay" | "refund") && random.once_in(2) {
            let amount = random.between(1, 300);
            body["amount"] = money(amount).into();
            ask.amount = Some(amount);
        }
        (body, ask)
    }

    async fn set_status(&mut self, random: &mut Random) {
        let (client, is_staff) = self.actor(random);
        let words = [
            ("on_hold", "hold"),
            ("cancelled", "cancel"),
            ("shipped", "ship"),
            ("delivered", "deliver"),
            ("returned", "return"),
            ("paid", "pay"),
            ("confirmed", "confirm"),
        ];
        let dull = if random.once_in(4) { 0 } else { 2 };
        let (word, mut step) = *random.pick(&words[dull..]);
        if word == "confirmed" && self.model.status == "on_hold" {
            step = "release";
        }
        let answer = client.put(&path(&self.order, ""), json!({"status": word})).await;
        let expected = self.model.take(step, &Ask::default(), is_staff, None);
        self.check(&answer, expected, is_staff);
    }

    async fn change_note(&mut self, random: &mut Random) {
        let (client, is_staff) = self.actor(random);
        let answer = client
            .request(Method::PATCH, &path(&self.order, ""))
            .json(&json!({"note": "a note"}))
            .send()
            .await;
        self.model.record("change", self.model.status, is_staff, None);
        self.check(&answer, Expected::Done, is_staff);
    }

    async fn change_lines(&mut self, random: &mut Random) {
        let is_pending = self.model.status == "pending";
        let (body, quantities, client, is_staff) = if self.is_free_text {
            let (client, is_staff) = if self.is_quoted { (self.staff, true) } else { self.actor(random) };
            let (quantity, total) = (random.between(1, 5), random.between(0, 300));
            let body = json!({"quantity": quantity, "total_price": money(total)});
            (body, vec![(quantity, total)], client, is_staff)
        } else {
            let (lines, quantities) = random_lines(random);
            (json!({"lines": lines}), quantities, self.staff, true)
        };
        let answer = client.put(&path(&self.order, ""), body).await;
        if !is_pending {
            let problem = answer.problem(409, "order_not_pending");
            assert_eq!(problem.json()["allowed_transitions"], json!(self.model.allowed(is_staff)));
            return;
        }
        self.is_quoted |= is_staff;
        let fresh = Model::new(&quantities, is_staff);
        (self.model.lines, self.model.total) = (fresh.lines, fresh.total);
        self.model.record("change", "pending", is_staff, None);
        self.check(&answer, Expected::Done, is_staff);
    }

    fn check(&self, answer: &Answer, expected: Expected, is_staff: bool) {
        let answer = answer.clone();
        match expected {
            Expected::Done => assert_eq!(shown(&answer.expect(200).json()), self.model.shown(is_staff)),
            Expected::Forbidden => drop(answer.problem(403, "forbidden")),
            Expected::Invalid => drop(answer.problem(422, "validation_failed")),
            Expected::Illegal => {
                let problem = answer.problem(409, "illegal_transition").json();
                assert_eq!(problem["allowed_transitions"], json!(self.model.allowed(is_staff)));
            }
        }
    }

    async fn check_history(&self) {
        let rows =
            self.ada.get(&path(&self.order, "/history?sort=created_at&limit=200")).await.expect(200).json();
        let rows = rows["items"].as_array().unwrap();
        assert_eq!(rows.len(), self.model.history.len());
        for (row, Change { action, from, to, by_staff, reason }) in rows.iter().zip(&self.model.history) {
            let actor = if *by_staff { self.staff.id } else { self.ada.id };
            let told = json!([row["action"], row["from"], row["to"], row["actor_id"], row["reason"]]);
            assert_eq!(told, json!([action, from, to, actor, reason]));
        }
    }
}

/// As they are sent, and their quantities and totals.
fn random_lines(random: &mut Random) -> (Vec<Value>, Vec<(i64, i64)>) {
    let (mut lines, mut quantities) = (Vec::new(), Vec::new());
    for _ in 0..random.between(1, 3) {
        let (quantity, unit) = (random.between(1, 3), random.between(0, 99));
        lines.push(json!({"name": "B", "quantity": quantity, "unit_price": money(unit)}));
        quantities.push((quantity, quantity * unit));
    }
    (lines, quantities)
}

/// Cents as an amount.
fn money(cents: i64) -> String {
    let text = format!("{}.{:02}", cents / 100, cents % 100);
    assert_eq!(minor(&json!(text.parse::<f64>().unwrap())), cents);
    text
}
