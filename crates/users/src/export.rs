//! `GET /users/me/export`: all that is kept of the caller, as one JSON file that is sent while it is read. Each part is read in a
//! transaction of its own, so that however slowly the file is taken, no snapshot is held for it and little is in memory.

use std::mem::{replace, take};

use accounts::personal::{Cursor, Section};
use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, Response as ApiResponse, SchemaObject};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use db::{Db, Error};
use futures_util::FutureExt;
use kit::download::{self, Parts, attachment};
use kit::identity::Caller;
use kit::problem::Problem;
use schemars::json_schema;
use uuid::Uuid;

use crate::Users;

const FILE_NAME: &str = "storehouse-personal-data.json";

const BEGINNING: Cursor = (Uuid::nil(), Uuid::nil());

/// The file.
pub(crate) struct Export(Body);

/// A file being written.
struct Writing {
    db: Db,
    person: Uuid,
    /// What stands before the first section, until that is written.
    head: String,
    /// The section that is written, and those behind it.
    sections: &'static [Section],
    /// Where in it; nowhere before its first page.
    cursor: Option<Cursor>,
    is_done: bool,
}

impl Export {
    /// Begins with the account and the first section.
    pub(crate) async fn begin(users: &Users, caller: &Caller) -> Result<Self, Problem> {
        let person = caller.account();
        let account = crate::api::find(users, person).await?;
        let account = serde_json::to_string(&account).map_err(Problem::internal)?;
        let head = format!("{{\"exported_at\":\"{}\",\"account\":{account}", users.shared.clock.now());
        let (db, sections) = (users.shared.db.clone(), users.sections);
        let writing = Writing { db, person, head, sections, cursor: None, is_done: false };
        Ok(Self(download::begin(FILE_NAME, &users.shared, caller, writing).await?))
    }
}

impl Parts for Writing {
    async fn next_part(&mut self) -> Result<Option<Bytes>, Error> {
        let head = take(&mut self.head);
        let Some(section) = self.sections.first().copied() else {
            return Ok((!replace(&mut self.is_done, true)).then(|| Bytes::from(head + "}\n")));
        };
        let input = (self.person, self.cursor.unwrap_or(BEGINNING), section);
        let read =
            self.db.read(input, |tx, (person, after, section)| (section.page)(tx, *person, *after).boxed());
        let items = read.await?;
        let is_first = self.cursor.is_none();
        self.cursor = items.last().map(|(cursor, _)| *cursor);
        let items: Vec<String> = items.into_iter().map(|(_, item)| item).collect();
        let begin = if is_first { format!("{head},\"{}\":[", section.name) } else { head };
        if items.is_empty() {
            self.sections = self.sections.get(1..).unwrap_or_default();
            return Ok(Some(Bytes::from(begin + "]")));
        }
        let separator = if is_first { "" } else { "," };
        Ok(Some(Bytes::from([&begin, separator, &items.join(",")].concat())))
    }
}

impl IntoResponse for Export {
    fn into_response(self) -> Response {
        attachment(self.0, "application/json", FILE_NAME)
    }
}

impl OperationOutput for Export {
    type Inner = Self;

    fn inferred_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        let schema = json_schema!({"type": "object", "additionalProperties": true});
        let schema = SchemaObject { json_schema: schema, example: None, external_docs: None };
        let media = MediaType { schema: Some(schema), ..MediaType::default() };
        vec![(
            Some(200),
            ApiResponse {
                description: "The account, and a list for each kind of what is kept of the person."
                    .to_owned(),
                content: [("application/json".to_owned(), media)].into_iter().collect(),
                ..ApiResponse::default()
            },
        )]
    }
}
