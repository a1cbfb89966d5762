//! What every service speaks: errors, extractors, identity, pages, idempotency, the edge, telemetry.
//!
//! It is not a place for business: no word of accounts, orders or stock stands here, and it grows only by what
//! a second service uses. Its one table is `idempotency_keys`.
//!
//! Files in reading order: `problem` (the one HTTP error), `identity` (who calls), `permission` (who may), `endpoint` (how one is added), `author` (who does something), `token`, `api_key`, `body`, `fields`
//! and `json` (reading a body), `query`, `page`, `etag`, `idempotency`, `answer` (what a handler answers),
//! `service` and `openapi` (what surrounds the endpoints), `metrics` (what a process counts), `server` (how a port is served), `shared` (what every service holds); then the small
//! ones: `browser` (what every answer tells a browser), `client`, `clock`, `csv` (tables as files), `docs`, `download` (a file as an answer), `limit`, `mail` (the way out for mails), `money`, `outgoing` (requests of our own), `random`, `refusals` (what was refused, counted),
//! `request_id`, `seal`, `search`, `secret`, `statement`, `stream`, `telemetry`,
//! `text`, `work` (what goes on for ever).

pub mod answer;
pub mod api_key;
pub mod author;
pub mod body;
pub mod browser;
pub mod client;
pub mod clock;
pub mod csv;
pub mod docs;
pub mod download;
pub mod endpoint;
pub mod etag;
pub mod fields;
pub mod idempotency;
pub mod identity;
pub mod json;
pub mod limit;
pub mod mail;
pub mod metrics;
pub mod money;
pub mod openapi;
pub mod outgoing;
pub mod page;
pub mod permission;
pub mod problem;
pub mod query;
pub mod random;
pub mod refusals;
pub mod request_id;
pub mod seal;
pub mod search;
pub mod secret;
pub mod server;
pub mod service;
pub mod shared;
pub mod statement;
pub mod stream;
pub mod telemetry;
pub mod text;
pub mod token;
pub mod work;
