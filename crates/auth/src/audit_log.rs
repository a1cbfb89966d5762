//! The audit log, for admins: in pages and as a CSV file. Nobody changes anything of it.

use std::sync::Arc;

use audit::{Action, Entry, EntryFilter, entry_position, list_entries};
use axum::extract::State;
use db::{Error, Tx};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kit::author::Author;
use kit::clock::Timestamp;
use kit::csv::{Chunk, Download, Lines, Sheet, Wanted};
use kit::endpoint::Endpoints;
use kit::endpoint::Verb::Get;
use kit::fields::Invalid;
use kit::identity::Caller;
use kit::openapi::op;
use kit::page::{List, Listing, Page, PageRequest, Sorts};
use kit::permission::ADMIN;
use kit::problem::Problem;
use kit::query::{FromParams, Params};
use schemars::JsonSchema;
use uuid::Uuid;

use crate::Auth;

pub(crate) fn endpoints() -> Endpoints<Auth> {
    Endpoints::new()
        .on(Get, "/audit", ADMIN, audit_list, op("audit_list", "List what was done, and by whom", &[]))
        .on(
            Get,
            "/audit.csv",
            ADMIN,
            audit_export,
            op("audit_export", "Take the audit log along, as a CSV file", &[]),
        )
}

/// What the audit log can be filtered by.
#[derive(JsonSchema)]
struct AuditQuery {
    /// Only this action.
    action: Option<Action>,
    /// Only by this account.
    actor_id: Option<Uuid>,
    /// Only about this account, session, product or webhook.
    object_id: Option<Uuid>,
    /// Only from this moment on (RFC 3339).
    since: Option<Timestamp>,
    /// Only before this moment (RFC 3339).
    until: Option<Timestamp>,
}

impl FromParams for AuditQuery {
    fn from_params(params: &mut Params) -> Self {
        let moment = |text: &str| {
            Timestamp::parse(text)
                .ok_or_else(|| Invalid::value("must be a time such as 2026-01-31T09:30:00Z"))
        };
        let words: Vec<&str> = Action::ALL.iter().map(|(_, word, _)| *word).collect();
        Self {
            action: params.word("action", Action::parse, &words.join(", ")),
            actor_id: params.id("actor_id"),
            object_id: params.id("object_id"),
            since: params.optional_with("since", moment),
            until: params.optional_with("until", moment),
        }
    }
}

impl AuditQuery {
    fn filter(self) -> EntryFilter {
        let Self { action, actor_id, object_id, since, until } = self;
        EntryFilter { action, actor_id, object_id, since, until }
    }
}

impl Listing for AuditQuery {
    const SORTS: Sorts = &[("created_at", "created_at")];
}

async fn audit_list(State(auth): State<Arc<Auth>>, list: List<AuditQuery>) -> Result<Page<Entry>, Problem> {
    let (query, page) = (list.filter, list.page.clone());
    let input = (query.filter(), list.page);
    let found = auth.shared.db.read(input, |tx, (filter, page)| list_entries(tx, filter, page).boxed());
    let (found, total) = found.await?;
    Ok(page.page(&auth.shared, found, total, entry_position, |entry| entry))
}

async fn audit_export(
    State(auth): State<Arc<Auth>>,
    caller: Caller,
    author: Author,
    wanted: Wanted<AuditQuery>,
) -> Result<Download<AuditSheet>, Problem> {
    audit::record_export(&auth.shared.db, &author, AuditSheet::FILE_NAME, wanted.is_part).await?;
    let sheet = AuditSheet(wanted.filter.filter());
    Download::begin(&auth.shared, &caller, sheet, wanted.has_mark).await
}

/// The audit log, the oldest first.
struct AuditSheet(EntryFilter);

impl Sheet for AuditSheet {
    const FILE_NAME: &'static str = "audit.csv";
    const SORT: &'static str = "created_at";
    const AT_ONCE: i64 = 1_000;

    fn columns(&self) -> Vec<&'static str> {
        vec![
            "number",
            "id",
            "created_at",
            "action",
            "object_kind",
            "object_id",
            "actor_id",
            "key_id",
            "address",
            "request_id",
            "count",
            "before",
            "after",
            "person",
            "erased",
            "sealed_at",
            "hash",
        ]
    }

    fn write<'a>(
        &'a self,
        tx: &'a Tx,
        page: &'a PageRequest,
        lines: &'a mut Lines,
    ) -> BoxFuture<'a, Result<Chunk, Error>> {
        async move {
            let (mut entries, total) = list_entries(tx, &self.0, page).await?;
            let chunk = Chunk::cut(page, &mut entries, total, entry_position);
            entries.iter().for_each(|entry| write_entry(entry, lines));
            Ok(chunk)
        }
        .boxed()
    }
}

fn write_entry(entry: &Entry, lines: &mut Lines) {
    lines.plain(entry.number);
    lines.plain(entry.id);
    lines.plain(entry.created_at);
    lines.plain(&entry.action);
    lines.optional(entry.object.as_ref().map(|object| object.kind.as_str()));
    lines.optional(entry.object.as_ref().map(|object| object.id));
    lines.optional(entry.actor_id);
    lines.optional(entry.key_id);
    lines.optional(entry.address.as_ref());
    lines.optional_text(entry.request_id.as_ref());
    lines.plain(entry.count);
    lines.optional(entry.before.as_ref().map(|facts| &facts.0));
    lines.optional(entry.after.as_ref().map(|facts| &facts.0));
    lines.optional(entry.person.as_ref().map(audit::Person::as_json));
    lines.plain(entry.erased);
    lines.plain(entry.sealed_at);
    lines.plain(&entry.hash);
    lines.end();
}
