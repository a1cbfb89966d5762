//! A table written in parts.

use std::sync::Arc;

use db::{Db, Error, Tx};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::cell::Lines;
use crate::page::{PageRequest, Position};

/// What begins a file for programs that take UTF-8 for something else without it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A table that can be written as a file.
pub trait Sheet: Send + Sync + 'static {
    /// What the file is called.
    const FILE_NAME: &'static str;
    /// The column that it is read in the order of; never one that changes, or a row might be missed.
    const SORT: &'static str;
    /// How many rows are read at once: they are in memory together.
    const AT_ONCE: i64;

    /// The names of its columns.
    fn columns(&self) -> Vec<&'static str>;

    /// Writes the rows of a page.
    fn write<'a>(
        &'a self,
        tx: &'a Tx,
        page: &'a PageRequest,
        lines: &'a mut Lines,
    ) -> BoxFuture<'a, Result<Chunk, Error>>;
}

/// What a page of a sheet was.
#[derive(Debug)]
pub struct Chunk {
    /// How many rows it had.
    pub rows: usize,
    /// Where to go on; nowhere after the last.
    pub next: Option<Position>,
    /// How many there are in all, if the page asked for it.
    pub total: Option<i64>,
}

impl Chunk {
    /// Of the rows that [`PageRequest::fetch`] brought, which is one more than the page has; that one is taken off.
    pub fn cut<R>(
        page: &PageRequest,
        rows: &mut Vec<R>,
        total: Option<i64>,
        position: impl Fn(&R) -> Position,
    ) -> Self {
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        Self { rows: rows.len(), next: rows.last().filter(|_| has_more).map(position), total }
    }
}

/// A part of a file.
#[derive(Debug)]
pub struct Part {
    /// What is written.
    pub bytes: Vec<u8>,
    /// How many rows were read for it.
    pub rows: usize,
    /// How many rows there are in all, if that was asked for; with the first part only.
    pub total: Option<i64>,
}

/// A table being written. Each part is read in a transaction of its own, so that however slowly a file is taken, no snapshot is held for it.
pub struct Export<S> {
    db: Db,
    sheet: Arc<S>,
    /// The next page; none after the last.
    page: Option<PageRequest>,
    has_begun: bool,
    has_mark: bool,
}

impl<S: Sheet> Export<S> {
    /// Of all rows that the sheet shows; `counted` tells how many they are, with the first part.
    pub fn new(db: Db, sheet: S, counted: bool) -> Self {
        let page = PageRequest::chunk(S::SORT, S::AT_ONCE, counted);
        Self { db, sheet: Arc::new(sheet), page: Some(page), has_begun: false, has_mark: false }
    }

    /// With a byte order mark, or without one.
    pub fn with_mark(self, has_mark: bool) -> Self {
        Self { has_mark, ..self }
    }

    /// The next part; nothing after the last.
    pub async fn next(&mut self) -> Result<Option<Part>, Error> {
        let Some(page) = self.page.take() else { return Ok(None) };
        let (mark, header) = match (self.has_begun, self.has_mark) {
            (true, _) => (&b""[..], Vec::new()),
            (false, has_mark) => (if has_mark { BYTE_ORDER_MARK } else { b"" }, self.sheet.columns()),
        };
        self.has_begun = true;
        let input = (Arc::clone(&self.sheet), page.clone(), header);
        let read = self.db.read(input, |tx, (sheet, page, header)| {
            async move {
                let mut lines = Lines::new();
                lines.header(header);
                let chunk = sheet.write(tx, page, &mut lines).await?;
                Ok::<_, Error>((chunk, lines.into_bytes()))
            }
            .boxed()
        });
        let (chunk, lines) = read.await?;
        self.page = chunk.next.map(|next| page.following(next));
        Ok(Some(Part { bytes: [mark, &lines].concat(), rows: chunk.rows, total: chunk.total }))
    }
}
