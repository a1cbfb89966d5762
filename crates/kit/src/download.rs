//! A file as an answer, sent while it is made.

use std::sync::Arc;

use axum::BoxError;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};

use crate::identity::Caller;
use crate::problem::Problem;
use crate::shared::Shared;

/// What makes a file.
pub trait Parts: Send + 'static {
    /// The next part; nothing after the last.
    fn next_part(&mut self) -> impl Future<Output = Result<Option<Bytes>, db::Error>> + Send;
}

/// Makes the first part, so that a database that fails at once is told by the status. One that fails later breaks the answer off, and so does a caller who is
/// logged out meanwhile, since who reads slowly reads for long; no part is taken for the whole.
pub async fn begin(
    file: &'static str,
    shared: &Shared,
    caller: &Caller,
    mut parts: impl Parts,
) -> Result<Body, Problem> {
    let first = parts.next_part().await?.map(Ok);
    let (verified, sessions) = (caller.verified().clone(), Arc::clone(&shared.sessions));
    let rest =
        stream::try_unfold((parts, verified, sessions), move |(mut parts, verified, sessions)| async move {
            if let Err(problem) = verified.check_again(&*sessions).await {
                let cause = format!("its caller is let in no more ({})", problem.code());
                return Err(broken_off(file, cause.into()));
            }
            match parts.next_part().await {
                Ok(part) => Ok(part.map(|part| (part, (parts, verified, sessions)))),
                Err(error) => Err(broken_off(file, error.into())),
            }
        });
    Ok(Body::from_stream(stream::iter(first).chain(rest)))
}

fn broken_off(file: &str, cause: BoxError) -> BoxError {
    tracing::warn!(file, %cause, "a download broke off");
    cause
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
