//! A product and the orders for it as one object in plain memory, to which one thing happens after the other.

use std::collections::BTreeMap;

/// What a client asks for. An order has one line, and is known by a number that its client gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Receive(i64),
    Adjust(i64),
    Count { counted: i64, expected: Option<i64> },
    Read,
    Place { order: usize, quantity: i64 },
    Take { order: usize, step: Step },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Confirm,
    Ship,
    Cancel,
}

/// What the answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The level as it was read, or as a change left it.
    Stands {
        on_hand: i64,
        allocated: i64,
    },
    Placed,
    Taken,
    /// There were so many, not as many as expected.
    Unexpected(i64),
    /// There were only so many to take.
    TooLittle(i64),
    Illegal,
}

impl Outcome {
    pub(super) fn is_refusal(self) -> bool {
        matches!(self, Self::Unexpected(_) | Self::TooLittle(_) | Self::Illegal)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Status {
    Pending,
    Confirmed,
    Shipped,
    Cancelled,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Shelf {
    pub(super) on_hand: i64,
    orders: BTreeMap<usize, (Status, i64)>,
}

impl Shelf {
    pub(super) fn with(on_hand: i64) -> Self {
        Self { on_hand, ..Self::default() }
    }

    fn allocated(&self) -> i64 {
        let holds = |status| matches!(status, Status::Pending | Status::Confirmed);
        self.orders.values().filter(|(status, _)| holds(*status)).map(|(_, quantity)| quantity).sum()
    }

    /// Does it, and says what its answer must be.
    pub(super) fn apply(&mut self, act: Act) -> Outcome {
        match act {
            Act::Read => self.stands(),
            Act::Receive(quantity) | Act::Adjust(quantity) => self.set(self.on_hand + quantity),
            Act::Count { expected: Some(expected), .. } if expected != self.on_hand => {
                Outcome::Unexpected(self.on_hand)
            }
            Act::Count { counted, .. } => self.set(counted),
            Act::Place { order, quantity } => self.place(order, quantity),
            Act::Take { order, step } => self.take(order, step),
        }
    }

    fn stands(&self) -> Outcome {
        Outcome::Stands { on_hand: self.on_hand, allocated: self.allocated() }
    }

    fn set(&mut self, on_hand: i64) -> Outcome {
        if on_hand < 0 {
            return Outcome::TooLittle(self.on_hand);
        }
        self.on_hand = on_hand;
        self.stands()
    }

    fn place(&mut self, order: usize, quantity: i64) -> Outcome {
        let free = self.on_hand - self.allocated();
        if free < quantity {
            return Outcome::TooLittle(free.max(0));
        }
        self.orders.insert(order, (Status::Pending, quantity));
        Outcome::Placed
    }

    fn take(&mut self, order: usize, step: Step) -> Outcome {
        let Some((status, quantity)) = self.orders.get_mut(&order) else { return Outcome::Illegal };
        *status = match (step, *status) {
            (Step::Confirm, Status::Pending) => Status::Confirmed,
            (Step::Ship, Status::Confirmed) if self.on_hand < *quantity => {
                return Outcome::TooLittle(self.on_hand);
            }
            (Step::Ship, Status::Confirmed) => {
                self.on_hand -= *quantity;
                Status::Shipped
            }
            (Step::Cancel, Status::Pending | Status::Confirmed | Status::Shipped) => Status::Cancelled,
            _ => return Outcome::Illegal,
        };
        Outcome::Taken
    }
}
