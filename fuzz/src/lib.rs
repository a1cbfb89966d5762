//! The targets for libFuzzer, and the system that they ask.

mod targets;

use targets::{Subject, TARGETS};

thread_local! {
    static SUBJECT: Subject = Subject::new();
}

/// Gives bytes to a target by its name.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target of that name");
    SUBJECT.with(|subject| target(subject, data));
}
