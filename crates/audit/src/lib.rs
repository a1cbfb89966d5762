//! The audit log: who did what to whom and what, before and after, when and from where, in a form that shows later changes.
//!
//! It is not a service: auth has the endpoints. It is no history of orders and no ledger either: those say for themselves what happened to goods and
//! money, and an entry about stock only names their row (decision 0018).
//!
//! An entry is written in the transaction of the act, so that neither is there without the other. Once it is committed a sealer, of which there is one
//! at a time in all processes, gives it the next number and chains it by a hash to the one before. What is personal stands apart, where it can be erased; the
//! chain is over its salted hash, so it still holds. What is refused is counted in memory (`kit::refusals`) and becomes an entry for each client and
//! minute.
//!
//! Tables: `audit_unsealed`, `audit_entries`, `audit_personal`, `audit_head`. It reads `accounts`.
//!
//! Files in reading order: `action` (the one list of all actions), `facts` (all that an entry can tell), `record` (writing one), `personal` (what can be erased), `chain`
//! (the hashes), `seal` (numbers and hashes for what was committed), `refused` (entries of what was refused), `settings` (what a process starts with), `store` (every statement), `read` (listing), `own` (what a person is told of themselves), `verify`, `sweep`, `work` (what
//! nobody asks for), `counts` (what is told of it).

mod action;
mod chain;
mod counts;
mod facts;
mod own;
mod personal;
mod read;
mod record;
mod refused;
mod seal;
mod settings;
mod store;
mod sweep;
mod verify;
mod work;

pub use action::{Action, ObjectKind};
pub use facts::{
    AccountFacts, CorrectionFacts, ExportFacts, Facts, ImportFacts, KeyFacts, LevelFacts, LoginFacts,
    OrderFacts, PersonFacts, PriceFacts, RefusedFacts, SettingsFacts, WebhookFacts,
};
pub use own::{OwnEntry, entries_of};
pub use personal::forget;
pub use read::{Entry, EntryFilter, Object, Person, entry_position, list_entries};
pub use record::{Act, record, record_all, record_export};
pub use seal::seal_all;
pub use settings::record_settings;
pub use sweep::sweep;
pub use verify::{Anchor, AuditFound, verify};
pub use work::Auditing;
