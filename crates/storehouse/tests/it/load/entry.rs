//! What a writer asks for, step by step, and the answers that it got.

use http::Method;
use serde_json::{Value, json};

use crate::harness::Answer;

/// What is sold besides free lines: so much that there is always enough, and so little that most come too short.
pub(super) const PLENTY: &str = "PLENTY";
pub(super) const SCARCE: &str = "SCARCE";
/// What is counted again and again, and so never sold: a count may be less than orders hold.
pub(super) const COUNTED: &str = "COUNTED";

const ORDERS: &str = "/orders";
const ADJUSTMENTS: &str = "/stock/adjustments";
const TRANSFERS: &str = "/stock/transfers";

/// What is done with an order once it is placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Edit,
    Note,
    Confirm,
    ShipOne,
    Ship,
    Deliver,
    Return,
    Scrap,
    Pay,
    PayOne,
    Cancel,
}

/// An order or a movement of stock that a writer asked for, and the answers that it got.
pub(crate) struct Entry {
    pub(super) key: String,
    path: &'static str,
    body: Value,
    steps: &'static [Step],
    /// To the request itself, then to its steps.
    answers: Vec<Value>,
    /// There was too little left.
    pub(super) is_short: bool,
    /// It expired before the next step was taken.
    is_expired: bool,
    /// And it was changed before that, of which nobody was told.
    is_changed_unseen: bool,
}

/// A request that has no answer yet.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Value,
    pub(super) key: String,
}

/// One in three takes stock, and half of those what is scarce.
fn lines(number: usize) -> Vec<Value> {
    let stock = |sku: &str, quantity: usize| json!({"sku": sku, "quantity": quantity});
    match number % 6 {
        1 => vec![stock(PLENTY, 2), stock("plenty", 1)],
        4 => vec![stock(PLENTY, 1), stock(SCARCE, 1)],
        _ => (0..=number % 4)
            .map(|line| json!({"name": format!("thing {line}"), "quantity": line + 1, "unit_price": "1.25"}))
            .collect(),
    }
}

/// Where a writer's request of this number goes, what it says, and what follows. Each third one moves stock by hand.
fn request(number: usize, key: &str) -> (&'static str, Value, &'static [Step]) {
    use Step::{Cancel, Confirm, Deliver, Edit, Note, Pay, PayOne, Return, Scrap, Ship, ShipOne};
    let steps: &[Step] = match number % 12 {
        0 => &[Confirm, Ship, Deliver, Pay],
        1 => &[Edit, Confirm, ShipOne, Ship, Return],
        2 => &[Note, Cancel],
        3 => {
            let body = json!({"sku": PLENTY, "kind": "receive", "quantity": number + 1, "unit_cost": "0.5"});
            return (ADJUSTMENTS, body, &[]);
        }
        4 => &[Confirm, Cancel],
        5 => {
            let body = json!({"sku": COUNTED, "kind": "count", "quantity": number, "reason": "recount"});
            return (ADJUSTMENTS, body, &[]);
        }
        6 => &[PayOne, Confirm],
        7 => return (TRANSFERS, json!({"sku": PLENTY, "from": "MAIN", "to": "other", "quantity": 2}), &[]),
        8 => &[Edit, Confirm, Pay, ShipOne, Scrap, Cancel],
        11 => return (TRANSFERS, json!({"sku": PLENTY, "from": "other", "to": "MAIN", "quantity": 1}), &[]),
        _ => &[],
    };
    (ORDERS, json!({"lines": lines(number), "note": key}), steps)
}

impl Step {
    /// What it adds to the order's path, and what it says.
    fn request(self, order: &Value) -> (&'static str, Value) {
        let one = json!([{"id": order["lines"][0]["id"], "quantity": 1}]);
        match self {
            Self::Edit => {
                ("", json!({"lines": [{"sku": PLENTY, "quantity": 3}, {"sku": PLENTY, "quantity": 2}]}))
            }
            Self::Note => ("", json!({"note": "another one"})),
            Self::Confirm => ("/confirm", json!({})),
            Self::ShipOne => ("/ship", json!({"lines": one, "carrier": "DHL"})),
            Self::Ship => ("/ship", json!({})),
            Self::Deliver => ("/deliver", json!({})),
            Self::Return => ("/return", json!({})),
            Self::Scrap => ("/return", json!({"restock": false})),
            Self::Pay => ("/pay", json!({})),
            Self::PayOne => ("/pay", json!({"amount": 1})),
            Self::Cancel => ("/cancel", json!({"reason": "called off"})),
        }
    }
}

impl Entry {
    pub(super) fn new(writer: &str, number: usize) -> Self {
        let key = format!("{writer}-{number}");
        let (path, body, steps) = request(number, &key);
        let (answers, is_short, is_expired, is_changed_unseen) = Default::default();
        Self { key, path, body, steps, answers, is_short, is_expired, is_changed_unseen }
    }

    pub(crate) fn is_order(&self) -> bool {
        self.path == ORDERS
    }

    /// It has, or it held stock when it was last shown and was pending.
    pub(super) fn may_have_expired(&self) -> bool {
        let takes_stock = self.order()["lines"].as_array().unwrap().iter().any(|line| !line["sku"].is_null());
        self.is_expired || (self.order()["status"] == "pending" && takes_stock)
    }

    /// The kind of movement that it wrote, of a transfer the first of two.
    pub(super) fn kind(&self) -> Option<&str> {
        match self.path {
            ADJUSTMENTS => self.body["kind"].as_str(),
            TRANSFERS => Some("transfer_out"),
            _ => None,
        }
    }

    /// The movements that it wrote, as they were answered.
    pub(super) fn movements(&self) -> Vec<&Value> {
        let answer = &self.answers[0];
        answer["movements"].as_array().map_or_else(|| vec![answer], |movements| movements.iter().collect())
    }

    /// The request that has no answer yet.
    pub(super) fn next(&self) -> Option<Asked> {
        if self.is_short || self.is_expired {
            return None;
        }
        let Some(done) = self.answers.len().checked_sub(1) else {
            let (path, body, key) = (self.path.to_owned(), self.body.clone(), self.key.clone());
            return Some(Asked { method: Method::POST, path, body, key });
        };
        let (rest, body) = self.steps.get(done)?.request(self.order());
        let method = if rest.is_empty() { Method::PUT } else { Method::POST };
        let (path, key) = (self.path_of_order() + rest, format!("{}-{done}", self.key));
        Some(Asked { method, path, body, key })
    }

    pub(super) fn take(&mut self, answer: Answer) {
        match &*answer.code() {
            "insufficient_stock" if self.answers.is_empty() => self.is_short = true,
            "illegal_transition" | "order_not_pending" if self.may_have_expired() => self.is_expired = true,
            _ => self.answers.push(answer.expect(if self.answers.is_empty() { 201 } else { 200 }).json()),
        }
    }

    /// A change has no key, so whoever got no answer has to look whether it was made.
    pub(super) fn look(&mut self, found: &Value) {
        let more = found["version"].as_u64().unwrap() - self.order()["version"].as_u64().unwrap();
        if found["status"] == "expired" {
            self.is_expired = true;
            self.is_changed_unseen = more == 2;
        } else if more > 0 {
            self.answers.push(found.clone());
        }
    }

    pub(crate) fn is_unanswered(&self) -> bool {
        self.next().is_some()
    }

    /// The order as it was last shown.
    pub(super) fn order(&self) -> &Value {
        &self.answers[self.answers.len() - 1]
    }

    pub(super) fn path_of_order(&self) -> String {
        format!("{ORDERS}/{}", self.order()["id"].as_str().unwrap())
    }

    /// How often it was changed, its placing among it.
    pub(crate) fn changes(&self) -> usize {
        self.answers.len() + usize::from(self.is_changed_unseen)
    }
}
