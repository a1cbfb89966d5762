//! Tables as CSV files (RFC 4180), written for spreadsheets and read from them.
//!
//! A file that is written is read by keyset pages, each a transaction of its own, so that it may be of any size and nobody waits for it; a file that is
//! read is checked whole before anything is stored.
//!
//! Files in reading order: `cell` (text that a spreadsheet must not take for a formula), `export` (a table written in parts), `download` (as an answer),
//! `decode` (which text a file is), `strict` (what is no CSV), `table` (its rows and cells), `upload` (as a request's body), `faults` (what is wrong with it, row by row).

mod cell;
mod decode;
mod download;
mod export;
mod faults;
mod strict;
mod table;
mod upload;

pub use cell::Lines;
pub use decode::{Charset, charset};
pub use download::{Download, Wanted};
pub use export::{Chunk, Export, Part, Sheet};
pub use faults::{RowFaults, place};
pub use table::{Column, Kind, Table};
pub use upload::{MAX_UPLOAD, Received, Upload};

/// What a file is sent and taken as.
pub(crate) const MEDIA_TYPE: &str = "text/csv";
