//! What a handler answers with: its status and its type stand in the handler's signature.

use std::marker::PhantomData;

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{Operation, Response as ApiResponse};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, HeaderValue, LOCATION};
use http::{HeaderName, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use crate::etag::{self, IfNoneMatch};
use crate::openapi;
use crate::problem::Problem;

/// Room for those that the gateway and the edge add, too, so that they needn't move.
const USUAL_HEADERS: usize = 14;

/// 201 with `Location` and the new resource.
pub type Created<T> = Answer<201, T>;

/// 200 with the resource.
pub type Resource<T> = Answer<200, T>;

/// A JSON answer, already written, so that it can be stored and repeated byte by byte.
#[derive(Clone, Debug)]
pub struct Answer<const STATUS: u16, T> {
    pub(crate) location: Option<String>,
    pub(crate) etag: Option<String>,
    pub(crate) body: Bytes,
    pub(crate) replayed: bool,
    not_modified: bool,
    resource: PhantomData<fn() -> T>,
}

impl<const STATUS: u16, T> Answer<STATUS, T> {
    pub(crate) fn stored(
        location: Option<String>,
        etag: Option<String>,
        body: Vec<u8>,
        replayed: bool,
    ) -> Self {
        Self { location, etag, body: body.into(), replayed, not_modified: false, resource: PhantomData }
    }

    /// With the version as `ETag`.
    pub fn version(mut self, version: i64) -> Self {
        self.etag = Some(etag::of_version(version));
        self
    }

    /// With the version and that of its parts as `ETag`.
    pub fn versions(mut self, version: i64, parts: i64) -> Self {
        self.etag = Some(etag::of_versions(version, parts));
        self
    }

    /// With the path of the new resource.
    pub fn location(mut self, path: String) -> Self {
        self.location = Some(path);
        self
    }

    /// 304 if the client has this version.
    pub fn unless(mut self, condition: &IfNoneMatch) -> Self {
        self.not_modified = self.etag.as_ref().is_some_and(|etag| condition.matches(etag));
        self
    }
}

impl<const STATUS: u16, T: Serialize> Answer<STATUS, T> {
    /// The resource, as JSON.
    pub fn new(resource: &T) -> Result<Self, Problem> {
        Ok(Self::stored(None, None, to_json(resource)?, false))
    }
}

/// As JSON, into room that most answers fit into without moving.
pub(crate) fn to_json(resource: &impl Serialize) -> Result<Vec<u8>, Problem> {
    let mut json = Vec::with_capacity(1024);
    serde_json::to_writer(&mut json, resource).map_err(Problem::internal)?;
    Ok(json)
}

impl<const STATUS: u16, T> IntoResponse for Answer<STATUS, T> {
    fn into_response(self) -> Response {
        let status = if self.not_modified { StatusCode::NOT_MODIFIED } else { status(STATUS) };
        let mut response = status.into_response();
        let headers = response.headers_mut();
        headers.reserve(USUAL_HEADERS);
        for (name, value) in [(ETAG, self.etag), (LOCATION, self.location)] {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                headers.insert(name, value);
            }
        }
        if self.replayed {
            headers.insert(HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
        }
        if !self.not_modified {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *response.body_mut() = self.body.into();
        }
        response
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::OK)
}

impl<const STATUS: u16, T: JsonSchema> OperationOutput for Answer<STATUS, T> {
    type Inner = T;

    fn inferred_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        let text = if STATUS == 201 { "Created; `Location` says where." } else { "The resource." };
        vec![(Some(STATUS), openapi::json_response::<T>(ctx, text))]
    }
}

/// 204: done, and nothing to say.
#[derive(Clone, Copy, Debug)]
pub struct NoContent;

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl OperationOutput for NoContent {
    type Inner = Self;

    fn inferred_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        vec![(Some(204), ApiResponse { description: "Done.".to_owned(), ..ApiResponse::default() })]
    }
}
