//! An order as the contract describes it, in plain memory, to hold the running system against.

use serde_json::{Value, json};

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) status: &'static str,
    pub(super) lines: Vec<Line>,
    pub(super) total: i64,
    pub(super) paid: i64,
    pub(super) refunded: i64,
    pub(super) version: i64,
    pub(super) history: Vec<Change>,
}

#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) action: String,
    pub(super) from: Option<&'static str>,
    pub(super) to: &'static str,
    pub(super) by_staff: bool,
    pub(super) reason: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) total: i64,
    pub(super) quantity: i64,
    pub(super) shipped: i64,
    pub(super) delivered: i64,
    pub(super) returned: i64,
}

/// What a step is asked to do; `None` is all that is open.
#[derive(Clone, Debug, Default)]
pub(super) struct Ask {
    pub(super) counts: Option<Vec<i64>>,
    pub(super) amount: Option<i64>,
}

/// What should come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Done,
    Forbidden,
    Illegal,
    Invalid,
}

pub(super) const STEPS: [&str; 9] =
    ["confirm", "hold", "release", "cancel", "ship", "deliver", "return", "pay", "refund"];

impl Line {
    pub(super) fn new((quantity, total): (i64, i64)) -> Self {
        Self { total, quantity, shipped: 0, delivered: 0, returned: 0 }
    }
}

impl Model {
    /// Of lines with their quantities and totals.
    pub(super) fn new(lines: &[(i64, i64)], by_staff: bool) -> Self {
        let lines: Vec<Line> = lines.iter().copied().map(Line::new).collect();
        Self {
            status: "pending",
            total: lines.iter().map(|line| line.total).sum(),
            lines,
            paid: 0,
            refunded: 0,
            version: 1,
            history: vec![Change {
                action: "place".to_owned(),
                from: None,
                to: "pending",
                by_staff,
                reason: None,
            }],
        }
    }

    fn any(&self, condition: impl Fn(&Line) -> bool) -> bool {
        self.lines.iter().any(condition)
    }

    fn sum(&self, count: impl Fn(&Line) -> i64) -> i64 {
        self.lines.iter().map(count).sum()
    }

    pub(super) fn is_legal(&self, step: &str, is_staff: bool) -> bool {
        let is_kept = self.any(|line| line.returned < line.shipped);
        match (step, self.status) {
            ("confirm", "pending") | ("hold", "confirmed") | ("release", "on_hold") => true,
            ("cancel", "pending" | "confirmed" | "on_hold") => is_staff || self.sum(|line| line.shipped) == 0,
            ("ship", "confirmed") => self.any(|line| line.shipped < line.quantity),
            ("deliver", "confirmed" | "on_hold" | "cancelled") => {
                self.any(|line| line.delivered < line.shipped)
            }
            ("return", "confirmed" | "on_hold" | "completed" | "cancelled") => is_kept,
            ("pay", "pending" | "confirmed" | "on_hold" | "completed") => self.owed() > 0,
            ("pay", "cancelled") => self.paid - self.refunded < self.total && is_kept,
            ("refund", _) => self.refunded < self.paid,
            _ => false,
        }
    }

    /// What is missing to the price of all that has not come back.
    fn owed(&self) -> i64 {
        let due = self.sum(|line| line.total * (line.quantity - line.returned) / line.quantity);
        due - (self.paid - self.refunded)
    }

    pub(super) fn allowed(&self, is_staff: bool) -> Vec<&'static str> {
        let is_allowed = |step: &&str| (is_staff || *step == "cancel") && self.is_legal(step, is_staff);
        STEPS.into_iter().filter(is_allowed).collect()
    }

    pub(super) fn take(&mut self, step: &str, ask: &Ask, is_staff: bool, reason: Option<String>) -> Expected {
        if !is_staff && step != "cancel" {
            return Expected::Forbidden;
        }
        if !self.is_legal(step, is_staff) {
            return Expected::Illegal;
        }
        let before = self.status;
        let mut after = self.clone();
        if !after.apply(step, ask) {
            return Expected::Invalid;
        }
        let is_delivered = after.lines.iter().all(|line| line.delivered == line.quantity);
        if after.status == "confirmed" && is_delivered && after.owed() <= 0 {
            after.status = "completed";
        }
        *self = after;
        self.record(step, before, is_staff, reason);
        Expected::Done
    }

    pub(super) fn record(
        &mut self,
        action: &str,
        before: &'static str,
        by_staff: bool,
        reason: Option<String>,
    ) {
        self.version += 1;
        let (action, from, to) = (action.to_owned(), Some(before), self.status);
        self.history.push(Change { action, from, to, by_staff, reason });
    }

    fn apply(&mut self, step: &str, ask: &Ask) -> bool {
        match step {
            "confirm" | "release" => self.status = "confirmed",
            "hold" => self.status = "on_hold",
            "cancel" => self.status = "cancelled",
            "deliver" => self.lines.iter_mut().for_each(|line| line.delivered = line.shipped),
            "ship" | "return" => return self.move_goods(step, ask),
            "pay" if self.status == "cancelled" && ask.amount.is_none() => return false,
            "pay" => self.paid += ask.amount.unwrap_or(self.owed()),
            _ => {
                let open = self.paid - self.refunded;
                let amount = ask.amount.unwrap_or(open);
                self.refunded += amount;
                return amount <= open;
            }
        }
        true
    }

    fn move_goods(&mut self, step: &str, ask: &Ask) -> bool {
        let is_return = step == "return";
        let open =
            |line: &Line| if is_return { line.shipped - line.returned } else { line.quantity - line.shipped };
        let all: Vec<i64> = self.lines.iter().map(open).collect();
        let counts = ask.counts.clone().unwrap_or_else(|| all.clone());
        if counts.iter().zip(&all).any(|(count, open)| count > open) {
            return false;
        }
        for (line, count) in self.lines.iter_mut().zip(counts) {
            if is_return {
                line.returned += count;
                line.delivered = line.delivered.max(line.returned);
            } else {
                line.shipped += count;
            }
        }
        true
    }

    fn fulfilment(&self) -> &'static str {
        let (quantity, shipped) = (self.sum(|line| line.quantity), self.sum(|line| line.shipped));
        let (delivered, returned) = (self.sum(|line| line.delivered), self.sum(|line| line.returned));
        let awaited = if self.status == "cancelled" { shipped } else { quantity };
        match () {
            () if shipped == 0 => "none",
            () if returned == awaited => "returned",
            () if returned > 0 => "partially_returned",
            () if delivered == awaited => "delivered",
            () if shipped == quantity => "fulfilled",
            () => "partial",
        }
    }

    fn payment(&self) -> &'static str {
        let received = self.paid - self.refunded;
        match () {
            () if self.refunded > 0 && received == 0 => "refunded",
            () if received > self.total => "overpaid",
            () if received == self.total => "paid",
            () if self.refunded > 0 => "partially_refunded",
            () if received > 0 => "partial",
            () => "none",
        }
    }

    /// What an answer must show of it.
    pub(super) fn shown(&self, is_staff: bool) -> Value {
        let lines: Vec<Value> =
            self.lines.iter().map(|line| json!([line.quantity, line.shipped, line.returned])).collect();
        json!({
            "status": self.status,
            "fulfilment_status": self.fulfilment(),
            "payment_status": self.payment(),
            "allowed_transitions": self.allowed(is_staff),
            "version": self.version,
            "amounts": [self.total, self.paid, self.refunded],
            "lines": lines,
        })
    }
}

/// The same of an answer.
pub(super) fn shown(order: &Value) -> Value {
    let lines = order["lines"].as_array().unwrap().iter();
    let lines: Vec<Value> =
        lines.map(|line| json!([line["quantity"], line["shipped"], line["returned"]])).collect();
    json!({
        "status": order["status"],
        "fulfilment_status": order["fulfilment_status"],
        "payment_status": order["payment_status"],
        "allowed_transitions": order["allowed_transitions"],
        "version": order["version"],
        "amounts": [minor(&order["total_price"]), minor(&order["paid"]), minor(&order["refunded"])],
        "lines": lines,
    })
}

/// Cents of an amount that is small enough to be told exactly.
#[expect(clippy::cast_possible_truncation, reason = "a test's amounts are small")]
pub(super) fn minor(amount: &Value) -> i64 {
    (amount.as_f64().unwrap() * 100.0).round() as i64
}
