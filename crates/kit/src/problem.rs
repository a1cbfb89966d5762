//! The one HTTP error: what the client reads (RFC 9457) and, apart from it, what the log must know.

use std::borrow::Cow;

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{Operation, Response as ApiResponse};
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::identity::Verified;

/// A refused or failed request. Made by the constructors below, one for each meaning.
#[derive(Clone, Debug)]
pub struct Problem(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    errors: Vec<Fault>,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<String>,
    denial: Option<Denial>,
}

/// The mark of a problem that says: not you.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Denial {
    /// Who asked, where that is known.
    pub account: Option<Uuid>,
    /// The API key that asked for them, if one did.
    pub key: Option<Uuid>,
}

/// One fault of a body or a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Fault {
    /// Where, as a path: `lines[0].quantity`.
    pub field: String,
    /// A stable word for programs.
    pub code: Cow<'static, str>,
    /// A sentence for people.
    pub message: Cow<'static, str>,
}

/// The shape of a problem as the OpenAPI document shows it.
#[derive(JsonSchema)]
#[schemars(rename = "Problem")]
#[expect(dead_code, reason = "describes what `Problem::body` writes")]
pub(crate) struct ProblemShape {
    /// A link to the code's description.
    r#type: String,
    /// The status in words.
    title: String,
    status: u16,
    /// What went wrong, for people.
    detail: String,
    /// What went wrong, for programs: stable.
    code: String,
    /// Names this request in the log.
    request_id: String,
    /// All faults of a body or query at once.
    errors: Option<Vec<Fault>>,
}

impl Problem {
    /// A problem of any status; the constructors below read better.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            members: Map::new(),
            headers: Vec::new(),
            cause: None,
            denial: None,
        }))
    }

    /// 400: the request's syntax is wrong.
    pub fn malformed(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 400: query parameters are wrong.
    pub fn invalid_parameters(errors: Vec<Fault>) -> Self {
        let code = match errors.as_slice() {
            [only] if only.code == "invalid_cursor" => "invalid_cursor",
            _ => "invalid_parameter",
        };
        Self::malformed(code, "The query has faults, listed in `errors`.").with_errors(errors)
    }

    /// 401: no credentials were sent.
    pub fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "missing_token",
            "This needs `Authorization: Bearer <token>`; log in to get a token.",
        )
        .with_header(header::WWW_AUTHENTICATE, "Bearer")
    }

    /// 401: the token is no good (RFC 6750, section 3.1).
    pub fn invalid_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_token",
            "The token is not valid, or no longer; log in again or refresh it.",
        )
        .with_header(header::WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")
    }

    /// 401: email or password is wrong, and nobody learns which.
    pub fn invalid_credentials(detail: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_credentials", detail)
            .with_header(header::WWW_AUTHENTICATE, "Bearer")
    }

    /// 403: the caller may see it but not do this.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail).denying(Denial::default())
    }

    /// 403: the API key was not made for this (RFC 6750, section 3.1).
    pub fn insufficient_scope(scope: &'static str) -> Self {
        let detail = format!("This API key was not made for `{scope}`.");
        Self::new(StatusCode::FORBIDDEN, "insufficient_scope", detail).with_header(
            header::WWW_AUTHENTICATE,
            &format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\""),
        )
    }

    /// 404: nothing here that the caller may know of.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address, or not for you.")
    }

    /// 404 for what this caller may not know of: to the client the same as [`Problem::not_found`], and yet a denial.
    pub fn hidden(account: Uuid) -> Self {
        Self::not_found().to(account)
    }

    /// 409: at odds with the present state.
    pub fn conflict(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 412: the resource has changed since the client read it; carries the present ETag.
    pub fn stale_version(etag: &str) -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "stale_version",
            "It has changed since you read it: read it again, then repeat your change.",
        )
        .with_header(header::ETAG, etag)
    }

    /// 413: the body is larger than so many bytes.
    pub fn body_too_large(most: usize) -> Self {
        let size = match (most.is_multiple_of(1 << 20), most.is_multiple_of(1 << 10)) {
            (true, _) => format!("{} MiB", most >> 20),
            (_, true) => format!("{} KiB", most >> 10),
            _ => format!("{most} bytes"),
        };
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("The body is larger than {size}, which is the most."),
        )
    }

    /// 422: well-formed but invalid; all faults at once.
    pub fn invalid(errors: Vec<Fault>) -> Self {
        let code = match errors.first() {
            Some(first)
                if errors.iter().all(|fault| fault.code == "unknown_field")
                    && first.code == "unknown_field" =>
            {
                "unknown_field"
            }
            _ => "validation_failed",
        };
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, "The body has faults, listed in `errors`.")
            .with_errors(errors)
    }

    /// 422 for one field.
    pub fn invalid_field(field: &str, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::invalid(vec![Fault { field: field.to_owned(), code: code.into(), message: message.into() }])
    }

    /// 429 with `Retry-After`: asked too often.
    pub fn rate_limited(retry_after_seconds: u64) -> Self {
        let unit = if retry_after_seconds == 1 { "second" } else { "seconds" };
        let detail = format!("Too many requests: try again in {retry_after_seconds} {unit}.");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail)
            .with_header(header::RETRY_AFTER, &retry_after_seconds.to_string())
    }

    /// 503 with `Retry-After`: try again soon.
    pub fn unavailable(retry_after_seconds: u32, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            .with_header(header::RETRY_AFTER, &retry_after_seconds.to_string())
    }

    /// 500: our fault; the cause goes to the log only.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Something failed here. The request id finds the cause in the log.",
        )
        .with_cause(cause)
    }

    /// Adds a header to the answer; one that isn't valid is left out.
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.push((name, value));
        }
        self
    }

    /// Adds a member to the body, such as `allowed_transitions`.
    pub fn with_member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// Adds what the log must know and the client must not.
    pub fn with_cause(mut self, cause: impl std::fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// Says who was denied something.
    pub fn to(self, account: impl Into<Option<Uuid>>) -> Self {
        self.denying(Denial { account: account.into(), key: None })
    }

    /// The same of a caller, whose API key is named too.
    pub(crate) fn naming(self, caller: &Verified) -> Self {
        self.denying(Denial { account: Some(caller.account()), key: caller.key().map(|key| key.id) })
    }

    fn denying(mut self, denial: Denial) -> Self {
        self.0.denial = Some(denial);
        self
    }

    fn with_errors(mut self, errors: Vec<Fault>) -> Self {
        self.0.errors = errors;
        self
    }

    /// The answer's status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The stable word for programs.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// What went wrong, for people.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The faults of a body or a query, if it is about those.
    pub fn errors(&self) -> &[Fault] {
        &self.0.errors
    }

    /// Whether it says that somebody may not do or see this.
    pub fn denial(&self) -> Option<Denial> {
        self.0.denial
    }

    /// What the log must know, if anything.
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The whole answer, with the id of the request that it belongs to.
    pub fn render(&self, request_id: &str) -> Response {
        let body = self.body(request_id);
        let length = HeaderValue::from(body.len());
        let mut response = (self.0.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, length);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in &self.0.headers {
            headers.insert(name, value.clone());
        }
        response
    }

    fn body(&self, request_id: &str) -> Vec<u8> {
        let inner = &self.0;
        let mut body = Map::new();
        body.insert("type".into(), format!("/docs#{}", inner.code).into());
        body.insert("title".into(), inner.status.canonical_reason().unwrap_or("Error").into());
        body.insert("status".into(), inner.status.as_u16().into());
        body.insert("detail".into(), inner.detail.as_ref().into());
        body.insert("code".into(), inner.code.into());
        body.insert("request_id".into(), request_id.into());
        if !inner.errors.is_empty() {
            body.insert("errors".into(), serde_json::to_value(&inner.errors).unwrap_or_default());
        }
        body.extend(inner.members.clone());
        Value::Object(body).to_string().into_bytes()
    }
}

impl IntoResponse for Problem {
    /// Leaves the body to the edge, which knows the request id and logs the cause.
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<db::Error> for Problem {
    fn from(error: db::Error) -> Self {
        match error {
            db::Error::Busy => Self::unavailable(1, "The database is busy; try again shortly.").with_cause(&error),
            db::Error::Unavailable(_) => Self::unavailable(2, "The database can't be reached; try again shortly.").with_cause(&error),
            db::Error::DiskFull => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk_full", "The disk is full: nothing can be stored until there is room.")
                    .with_cause(&error)
            }
            db::Error::OutcomeUnknown => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "outcome_unknown",
                "The connection to the database broke while this was being stored: look whether it is there before you repeat it.",
            )
            .with_header(header::RETRY_AFTER, "2")
            .with_cause(&error),
            other => Self::internal(other),
        }
    }
}

impl OperationOutput for Problem {
    type Inner = Self;

    fn inferred_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        vec![(None, crate::openapi::problem_response(ctx, "A problem (RFC 9457); `code` says which."))]
    }
}
