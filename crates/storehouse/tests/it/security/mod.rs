//! What `docs/security.md` asks for and no other place tests; that page lists every requirement with its tests.
//!
//! `page` holds the page to the tests there are; `browser` walks everything for the headers of every answer, `requests` are ambiguous or lie about
//! who sends them, `texts` are hostile, `canary` follows every kind of secret through a system, `fuzz` replays the fuzzer's corpus, `surface` is what a stranger finds, `supply` is what the program is built of.

mod browser;
mod canary;
mod fuzz;
mod page;
mod requests;
mod supply;
mod surface;
mod texts;
