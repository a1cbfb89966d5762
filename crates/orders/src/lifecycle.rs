//! The states of an order and the steps between them. Everything here is a pure function of an order's status,
//! its lines' counters and its payments.

use std::cmp::Ordering;

use db::{Column, Value};
use events::EventType;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::Order;

/// The stored state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// Placed, not confirmed yet.
    Pending,
    /// To be fulfilled.
    Confirmed,
    /// Confirmed, and halted.
    OnHold,
    /// All delivered or returned, and what has not come back is paid for.
    Completed,
    /// Called off: nothing more of it is shipped.
    Cancelled,
    /// Pending for too long.
    Expired,
}

impl Status {
    pub(crate) const ALL: [Self; 6] =
        [Self::Pending, Self::Confirmed, Self::OnHold, Self::Completed, Self::Cancelled, Self::Expired];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::OnHold => "on_hold",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// Whether something of it may still be shipped.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Confirmed | Self::OnHold)
    }

    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

impl Column for Status {
    fn from_value(value: Value<'_>) -> Option<Self> {
        if let Value::Text(word) = value { Self::parse(word) } else { None }
    }
}

/// How far the goods are; derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FulfilmentStatus {
    /// Nothing shipped.
    None,
    /// Some shipped.
    Partial,
    /// All shipped.
    Fulfilled,
    /// All arrived.
    Delivered,
    /// Some came back.
    PartiallyReturned,
    /// All came back.
    Returned,
}

/// How far the money is; derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PaymentStatus {
    /// Nothing paid.
    None,
    /// Less than the total.
    Partial,
    /// The total, and not given back; a total of 0 is paid.
    Paid,
    /// More than the total.
    Overpaid,
    /// Some was given back, and what is left is less than the total.
    PartiallyRefunded,
    /// All was given back.
    Refunded,
}

/// What a row of an order's history tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Place,
    Change,
    Delete,
    Expire,
    Take(Step),
}

impl Action {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Place => "place",
            Self::Change => "change",
            Self::Delete => "delete",
            Self::Expire => "expire",
            Self::Take(step) => step.as_str(),
        }
    }

    /// What it is called among the events; an order that was deleted before it was over is cancelled by that.
    pub(crate) fn event_type(self, from: Option<Status>, to: Status) -> EventType {
        match self {
            Self::Place => EventType::OrderPlaced,
            Self::Change => EventType::OrderChanged,
            Self::Delete if from != Some(to) => EventType::OrderCancelled,
            Self::Delete => EventType::OrderDeleted,
            Self::Expire => EventType::OrderExpired,
            Self::Take(step) => step.event_type(),
        }
    }

    fn parse(word: &str) -> Option<Self> {
        let others = [Self::Place, Self::Change, Self::Delete, Self::Expire];
        let mut all = others.into_iter().chain(Step::ALL.map(Self::Take));
        all.find(|action| action.as_str() == word)
    }
}

impl Column for Action {
    fn from_value(value: Value<'_>) -> Option<Self> {
        if let Value::Text(word) = value { Self::parse(word) } else { None }
    }
}

/// What moves an order on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    Confirm,
    Hold,
    Release,
    Cancel,
    Ship,
    Deliver,
    Return,
    Pay,
    Refund,
}

impl Step {
    pub(crate) const ALL: [Self; 9] = [
        Self::Confirm,
        Self::Hold,
        Self::Release,
        Self::Cancel,
        Self::Ship,
        Self::Deliver,
        Self::Return,
        Self::Pay,
        Self::Refund,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Cancel => "cancel",
            Self::Ship => "ship",
            Self::Deliver => "deliver",
            Self::Return => "return",
            Self::Pay => "pay",
            Self::Refund => "refund",
        }
    }

    fn event_type(self) -> EventType {
        match self {
            Self::Confirm => EventType::OrderConfirmed,
            Self::Hold => EventType::OrderHeld,
            Self::Release => EventType::OrderReleased,
            Self::Cancel => EventType::OrderCancelled,
            Self::Ship => EventType::OrderShipped,
            Self::Deliver => EventType::OrderDelivered,
            Self::Return => EventType::OrderReturned,
            Self::Pay => EventType::OrderPaid,
            Self::Refund => EventType::OrderRefunded,
        }
    }

    /// From which states it leads on.
    pub(crate) fn from(self) -> &'static [Status] {
        match self {
            Self::Confirm => &[Status::Pending],
            Self::Hold | Self::Ship => &[Status::Confirmed],
            // What was shipped of an order before it was called off may still arrive, come back and be paid.
            Self::Deliver => &[Status::Confirmed, Status::OnHold, Status::Cancelled],
            Self::Release => &[Status::OnHold],
            Self::Cancel => &[Status::Pending, Status::Confirmed, Status::OnHold],
            Self::Return => &[Status::Confirmed, Status::OnHold, Status::Completed, Status::Cancelled],
            Self::Pay => {
                &[Status::Pending, Status::Confirmed, Status::OnHold, Status::Completed, Status::Cancelled]
            }
            Self::Refund => &Status::ALL,
        }
    }

    /// The state that it leads to by itself.
    pub(crate) fn to(self) -> Option<Status> {
        match self {
            Self::Confirm | Self::Release => Some(Status::Confirmed),
            Self::Hold => Some(Status::OnHold),
            Self::Cancel => Some(Status::Cancelled),
            Self::Ship | Self::Deliver | Self::Return | Self::Pay | Self::Refund => None,
        }
    }

    /// What else must be so; nothing where the state is enough.
    pub(crate) fn needs(self) -> &'static str {
        match self {
            Self::Confirm | Self::Hold | Self::Release => "",
            Self::Cancel => "nothing was shipped, unless staff cancel it",
            Self::Ship => "something is not shipped yet",
            Self::Deliver => "something is on its way",
            Self::Return => "something was shipped and has not come back",
            Self::Pay => {
                "less was received than is due for what has not come back; a cancelled order takes up to its total, as long as something shipped has not come back"
            }
            Self::Refund => "something was paid and not given back",
        }
    }

    /// Whether it changes how much of a line was shipped, delivered or returned.
    pub(crate) fn moves_goods(self) -> bool {
        matches!(self, Self::Ship | Self::Deliver | Self::Return)
    }

    /// Whether an owner who is not staff may take it.
    pub(crate) fn is_for_owner(self) -> bool {
        self == Self::Cancel
    }

    /// Whether staff may take it now, or the owner.
    pub(crate) fn is_legal(self, order: &Order, is_staff: bool) -> bool {
        self.from().contains(&order.status) && self.is_possible(order, is_staff)
    }

    fn is_possible(self, order: &Order, is_staff: bool) -> bool {
        let is_kept = || order.lines.iter().any(|line| line.returned < line.shipped);
        match self {
            Self::Confirm | Self::Hold | Self::Release => true,
            Self::Cancel => is_staff || !order.was_shipped(),
            Self::Ship => order.lines.iter().any(|line| line.shipped < line.quantity),
            Self::Deliver => order.lines.iter().any(|line| line.delivered < line.shipped),
            Self::Return => is_kept(),
            // What is due for the part of a cancelled order that was shipped is not known here: the total is that of all that was ordered.
            Self::Pay if order.status == Status::Cancelled => {
                order.received_minor() < order.total.minor() && is_kept()
            }
            Self::Pay => order.received_minor() < order.due_minor(),
            Self::Refund => order.received_minor() > 0,
        }
    }
}

/// The names of the steps that may be taken now, by staff or by the owner.
pub(crate) fn allowed_transitions(order: &Order, is_staff: bool) -> Vec<&'static str> {
    let is_allowed = |step: &Step| (is_staff || step.is_for_owner()) && step.is_legal(order, is_staff);
    Step::ALL.into_iter().filter(is_allowed).map(Step::as_str).collect()
}

pub(crate) fn fulfilment_status(order: &Order) -> FulfilmentStatus {
    let sum = |count: fn(&crate::model::Line) -> i64| order.lines.iter().map(count).sum::<i64>();
    let (quantity, shipped) = (sum(|line| line.quantity), sum(|line| line.shipped));
    let (delivered, returned) = (sum(|line| line.delivered), sum(|line| line.returned));
    // What an order was called off for is awaited no more.
    let awaited = if order.status == Status::Cancelled { shipped } else { quantity };
    if shipped == 0 {
        FulfilmentStatus::None
    } else if returned == awaited {
        FulfilmentStatus::Returned
    } else if returned > 0 {
        FulfilmentStatus::PartiallyReturned
    } else if delivered == awaited {
        FulfilmentStatus::Delivered
    } else if shipped == quantity {
        FulfilmentStatus::Fulfilled
    } else {
        FulfilmentStatus::Partial
    }
}

pub(crate) fn payment_status(order: &Order) -> PaymentStatus {
    let (received, was_refunded) = (order.received_minor(), order.refunded_minor > 0);
    match received.cmp(&order.total.minor()) {
        _ if was_refunded && received == 0 => PaymentStatus::Refunded,
        Ordering::Equal => PaymentStatus::Paid,
        Ordering::Greater => PaymentStatus::Overpaid,
        Ordering::Less if was_refunded => PaymentStatus::PartiallyRefunded,
        Ordering::Less if received == 0 => PaymentStatus::None,
        Ordering::Less => PaymentStatus::Partial,
    }
}

/// Whether a confirmed order is done: all has arrived, also what came back, and what has not come back is paid.
pub(crate) fn is_complete(order: &Order) -> bool {
    order.status == Status::Confirmed
        && order.lines.iter().all(|line| line.delivered == line.quantity)
        && order.received_minor() >= order.due_minor()
}

/// The machine, as it is published.
#[derive(Serialize, JsonSchema)]
pub(crate) struct OrderStates {
    /// The stored states.
    statuses: Vec<&'static str>,
    /// The steps between them.
    steps: Vec<StepView>,
    /// What happens by itself.
    automatic: Vec<AutomaticStep>,
    /// The derived states of the goods.
    fulfilment_statuses: [FulfilmentStatus; 6],
    /// The derived states of the money.
    payment_statuses: [PaymentStatus; 6],
}

#[derive(Serialize, JsonSchema)]
struct StepView {
    /// The step's name, as in `POST /orders/{id}/<name>`.
    name: Step,
    /// From which states it leads on.
    from: &'static [Status],
    /// The state that it leads to; null if it leaves the state as it is.
    to: Option<Status>,
    /// What else must be so.
    needs: &'static str,
    /// Who may take it.
    by: &'static [&'static str],
}

#[derive(Serialize, JsonSchema)]
struct AutomaticStep {
    from: Status,
    to: Status,
    when: &'static str,
}

pub(crate) fn states() -> OrderStates {
    let step = |step: Step| StepView {
        name: step,
        from: step.from(),
        to: step.to(),
        needs: step.needs(),
        by: if step.is_for_owner() { &["owner", "staff"] } else { &["staff"] },
    };
    OrderStates {
        statuses: Status::ALL.map(Status::as_str).to_vec(),
        steps: Step::ALL.map(step).into(),
        automatic: vec![
            AutomaticStep {
                from: Status::Confirmed,
                to: Status::Completed,
                when: "all is delivered or returned, and what has not come back is paid for",
            },
            AutomaticStep {
                from: Status::Pending,
                to: Status::Expired,
                when: "it holds stock, was not confirmed in time, and no money was received that was not given back",
            },
        ],
        fulfilment_statuses: [
            FulfilmentStatus::None,
            FulfilmentStatus::Partial,
            FulfilmentStatus::Fulfilled,
            FulfilmentStatus::Delivered,
            FulfilmentStatus::PartiallyReturned,
            FulfilmentStatus::Returned,
        ],
        payment_statuses: [
            PaymentStatus::None,
            PaymentStatus::Partial,
            PaymentStatus::Paid,
            PaymentStatus::Overpaid,
            PaymentStatus::PartiallyRefunded,
            PaymentStatus::Refunded,
        ],
    }
}
