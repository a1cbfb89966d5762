//! The checker itself: it takes what can be explained and refuses what can't.

use super::checker::{Answered, Operation, check};
use super::shelf::Act::{Adjust, Count, Place, Read, Receive, Take};
use super::shelf::Outcome::{Illegal, Placed, Stands, Taken, TooLittle, Unexpected};
use super::shelf::{Act, Outcome, Shelf, Step};

fn told((called, at): (u64, u64), act: Act, outcome: Outcome) -> Operation {
    Operation { client: 0, act, called, answer: Some(Answered { at, outcome }) }
}

fn untold(called: u64, act: Act) -> Operation {
    Operation { client: 0, act, called, answer: None }
}

fn stands(on_hand: i64, allocated: i64) -> Outcome {
    Stands { on_hand, allocated }
}

fn place(order: usize, quantity: i64) -> Act {
    Place { order, quantity }
}

fn take(order: usize, step: Step) -> Act {
    Take { order, step }
}

fn compare_and_set(expected: i64, counted: i64) -> Act {
    Count { counted, expected: Some(expected) }
}

fn is_explained(start: i64, history: &[Operation]) -> bool {
    check(&Shelf::with(start), history).is_ok()
}

#[test]
fn what_happened_one_by_one_or_could_have_is_explained() {
    let one_by_one = [
        told((0, 1), Receive(2), stands(3, 0)),
        told((2, 3), place(0, 2), Placed),
        told((4, 5), place(1, 2), TooLittle(1)),
        told((6, 7), take(0, Step::Confirm), Taken),
        told((8, 9), compare_and_set(2, 9), Unexpected(3)),
        told((10, 11), compare_and_set(3, 1), stands(1, 2)),
        told((12, 13), take(0, Step::Ship), TooLittle(1)),
        told((14, 15), Adjust(-2), TooLittle(1)),
        told((16, 17), Receive(1), stands(2, 2)),
        told((18, 19), take(0, Step::Ship), Taken),
        told((20, 21), Read, stands(0, 0)),
        told((22, 23), take(0, Step::Confirm), Illegal),
    ];
    assert!(is_explained(1, &one_by_one));
    // The answers came in another order than that of what happened.
    let at_once = [
        told((0, 9), Receive(1), stands(1, 0)),
        told((1, 8), Receive(1), stands(2, 0)),
        told((2, 7), Read, stands(0, 0)),
        told((3, 6), place(0, 2), Placed),
        told((4, 5), Read, stands(2, 2)),
    ];
    assert!(is_explained(0, &at_once));
}

#[test]
fn a_lost_update_is_not_explained() {
    let both = |spans: [(u64, u64); 2]| {
        [told(spans[0], Receive(1), stands(1, 0)), told(spans[1], Receive(1), stands(1, 0))]
    };
    assert!(!is_explained(0, &both([(0, 3), (1, 2)])));
    let both_set = [
        told((0, 3), compare_and_set(5, 6), stands(6, 0)),
        told((1, 2), compare_and_set(5, 7), stands(7, 0)),
    ];
    assert!(!is_explained(5, &both_set));
}

#[test]
fn a_stale_read_is_not_explained() {
    let read_at = |span| [told((0, 5), Receive(1), stands(1, 0)), told(span, Read, stands(0, 0))];
    assert!(is_explained(0, &read_at((4, 7))), "it may have been read before");
    assert!(!is_explained(0, &read_at((6, 7))), "it was received when it was read");
    let back = [
        told((0, 9), Receive(1), stands(1, 0)),
        told((1, 2), Read, stands(1, 0)),
        told((3, 4), Read, stands(0, 0)),
    ];
    assert!(!is_explained(0, &back), "who has seen it can't see it no more");
}

#[test]
fn an_oversale_is_not_explained() {
    let sold = |quantity| [told((0, 3), place(0, 1), Placed), told((1, 2), place(1, quantity), Placed)];
    assert!(is_explained(2, &sold(1)));
    assert!(!is_explained(1, &sold(1)));
    assert!(!is_explained(2, &sold(2)));
    let after_a_cancel = |second| {
        [
            told((0, 1), place(0, 1), Placed),
            told((2, 5), take(0, Step::Cancel), Taken),
            told(second, place(1, 1), Placed),
        ]
    };
    assert!(is_explained(1, &after_a_cancel((3, 4))));
    assert!(!is_explained(1, &after_a_cancel((0, 1))));
}

#[test]
fn a_refusal_without_a_reason_is_not_explained() {
    assert!(!is_explained(1, &[told((0, 1), place(0, 1), TooLittle(0))]));
    let steps = |second| [told((0, 1), place(0, 1), Placed), told((2, 3), take(0, Step::Cancel), second)];
    assert!(is_explained(1, &steps(Taken)));
    assert!(!is_explained(1, &steps(Illegal)));
    let twice = [
        told((0, 1), place(0, 1), Placed),
        told((2, 5), take(0, Step::Cancel), Taken),
        told((3, 4), take(0, Step::Cancel), Taken),
    ];
    assert!(!is_explained(1, &twice));
}

#[test]
fn what_has_no_answer_may_have_happened_at_any_time_but_once() {
    let with = |reads: &[Operation]| [&[untold(2, Receive(1))], reads].concat();
    let read = |called, on_hand| told((called, called + 1), Read, stands(on_hand, 0));
    assert!(is_explained(0, &with(&[read(4, 0), read(6, 0)])));
    assert!(is_explained(0, &with(&[read(4, 1), read(6, 1)])));
    assert!(is_explained(0, &with(&[read(4, 0), read(6, 1)])), "it may happen long after");
    assert!(!is_explained(0, &with(&[read(4, 1), read(6, 0)])), "it is not undone");
    assert!(!is_explained(0, &with(&[read(4, 1), read(6, 2)])), "it happens once");
    assert!(!is_explained(0, &with(&[read(0, 1), read(4, 1)])), "it can't happen before it was asked for");
}
