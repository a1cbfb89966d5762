//! Whether there is one order of events that explains what all clients were told (Wing and Gong's search, with Lowe's memory of where it has been).

use std::collections::HashSet;
use std::fmt::{self, Display, Formatter};

use super::shelf::{Act, Outcome, Shelf};

/// What a client did and what it was told.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) client: usize,
    pub(super) act: Act,
    /// When it was asked for, on a clock that never says the same twice.
    pub(super) called: u64,
    /// Nothing if no answer came that says what became of it: it may have happened at any time since, or not.
    pub(super) answer: Option<Answered>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    pub(super) at: u64,
    pub(super) outcome: Outcome,
}

/// No order explains all: how far the best one came.
#[derive(Debug)]
pub(super) struct Unexplained {
    shelf: Shelf,
    explained: Vec<Operation>,
    rest: Vec<Operation>,
}

/// Fails unless some order of these operations explains every answer, in which each stands between its call and its answer.
pub(super) fn check(start: &Shelf, history: &[Operation]) -> Result<(), Box<Unexplained>> {
    let mut history = history.to_vec();
    history.sort_by_key(|operation| operation.answer.map_or(u64::MAX, |answer| answer.at));
    let mut search = Search {
        done: vec![false; history.len()],
        order: Vec::new(),
        seen: HashSet::new(),
        furthest: (Vec::new(), start.clone()),
        history: &history,
    };
    if search.explains_all_after(start) { Ok(()) } else { Err(Box::new(search.unexplained())) }
}

struct Search<'a> {
    /// By the time of their answers, those without one last.
    history: &'a [Operation],
    done: Vec<bool>,
    /// What is done, as it was done.
    order: Vec<usize>,
    /// What was tried already: the same operations done, and the same left of it.
    seen: HashSet<(Vec<bool>, Shelf)>,
    furthest: (Vec<usize>, Shelf),
}

impl Search<'_> {
    fn explains_all_after(&mut self, shelf: &Shelf) -> bool {
        if self.order.len() > self.furthest.0.len() {
            self.furthest = (self.order.clone(), shelf.clone());
        }
        // Whatever is called before this answer may be next, and nothing else.
        let next = (0..self.history.len()).find(|index| !self.done[*index]);
        let Some(answer) = next.and_then(|index| self.history[index].answer) else { return true };
        if !self.seen.insert((self.done.clone(), shelf.clone())) {
            return false;
        }
        (0..self.history.len()).any(|index| {
            let is_possible = !self.done[index] && self.history[index].called < answer.at;
            is_possible && self.explains_with(index, shelf)
        })
    }

    fn explains_with(&mut self, index: usize, shelf: &Shelf) -> bool {
        let operation = &self.history[index];
        let mut after = shelf.clone();
        let outcome = after.apply(operation.act);
        let fits = match &operation.answer {
            Some(answer) => answer.outcome == outcome,
            // Without a change it might as well not have happened.
            None => after != *shelf,
        };
        if !fits {
            return false;
        }
        self.done[index] = true;
        self.order.push(index);
        let is_explained = self.explains_all_after(&after);
        self.order.pop();
        self.done[index] = false;
        is_explained
    }

    fn unexplained(self) -> Unexplained {
        let (order, shelf) = self.furthest;
        let explained = order.iter().map(|index| self.history[*index].clone()).collect();
        let rest = (0..self.history.len()).filter(|index| !order.contains(index));
        Unexplained { shelf, explained, rest: rest.map(|index| self.history[index].clone()).collect() }
    }
}

impl Display for Operation {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self { client, act, called, answer } = self;
        write!(out, "client {client}, from {called} ")?;
        match answer {
            Some(Answered { at, outcome }) => write!(out, "to {at}: {act:?}: {outcome:?}"),
            None => write!(out, "on: {act:?}: no answer"),
        }
    }
}

impl Display for Unexplained {
    /// The last that are explained, and the first that aren't.
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        let Self { shelf, explained, rest } = self;
        writeln!(out, "{} operations are explained, at last these:", explained.len())?;
        for operation in &explained[explained.len().saturating_sub(SHOWN)..] {
            writeln!(out, "  {operation}")?;
        }
        writeln!(out, "after which there is {shelf:?}, and none of these can be next:")?;
        rest.iter().take(SHOWN).try_for_each(|operation| writeln!(out, "  {operation}"))
    }
}
