//! CSV files, for staff.

use std::sync::Arc;
use std::time::Duration;

use audit::record_export;
use axum::extract::State;
use futures_util::FutureExt;
use kit::answer::{Answer, Resource};
use kit::author::Author;
use kit::csv::{Download, Received, RowFaults, Sheet as _, Upload, Wanted};
use kit::endpoint::Endpoints;
use kit::endpoint::Verb::{Get, Post};
use kit::idempotency::{self, IdempotencyKey};
use kit::identity::Caller;
use kit::openapi::{Problems, op};
use kit::permission::{STAFF, Scope};
use kit::problem::Problem;
use kit::query::{FromParams, Params, Query};
use schemars::JsonSchema;
use tokio::sync::OwnedSemaphorePermit;

use crate::Inventory;
use crate::api::products::ProductQuery;
use crate::api::stock::{LevelQuery, MovementQuery};
use crate::export::{LevelSheet, MovementSheet, ProductSheet};
use crate::import::counts::Counts;
use crate::import::products::Products;
use crate::import::{File, Import, Importable};
use crate::view::ImportView;

/// More than this take longer than anybody waits for an answer; the command line takes any number.
const MAX_ROWS: usize = 250_000;

/// So many faults are told.
const MAX_FAULTS: usize = 1_000;

/// How long one waits for those who import just now.
const PATIENCE: Duration = Duration::from_secs(10);

// What an API key must be made for.
const PRODUCTS_READ: Scope = "products:read";
const PRODUCTS_WRITE: Scope = "products:write";
const STOCK_READ: Scope = "stock:read";
const STOCK_WRITE: Scope = "stock:write";

// What only the handler knows may go wrong; the rest comes from its types.
const IMPORT: Problems = &[(409, "Something was changed meanwhile, or a SKU or barcode was taken.")];

pub(crate) fn endpoints() -> Endpoints<Inventory> {
    Endpoints::new()
        .on(
            Get,
            "/products.csv",
            STAFF.scope(PRODUCTS_READ),
            product_export,
            op("product_export", "Take all products along, as a CSV file", &[]),
        )
        .on(
            Post,
            "/products/import",
            STAFF.scope(PRODUCTS_WRITE),
            product_import,
            op("product_import", "Make and change products by a CSV file", IMPORT),
        )
        .on(
            Get,
            "/stock.csv",
            STAFF.scope(STOCK_READ),
            level_export,
            op("level_export", "Take all levels along, as a CSV file", &[]),
        )
        .on(
            Post,
            "/stock/import",
            STAFF.scope(STOCK_WRITE),
            stock_import,
            op("stock_import", "Set levels to what was counted, by a CSV file", IMPORT),
        )
        .on(
            Get,
            "/stock/movements.csv",
            STAFF.scope(STOCK_READ),
            movement_export,
            op("movement_export", "Take the ledger along, as a CSV file", &[]),
        )
}

/// What the file of levels can be filtered by.
#[derive(JsonSchema)]
struct LevelFileQuery {
    #[serde(flatten)]
    levels: LevelQuery,
    /// `true` shows names and all figures, which an import doesn't take.
    figures: Option<bool>,
}

impl FromParams for LevelFileQuery {
    fn from_params(params: &mut Params) -> Self {
        Self { levels: LevelQuery::from_params(params), figures: params.flag("figures") }
    }
}

/// How a file is imported.
#[derive(JsonSchema)]
struct ImportQuery {
    /// `true` checks the file and tells what it would do, and stores nothing.
    dry_run: Option<bool>,
}

impl FromParams for ImportQuery {
    fn from_params(params: &mut Params) -> Self {
        Self { dry_run: params.flag("dry_run") }
    }
}

async fn product_export(
    State(inventory): State<Arc<Inventory>>,
    caller: Caller,
    author: Author,
    wanted: Wanted<ProductQuery>,
) -> Result<Download<ProductSheet>, Problem> {
    record_export(&inventory.shared.db, &author, ProductSheet::FILE_NAME, wanted.is_part).await?;
    let sheet = ProductSheet(wanted.filter.filter(true));
    Download::begin(&inventory.shared, &caller, sheet, wanted.has_mark).await
}

async fn level_export(
    State(inventory): State<Arc<Inventory>>,
    caller: Caller,
    author: Author,
    wanted: Wanted<LevelFileQuery>,
) -> Result<Download<LevelSheet>, Problem> {
    record_export(&inventory.shared.db, &author, LevelSheet::FILE_NAME, wanted.is_part).await?;
    let has_figures = wanted.filter.figures.unwrap_or(false);
    let sheet = LevelSheet { filter: wanted.filter.levels.filter(), has_figures };
    Download::begin(&inventory.shared, &caller, sheet, wanted.has_mark).await
}

async fn movement_export(
    State(inventory): State<Arc<Inventory>>,
    caller: Caller,
    author: Author,
    wanted: Wanted<MovementQuery>,
) -> Result<Download<MovementSheet>, Problem> {
    record_export(&inventory.shared.db, &author, MovementSheet::FILE_NAME, wanted.is_part).await?;
    let sheet = MovementSheet(wanted.filter.filter());
    Download::begin(&inventory.shared, &caller, sheet, wanted.has_mark).await
}

async fn product_import(
    caller: Caller,
    State(inventory): State<Arc<Inventory>>,
    author: Author,
    key: IdempotencyKey,
    query: Query<ImportQuery>,
    upload: Upload,
) -> Result<Resource<ImportView>, Problem> {
    import::<Products>(&inventory, &caller, author, key, query.0, upload).await
}

async fn stock_import(
    caller: Caller,
    State(inventory): State<Arc<Inventory>>,
    author: Author,
    key: IdempotencyKey,
    query: Query<ImportQuery>,
    upload: Upload,
) -> Result<Resource<ImportView>, Problem> {
    import::<Counts>(&inventory, &caller, author, key, query.0, upload).await
}

async fn import<K: Importable>(
    inventory: &Inventory,
    caller: &Caller,
    author: Author,
    key: IdempotencyKey,
    query: ImportQuery,
    upload: Upload,
) -> Result<Resource<ImportView>, Problem> {
    let turn = turn(inventory).await?;
    let (received, db) = (upload.receive().await?, &inventory.shared.db);
    let claim = key.claim(&inventory.shared, caller, received.bytes());
    let (import, faults) = claim.outrank(db, read::<K>(inventory, received, author).await).await?;
    let import = Arc::new(import);
    if query.dry_run.unwrap_or(false) {
        return Answer::new(&import.check(db, faults).await?);
    }
    if !claim.is_repeated(db).await? {
        import.check(db, faults).await?;
    }
    // Whoever stores keeps his turn to the end, though the caller may have gone.
    let input = (Arc::clone(&import), claim, turn);
    let stored = db.write(input, |tx, (import, claim, _)| {
        idempotency::once(tx, claim, || async { Answer::new(&import.store(tx).await?) }).boxed()
    });
    let stored = stored.await?;
    import.finish(db).await;
    Ok(stored)
}

/// 503 where others import for too long.
async fn turn(inventory: &Inventory) -> Result<OwnedSemaphorePermit, Problem> {
    let turns = Arc::clone(&inventory.import_turns);
    let turn = tokio::time::timeout(PATIENCE, turns.acquire_owned()).await;
    let busy = || Problem::unavailable(5, "Other files are being imported; try again shortly.");
    turn.map_err(|_| busy())?.map_err(Problem::internal)
}

/// Apart from the threads that serve, since it may take half a second.
async fn read<K: Importable>(
    inventory: &Inventory,
    received: Received,
    author: Author,
) -> Result<(Import<K>, RowFaults), Problem> {
    let file = File {
        charset: received.charset()?,
        bytes: received.bytes().clone(),
        currency: inventory.shared.currency,
        author,
        max_rows: MAX_ROWS,
        max_faults: MAX_FAULTS,
        progress: Arc::new(|_, _, _| {}),
    };
    let counts = Arc::clone(&inventory.counts);
    tokio::task::spawn_blocking(|| Import::read(file, counts)).await.map_err(Problem::internal)?
}
