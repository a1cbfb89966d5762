//! `GET /users/me/export`: all that is kept of the caller, as one JSON file that is sent while it is read. Each part is read in a
//! transaction of its own, so that however slowly the file is taken, no snapshot is held for it and little is in memory.

use accounts::personal::{Cursor, Section};
use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, Response as ApiResponse, SchemaObject};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use db::{Db, Error};
use futures_util::{FutureExt, StreamExt, stream};
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use kit::problem::Problem;
use schemars::json_schema;
use uuid::Uuid;

use crate::Users;

const BEGINNING: Cursor = (Uuid::nil(), Uuid::nil());

/// The file.
pub(crate) struct Export(Body);

/// A file being written.
struct Writing {
    db: Db,
    person: Uuid,
    /// The section that is written, and those behind it.
    sections: &'static [Section],
    /// Where in it; nowhere before its first page.
    cursor: Option<Cursor>,
    is_done: bool,
}

impl Export {
    /// Begins with the account and the first section, so that a database that fails at once is told by the status; one that fails later
    /// breaks the answer off.
    pub(crate) async fn begin(users: &Users, person: Uuid) -> Result<Self, Problem> {
        let account = crate::api::find(users, person).await?;
        let account = serde_json::to_string(&account).map_err(Problem::internal)?;
        let head = format!("{{\"exported_at\":\"{}\",\"account\":{account}", users.shared.clock.now());
        let (db, sections) = (users.shared.db.clone(), users.sections);
        let mut writing = Writing { db, person, sections, cursor: None, is_done: false };
        let first = writing.next().await?;
        let begin = [Some(Ok(Bytes::from(head))), first.map(|part| Ok(Bytes::from(part)))];
        let rest = stream::try_unfold(writing, |mut writing| async move {
            match writing.next().await {
                Ok(part) => Ok(part.map(|part| (Bytes::from(part), writing))),
                Err(error) => {
                    tracing::warn!(cause = %error, "a personal export broke off");
                    Err(error)
                }
            }
        });
        Ok(Self(Body::from_stream(stream::iter(begin.into_iter().flatten()).chain(rest))))
    }
}

impl Writing {
    /// The next part; nothing after the last.
    async fn next(&mut self) -> Result<Option<String>, Error> {
        let Some(section) = self.sections.first().copied() else {
            return Ok((!std::mem::replace(&mut self.is_done, true)).then(|| "}\n".to_owned()));
        };
        let input = (self.person, self.cursor.unwrap_or(BEGINNING), section);
        let read =
            self.db.read(input, |tx, (person, after, section)| (section.page)(tx, *person, *after).boxed());
        let items = read.await?;
        let is_first = self.cursor.is_none();
        self.cursor = items.last().map(|(cursor, _)| *cursor);
        let items: Vec<String> = items.into_iter().map(|(_, item)| item).collect();
        let begin = if is_first { format!(",\"{}\":[", section.name) } else { String::new() };
        if items.is_empty() {
            self.sections = self.sections.get(1..).unwrap_or_default();
            return Ok(Some(begin + "]"));
        }
        let separator = if is_first { "" } else { "," };
        Ok(Some([&begin, separator, &items.join(",")].concat()))
    }
}

impl IntoResponse for Export {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let disposition = HeaderValue::from_static("attachment; filename=\"storehouse-personal-data.json\"");
        headers.insert(CONTENT_DISPOSITION, disposition);
        response
    }
}

impl OperationOutput for Export {
    type Inner = Self;

    fn operation_response(_: &mut GenContext, _: &mut Operation) -> Option<ApiResponse> {
        let schema = json_schema!({"type": "object", "additionalProperties": true});
        let schema = SchemaObject { json_schema: schema, example: None, external_docs: None };
        let media = MediaType { schema: Some(schema), ..MediaType::default() };
        Some(ApiResponse {
            description: "The account, and a list for each kind of what is kept of the person.".to_owned(),
            content: [("application/json".to_owned(), media)].into_iter().collect(),
            ..ApiResponse::default()
        })
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<u16>, ApiResponse)> {
        Self::operation_response(ctx, operation).map(|response| (Some(200), response)).into_iter().collect()
    }
}
