//! A request's body: received within limits at once, read only when the handler asks, since what the caller
//! may not see or do (404, 403) and a repeated key outrank the faults of a body.

use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::{MediaType, Operation, RequestBody, SchemaObject};
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use schemars::JsonSchema;

use crate::fields::{Faults, Fields, FromFields, ReadContext, read_object};
use crate::identity::{Role, Sessions, Verified};
use crate::json::{Json, Malformed};
use crate::openapi;
use crate::problem::Problem;
use crate::query::Params;
use crate::shared::Shared;

/// The largest body, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;

/// How long a client may take to send a body.
pub const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// A JSON body that was received but not read yet.
pub struct Body<T> {
    bytes: Bytes,
    content_type: Option<HeaderValue>,
    query: Option<String>,
    context: ReadContext,
    target: PhantomData<fn() -> T>,
}

/// A body without fields, or none at all.
#[derive(JsonSchema, Debug)]
pub struct Nothing {}

impl FromFields for Nothing {
    const EMPTY_BODY: bool = true;

    fn from_fields(_: &mut Fields<'_, '_>) -> Option<Self> {
        Some(Self {})
    }
}

impl<T: FromFields> Body<T> {
    /// The bytes as they were sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The body as `T`: 415, 400 and 422 come from here, with all faults at once. What takes a body takes no query.
    pub fn parse(&self) -> Result<T, Problem> {
        Params::new(self.query.as_deref()).finish(())?;
        if self.bytes.is_empty() && T::EMPTY_BODY {
            return self.read(b"{}");
        }
        if !self.content_type.as_ref().is_some_and(is_json) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Send the body as `Content-Type: application/json`, in UTF-8.",
            ));
        }
        self.read(&self.bytes)
    }

    /// As [`Body::parse`], but a fault is told only after `earlier` found nothing that outranks it.
    pub async fn parse_after(
        &self,
        earlier: impl Future<Output = Result<(), Problem>>,
    ) -> Result<T, Problem> {
        match self.parse() {
            Ok(value) => Ok(value),
            Err(fault) => {
                earlier.await?;
                Err(fault)
            }
        }
    }

    fn read(&self, bytes: &[u8]) -> Result<T, Problem> {
        let malformed = |Malformed(why)| Problem::malformed("malformed_json", format!("The body {why}."));
        let json = Json::parse(bytes).map_err(malformed)?;
        let mut faults = Faults::new(self.context);
        let value = read_object(&json, &mut faults);
        match (value, faults.into_list()) {
            (Some(value), faults) if faults.is_empty() => Ok(value),
            (_, faults) => Err(Problem::invalid(faults)),
        }
    }
}

impl<S, T> FromRequest<Arc<S>> for Body<T>
where
    S: AsRef<Shared> + Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Arc<S>) -> Result<Self, Problem> {
        let role = request.extensions().get::<Verified>().map_or(Role::Customer, Verified::role);
        let context = ReadContext { currency: (**state).as_ref().currency, role };
        let content_type = request.headers().get(CONTENT_TYPE).cloned();
        let query = request.uri().query().map(str::to_owned);
        let bytes = receive(request, MAX_BODY, &*(**state).as_ref().sessions).await?;
        Ok(Self { bytes, content_type, query, context, target: PhantomData })
    }
}

/// A request's whole body: 413 past `limit` bytes, 408 past the deadline, 415 where it is compressed. 401 if the caller was
/// logged out meanwhile: who was let in may send for half a minute, and must not act after that.
pub(crate) async fn receive(
    request: Request,
    limit: usize,
    sessions: &dyn Sessions,
) -> Result<Bytes, Problem> {
    let caller = request.extensions().get::<Verified>().cloned();
    let mut body = pin!(receive_all(request, limit));
    if let Some(received) = body.as_mut().now_or_never() {
        return received;
    }
    let bytes = body.await?;
    if let Some(caller) = caller {
        caller.check_again(sessions).await?;
    }
    Ok(bytes)
}

async fn receive_all(request: Request, limit: usize) -> Result<Bytes, Problem> {
    check_coding(request.headers())?;
    if declared_length(request.headers()).is_some_and(|length| length > limit as u64) {
        return Err(Problem::body_too_large(limit));
    }
    let body = Limited::new(request.into_body(), limit);
    match tokio::time::timeout(BODY_DEADLINE, body.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::body_too_large(limit)),
        Ok(Err(_)) => Err(Problem::malformed("incomplete_body", "The body ended before it was complete.")),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            "The body took longer than 30 s to arrive.",
        )),
    }
}

/// A few compressed bytes may be many more, so none are taken (RFC 9110, section 12.5.3, says how to tell).
fn check_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let is_plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().all(is_plain) {
        return Ok(());
    }
    let detail = "Send the body as it is, without `Content-Encoding`.";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
        .with_header(ACCEPT_ENCODING, "identity"))
}

/// What `Content-Length` says.
pub(crate) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn is_json(content_type: &HeaderValue) -> bool {
    if content_type == "application/json" {
        return true;
    }
    let Ok(text) = content_type.to_str() else { return false };
    let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
    let is_json = parts.next().is_some_and(|media| media == "application/json" || is_json_suffixed(&media));
    is_json
        && parts.all(|parameter| {
            !parameter.starts_with("charset=") || matches!(&parameter[8..], "utf-8" | "\"utf-8\"")
        })
}

fn is_json_suffixed(media: &str) -> bool {
    media.starts_with("application/") && media.ends_with("+json")
}

impl<T: FromFields + JsonSchema> OperationInput for Body<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema =
            SchemaObject { json_schema: ctx.schema.subschema_for::<T>(), example: None, external_docs: None };
        let media = MediaType { schema: Some(schema), ..MediaType::default() };
        let body = RequestBody {
            content: [("application/json".to_owned(), media)].into_iter().collect(),
            required: !T::EMPTY_BODY,
            ..RequestBody::default()
        };
        aide::operation::set_body(ctx, operation, body);
        openapi::add_problem(
            ctx,
            operation,
            400,
            "The body is not valid JSON, a key stands twice, or a parameter is unknown.",
        );
        openapi::add_problem(ctx, operation, 408, "The body took too long to arrive.");
        openapi::add_problem(ctx, operation, 413, "The body is larger than 1 MiB.");
        openapi::add_problem(ctx, operation, 415, "The body is not declared as JSON.");
        openapi::add_problem(ctx, operation, 422, "The body has faults; `errors` lists them all.");
    }
}
