//! What proves to a receiver that a message is ours and new (Standard Webhooks, section "Verifying webhook authenticity").

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use kit::clock::Timestamp;
use sha2::Sha256;

/// The three headers of a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Headers {
    /// `webhook-id`: the same however often it is sent.
    pub id: String,
    /// `webhook-timestamp`: when it was sent, in seconds since 1970.
    pub timestamp: String,
    /// `webhook-signature`: `v1,` and the code, one for each key with spaces between them.
    pub signature: String,
}

/// Signs a message with each of the keys.
pub fn sign<'a>(id: &str, now: Timestamp, body: &str, keys: impl IntoIterator<Item = &'a [u8]>) -> Headers {
    let timestamp = now.seconds().to_string();
    let signatures: Vec<String> = keys.into_iter().map(|key| code(key, &[id, &timestamp, body])).collect();
    Headers { id: id.to_owned(), timestamp, signature: signatures.join(" ") }
}

fn code(key: &[u8], [id, timestamp, body]: &[&str; 3]) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104)")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key");
    for part in [id, ".", timestamp, ".", body] {
        mac.update(part.as_bytes());
    }
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn the_published_message_has_the_published_signature() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let now = Timestamp(1_614_265_330_000_000);
        let headers = sign("msg_p5jXN8AQM9LWM0D4loKWxJek", now, r#"{"test": 2432232314}"#, [key.as_slice()]);
        assert_eq!(headers.id, "msg_p5jXN8AQM9LWM0D4loKWxJek");
        assert_eq!(headers.timestamp, "1614265330");
        assert_eq!(headers.signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_keys_give_two_signatures() {
        let sign = |keys: &[&[u8]]| sign("a", Timestamp(0), "{}", keys.iter().copied()).signature;
        let (one, other) = (sign(&[b"one"]), sign(&[b"other"]));
        assert_eq!(sign(&[b"one", b"other"]), format!("{one} {other}"));
        assert_ne!(one, other);
    }
}
