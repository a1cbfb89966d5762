//! What is wrong with a file, row by row.

use crate::fields::Invalid;
use crate::problem::{Fault, Problem};

/// Where a cell stands, as a spreadsheet counts: the header is row 1.
pub fn place(row: u32, column: &str) -> String {
    // A name that isn't ours may be as long as the file.
    let column: String = column.chars().take(64).collect();
    format!("row {row}, column {column}")
}

/// The faults found so far: the first of them, and how many there are.
#[derive(Debug)]
pub struct RowFaults {
    /// Each with its row.
    list: Vec<(u32, Fault)>,
    total: usize,
    at_most: usize,
}

impl RowFaults {
    /// None yet; so many are told.
    pub fn new(at_most: usize) -> Self {
        Self { list: Vec::new(), total: 0, at_most }
    }

    /// Adds what is wrong with a row's column.
    pub fn add(&mut self, row: u32, column: &str, invalid: Invalid) {
        self.push(row, invalid.at(&place(row, column)));
    }

    /// Adds the faults of a row that was read as an object: their fields are its columns.
    pub fn add_row(&mut self, row: u32, faults: Vec<Fault>) {
        for fault in faults {
            self.push(row, Fault { field: place(row, &fault.field), ..fault });
        }
    }

    /// Adds what was found of other rows.
    pub fn add_all(&mut self, more: Self) {
        let room = self.at_most.saturating_sub(self.list.len());
        self.total += more.total;
        self.list.extend(more.list.into_iter().take(room));
    }

    /// Adds a fault that names its place.
    pub(super) fn push(&mut self, row: u32, fault: Fault) {
        self.total += 1;
        if self.list.len() < self.at_most {
            self.list.push((row, fault));
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// 422 with those that are told, by row, and how many there are, if there are any.
    pub fn check(mut self) -> Result<(), Problem> {
        if self.is_empty() {
            return Ok(());
        }
        self.list.sort_by_key(|(row, _)| *row);
        let (list, total) = (self.list.into_iter().map(|(_, fault)| fault).collect(), self.total);
        Err(Problem::invalid(list).with_member("error_count", total))
    }
}
