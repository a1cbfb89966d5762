//! Sending a message once.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Request, StatusCode};
use uuid::Uuid;

use crate::Webhooks;
use crate::model::Webhook;
use crate::secret::SigningSecret;
use crate::signature::sign;
use crate::target::WebhookUrl;

/// How long a receiver may take for its answer.
const ANSWER_TIME: Duration = Duration::from_secs(15);

const SENDER: &str = concat!("Storehouse/", env!("CARGO_PKG_VERSION"));

/// What came of sending a message.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What was answered.
    pub status: Option<StatusCode>,
    /// Why it doesn't count as taken, in our own words.
    pub error: Option<Cow<'static, str>>,
    /// How long it took.
    pub time: Duration,
}

impl Attempt {
    /// Whether the receiver has taken it.
    pub fn is_taken(&self) -> bool {
        self.error.is_none()
    }

    /// Whether the receiver wants nothing more, ever.
    pub(crate) fn is_gone(&self) -> bool {
        self.status == Some(StatusCode::GONE)
    }
}

impl Webhooks {
    /// Sends a message to a webhook now, signed with the secrets that hold at this moment.
    pub async fn attempt(&self, webhook: &Webhook, message: Uuid, body: &str) -> Attempt {
        let begun = self.clock.monotonic();
        let answered = match self.request(webhook, message, body) {
            Some(request) => self.outgoing.send(request, ANSWER_TIME).await.map_err(|error| error.as_str()),
            None => Err("the address is not valid any more"),
        };
        let time = self.clock.monotonic().saturating_sub(begun);
        match answered {
            Ok(status) => Attempt { status: Some(status), error: fault(status), time },
            Err(error) => Attempt { status: None, error: Some(error.into()), time },
        }
    }

    fn request(&self, webhook: &Webhook, message: Uuid, body: &str) -> Option<Request<Bytes>> {
        let url: WebhookUrl = webhook.url.parse().ok()?;
        let now = self.clock.now();
        let secrets = self.key.signing(webhook, now);
        let signed = sign(&message.to_string(), now, body, secrets.iter().map(SigningSecret::bytes));
        let mut request = Request::new(Bytes::copy_from_slice(body.as_bytes()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.uri().clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(SENDER));
        for (name, value) in [
            ("webhook-id", signed.id),
            ("webhook-timestamp", signed.timestamp),
            ("webhook-signature", signed.signature),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value).ok()?);
        }
        Some(request)
    }
}

/// Why an answer doesn't count as taken.
fn fault(status: StatusCode) -> Option<Cow<'static, str>> {
    match status.as_u16() {
        200..300 => None,
        code @ 300..400 => Some(format!("answered {code}: redirects are not followed").into()),
        410 => Some("answered 410: gone for good".into()),
        code => Some(format!("answered {code}").into()),
    }
}
