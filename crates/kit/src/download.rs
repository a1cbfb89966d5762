//! A file as an answer, sent while it is made.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};

use crate::problem::Problem;

/// What makes a file.
pub trait Parts: Send + 'static {
    /// The next part; nothing after the last.
    fn next_part(&mut self) -> impl Future<Output = Result<Option<Bytes>, db::Error>> + Send;
}

/// Makes the first part, so that a database that fails at once is told by the status; one that fails later breaks the answer off, and no part is
/// taken for the whole.
pub async fn begin(file: &'static str, mut parts: impl Parts) -> Result<Body, Problem> {
    let first = parts.next_part().await?.map(Ok);
    let rest = stream::try_unfold(parts, move |mut parts| async move {
        match parts.next_part().await {
            Ok(part) => Ok(part.map(|part| (part, parts))),
            Err(error) => {
                tracing::warn!(file, cause = %error, "a download broke off");
                Err(error)
            }
        }
    });
    Ok(Body::from_stream(stream::iter(first).chain(rest)))
}

/// The answer that a browser keeps under this name.
pub fn attachment(body: Body, media_type: &'static str, file: &'static str) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Ok(disposition) = HeaderValue::try_from(format!("attachment; filename=\"{file}\"")) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    response
}
