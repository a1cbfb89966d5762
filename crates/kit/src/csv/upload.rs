//! A file as a request's body.

use std::sync::Arc;

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::{Operation, RequestBody};
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};

use super::decode::{Charset, charset};
use super::download::csv_media;
use crate::body::receive;
use crate::identity::Sessions;
use crate::openapi;
use crate::problem::Problem;
use crate::shared::Shared;

/// The largest file, in bytes.
pub const MAX_UPLOAD: usize = 64 * 1024 * 1024;

/// A file that has yet to be received, since it takes room that others may have to leave first.
pub struct Upload {
    request: Request,
    sessions: Arc<dyn Sessions>,
}

/// A file that was received but not read yet.
pub struct Received {
    bytes: Bytes,
    content_type: Option<HeaderValue>,
}

impl<S: AsRef<Shared> + Send + Sync> FromRequest<Arc<S>> for Upload {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Arc<S>) -> Result<Self, Problem> {
        Ok(Self { request, sessions: Arc::clone(&(**state).as_ref().sessions) })
    }
}

impl Upload {
    /// Receives all of it: 413 if it is too large, 408 if it takes too long, 400 if it breaks off, 401 if its sender was
    /// logged out meanwhile.
    pub async fn receive(self) -> Result<Received, Problem> {
        let content_type = self.request.headers().get(CONTENT_TYPE).cloned();
        let bytes = receive(self.request, MAX_UPLOAD, &*self.sessions).await?;
        Ok(Received { bytes, content_type })
    }
}

impl Received {
    /// The bytes as they were sent.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The charset that was declared, if one was: 415 unless it is one of those that are taken, and the body CSV.
    pub fn charset(&self) -> Result<Option<Charset>, Problem> {
        self.content_type.as_ref().and_then(declared).ok_or_else(|| {
            Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Send the file as `Content-Type: text/csv`, in UTF-8, UTF-16 with a mark (BOM), or with `charset=windows-1252`.",
            )
        })
    }
}

/// The charset of a CSV file's type; nothing if it is another type, or a charset that isn't taken.
fn declared(content_type: &HeaderValue) -> Option<Option<Charset>> {
    let text = content_type.to_str().ok()?.to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    if parts.next() != Some(super::MEDIA_TYPE) {
        return None;
    }
    match parts.find_map(|parameter| parameter.strip_prefix("charset=")) {
        None => Some(None),
        Some(label) => charset(label.trim_matches('"')).map(Some),
    }
}

impl OperationInput for Upload {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let body = RequestBody {
            description: Some("A CSV file with a header row; see docs/csv.md.".to_owned()),
            content: [(super::MEDIA_TYPE.to_owned(), csv_media())].into_iter().collect(),
            required: true,
            ..RequestBody::default()
        };
        aide::operation::set_body(ctx, operation, body);
        openapi::add_problem(ctx, operation, 400, "The file is no CSV, or a parameter is unknown.");
        openapi::add_problem(ctx, operation, 408, "The file took too long to arrive.");
        openapi::add_problem(ctx, operation, 413, "The file is larger than 64 MiB.");
        openapi::add_problem(ctx, operation, 415, "The file is not declared as CSV, or in another charset.");
        let text = "The file has faults: `errors` lists the first 1,000 by row and column, `error_count` tells how many there are.";
        openapi::add_problem(ctx, operation, 422, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_says_the_charset() {
        let read = |text: &'static str| declared(&HeaderValue::from_static(text));
        for plain in ["text/csv", "Text/CSV", "text/csv; header=present"] {
            assert_eq!(read(plain), Some(None), "{plain}");
        }
        for (text, label) in [
            ("text/csv; charset=\"UTF-8\"", "utf-8"),
            ("text/csv;charset=\"UTF-16\"", "utf-16"),
            ("text/csv; header=present; charset=latin1", "windows-1252"),
        ] {
            assert_eq!(read(text), Some(charset(label)), "{text}");
        }
        for other in ["text/plain", "application/json", "text/csvs", "", "text/csv; charset=koi8-r"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
