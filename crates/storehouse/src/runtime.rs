//! How a command that ends by itself does what takes waiting.

use std::io;

use anyhow::{Context as _, Result};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tokio::runtime::Builder;

/// Does the work on this thread, to its end.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut outcome = None;
    drive(async { outcome = Some(work.await) }.boxed_local())?;
    outcome.context("the work was broken off")?
}

/// By itself, so that it is compiled once, and not for each command.
fn drive(work: LocalBoxFuture<'_, ()>) -> io::Result<()> {
    Builder::new_current_thread().enable_all().build()?.block_on(work);
    Ok(())
}
