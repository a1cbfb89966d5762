//! A file as an answer, sent while it is read.

use std::marker::PhantomData;

use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, Response as ApiResponse, SchemaObject};
use aide::{OperationInput, OperationOutput};
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request;
use schemars::{JsonSchema, json_schema};

use super::export::{Export, Sheet};
use crate::download::{self, Parts, attachment};
use crate::identity::Caller;
use crate::problem::Problem;
use crate::query::{FromParams, Params};
use crate::shared::Shared;

/// The query of a file: what it is to hold, and how it is to begin.
#[derive(Debug)]
pub struct Wanted<F> {
    /// What to leave out.
    pub filter: F,
    /// Whether it begins with a byte order mark.
    pub has_mark: bool,
    /// Whether something else was asked for too, so that it may not hold all.
    pub is_part: bool,
}

/// The parameter that every file takes, for the OpenAPI document.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes what `Wanted` reads")]
struct FileParameters {
    /// `true` begins the file with a byte order mark, by which Excel knows UTF-8 when it opens one.
    bom: Option<bool>,
}

impl<S: Sync, F: FromParams> FromRequestParts<S> for Wanted<F> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Problem> {
        let mut params = Params::new(parts.uri.query());
        let filter = F::from_params(&mut params);
        let has_mark = params.flag("bom").unwrap_or(false);
        let is_part = params.pairs().iter().any(|(name, _)| name != "bom");
        params.finish(Self { filter, has_mark, is_part })
    }
}

impl<F: FromParams + JsonSchema> OperationInput for Wanted<F> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        crate::query::describe::<F>(ctx, operation);
        crate::query::describe::<FileParameters>(ctx, operation);
    }
}

impl<S: Sheet> Parts for Export<S> {
    async fn next_part(&mut self) -> Result<Option<Bytes>, db::Error> {
        Ok(self.next().await?.map(|part| Bytes::from(part.bytes)))
    }
}

/// A file that is sent while it is read.
pub struct Download<S> {
    body: Body,
    sheet: PhantomData<fn() -> S>,
}

impl<S: Sheet> Download<S> {
    /// Reads the first part, so that a database that fails at once is told by the status.
    pub async fn begin(shared: &Shared, caller: &Caller, sheet: S, has_mark: bool) -> Result<Self, Problem> {
        let export = Export::new(shared.db.clone(), sheet, false).with_mark(has_mark);
        let body = download::begin(S::FILE_NAME, shared, caller, export).await?;
        Ok(Self { body, sheet: PhantomData })
    }
}

impl<S: Sheet> IntoResponse for Download<S> {
    fn into_response(self) -> Response {
        attachment(self.body, "text/csv; charset=utf-8; header=present", S::FILE_NAME)
    }
}

impl<S: Sheet> OperationOutput for Download<S> {
    type Inner = Self;

    fn inferred_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        vec![(
            Some(200),
            ApiResponse {
                description: "The file, with a header row; see docs/csv.md.".to_owned(),
                content: [(super::MEDIA_TYPE.to_owned(), csv_media())].into_iter().collect(),
                ..ApiResponse::default()
            },
        )]
    }
}

/// A file's text, as the document shows it.
pub(super) fn csv_media() -> MediaType {
    let schema =
        SchemaObject { json_schema: json_schema!({"type": "string"}), example: None, external_docs: None };
    MediaType { schema: Some(schema), ..MediaType::default() }
}
