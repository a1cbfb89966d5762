//! Versions as ETags: `If-Match` guards a change, `If-None-Match` spares an answer (RFC 9110, section 13).

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::Operation;
use axum::extract::FromRequestParts;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderName};

use crate::openapi;
use crate::problem::Problem;

/// How many tags of one header are looked at.
const MAX_TAGS: usize = 64;

/// The tag of a version.
pub fn of_version(version: i64) -> String {
    format!("\"{version}\"")
}

/// The tag of a resource that carries parts which change more often than itself, with both versions.
pub fn of_versions(version: i64, parts: i64) -> String {
    format!("\"{version}.{parts}\"")
}

/// The tags of one header.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tags {
    /// The header was not sent.
    Absent,
    /// `*`
    Any,
    /// Each tag's text, and whether it is weak.
    Listed(Vec<(String, bool)>),
}

/// `If-Match`: the change is made only to a version that the client has seen.
#[derive(Clone, Debug)]
pub struct IfMatch(Tags);

impl IfMatch {
    /// 412 with the present tag, unless this version was named. Weak tags never match here.
    pub fn check(&self, version: i64) -> Result<(), Problem> {
        self.check_tag(&of_version(version))
    }

    /// The same with the whole tag, of which only the version counts.
    pub fn check_tag(&self, etag: &str) -> Result<(), Problem> {
        let present = before_dot(etag.trim_matches('"'));
        let matches = match &self.0 {
            Tags::Absent | Tags::Any => true,
            Tags::Listed(tags) => tags.iter().any(|(tag, weak)| !weak && before_dot(tag) == present),
        };
        if matches { Ok(()) } else { Err(Problem::stale_version(etag)) }
    }
}

/// `If-None-Match`: the answer is spared (304) if the client has it.
#[derive(Clone, Debug)]
pub struct IfNoneMatch(Tags);

impl IfNoneMatch {
    /// Whether the client has the representation with this tag.
    pub fn matches(&self, etag: &str) -> bool {
        match &self.0 {
            Tags::Absent => false,
            Tags::Any => true,
            Tags::Listed(tags) => tags.iter().any(|(tag, _)| tag == etag.trim_matches('"')),
        }
    }
}

/// A tag may be `<version>.<version of its parts>`; a change is guarded by the first.
fn before_dot(tag: &str) -> &str {
    tag.split_once('.').map_or(tag, |(version, _)| version)
}

fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Tags, Problem> {
    let mut tags = Vec::new();
    let mut any = false;
    for value in headers.get_all(name) {
        let text = value.to_str().map_err(|_| malformed(name))?;
        if text.trim() == "*" {
            any = true;
        } else {
            read_list(text, &mut tags).ok_or_else(|| malformed(name))?;
        }
    }
    match (any, tags.is_empty()) {
        (true, true) => Ok(Tags::Any),
        (true, false) => Err(malformed(name)),
        (false, true) => Ok(Tags::Absent),
        (false, false) => Ok(Tags::Listed(tags)),
    }
}

/// Reads `"1", W/"2"`; `None` if it is no such list.
fn read_list(text: &str, tags: &mut Vec<(String, bool)>) -> Option<()> {
    let mut rest = text.trim();
    loop {
        let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |quoted| (true, quoted));
        let (tag, after) = quoted.strip_prefix('"')?.split_once('"')?;
        tags.push((tag.to_owned(), weak));
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(());
        }
        rest = rest.strip_prefix(',').filter(|_| tags.len() < MAX_TAGS)?.trim_start();
    }
}

fn malformed(name: &HeaderName) -> Problem {
    Problem::malformed(
        "invalid_header",
        format!("`{name}` must be `*` or a list of quoted tags such as \"1\"."),
    )
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read(&parts.headers, &IF_MATCH).map(Self)
    }
}

impl<S: Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read(&parts.headers, &IF_NONE_MATCH).map(Self)
    }
}

impl OperationInput for IfMatch {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        openapi::add_header_parameter(
            ctx,
            operation,
            "If-Match",
            "The ETag of the version that this changes.",
        );
        openapi::add_problem(ctx, operation, 400, "A header is malformed.");
        openapi::add_problem(
            ctx,
            operation,
            412,
            "The resource has changed since; `ETag` carries its version.",
        );
    }
}

impl OperationInput for IfNoneMatch {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        openapi::add_header_parameter(
            ctx,
            operation,
            "If-None-Match",
            "The ETag of the version that the client has.",
        );
        openapi::add_problem(ctx, operation, 400, "A header is malformed.");
        openapi::add_empty_response(ctx, operation, 304, "The client has this version already.");
    }
}
