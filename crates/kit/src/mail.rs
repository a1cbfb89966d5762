//! Mails on their way out of a process: to a mail server (`smtp`), or into a folder where a developer reads them (`folder`).
//!
//! A mail is plain text in UTF-8 (RFC 5322, RFC 2045). A `Letter` has no `Debug`: what it says may be a secret.

mod folder;
mod smtp;

use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Message, SinglePart};
use uuid::Uuid;

pub use self::folder::Folder;
pub use self::smtp::{Smtp, SmtpUrl};
use crate::clock::Timestamp;

/// An address that a mail can be sent to (RFC 5321).
pub use lettre::Address;
/// An address, perhaps with a name: `Storehouse <storehouse@example.com>`.
pub use lettre::message::Mailbox;

/// A mail to be sent.
pub struct Letter {
    /// What its `Message-ID` is made of: a receiver knows by it a mail that comes twice.
    pub id: Uuid,
    /// Where it goes.
    pub to: Address,
    /// One line.
    pub subject: String,
    /// What it says.
    pub text: String,
    /// When it is sent.
    pub date: Timestamp,
}

/// A way out for mails.
pub trait Mail: Send + Sync {
    /// Sends one.
    fn send<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<(), MailError>>;
}

/// Why a mail was not sent, in our own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailError {
    /// There is nobody at this address, and never will be.
    NoSuchAddress(Cow<'static, str>),
    /// Later it may go.
    NotSent(Cow<'static, str>),
}

impl MailError {
    /// Said to the operator.
    pub fn reason(&self) -> &str {
        match self {
            Self::NoSuchAddress(reason) | Self::NotSent(reason) => reason,
        }
    }
}

impl Letter {
    /// As it goes over the wire. The library encodes every header, so that nothing in one can become another.
    fn message(&self, from: &Mailbox) -> Result<Message, MailError> {
        let date = u64::try_from(self.date.0).unwrap_or_default();
        // Who answers by himself, such as a holiday note, keeps silent (RFC 3834).
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        Message::builder()
            .from(from.clone())
            .to(Mailbox::new(None, self.to.clone()))
            .subject(&self.subject)
            .date(UNIX_EPOCH + Duration::from_micros(date))
            .message_id(Some(format!("<{}@{}>", self.id.simple(), from.email.domain())))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .singlepart(SinglePart::builder().header(ContentType::TEXT_PLAIN).body(body(&self.text)))
            .map_err(|_| MailError::NoSuchAddress("no mail can be made of it".into()))
    }
}

/// As it stands, where the wire takes it so (RFC 5322: ASCII, lines of at most 998 characters): whoever opens a mail's file reads a link as it is.
fn body(text: &str) -> Body {
    if text.is_ascii() && text.lines().all(|line| line.len() <= 998) {
        let lines = text.replace('\n', "\r\n").into_bytes();
        return Body::dangerous_pre_encoded(lines, ContentTransferEncoding::SevenBit);
    }
    Body::new(text.to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn letter(subject: &str, text: &str) -> Letter {
        Letter {
            id: Uuid::from_u128(7),
            to: "ada@example.com".parse().unwrap(),
            subject: subject.to_owned(),
            text: text.to_owned(),
            date: Timestamp::parse("2026-01-31T09:30:00Z").unwrap(),
        }
    }

    fn written(subject: &str, text: &str) -> String {
        let from = "Storehouse <storehouse@example.com>".parse().unwrap();
        String::from_utf8(letter(subject, text).message(&from).unwrap().formatted()).unwrap()
    }

    #[test]
    fn a_mail_has_what_a_mail_must_have() {
        let text = written("Low stock", "Four lamps.\nNo pens.\n");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        for line in [
            "From: Storehouse <storehouse@example.com>",
            "To: ada@example.com",
            "Subject: Low stock",
            "Date: Sat, 31 Jan 2026 09:30:00 +0000",
            "Message-ID: <00000000000000000000000000000007@example.com>",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
        ] {
            assert!(head.split("\r\n").any(|known| known == line), "{line}: {head}");
        }
        assert_eq!(body.replace("\r\n", "\n").trim_end(), "Four lamps.\nNo pens.");
    }

    #[test]
    fn a_link_stands_as_it_is_and_what_the_wire_does_not_take_is_encoded() {
        let link = format!("https://shop.example.com/reset-password#token={}", "a".repeat(64));
        assert!(written("x", &link).contains(&link));
        for text in ["Lämpchen".to_owned(), "a".repeat(999)] {
            let written = written("x", &text);
            assert!(written.is_ascii() && written.lines().all(|line| line.len() <= 76), "{written}");
        }
    }

    #[test]
    fn no_subject_becomes_another_header() {
        for subject in [
            "a\r\nBcc: eve@example.com",
            "a\nBcc: eve@example.com",
            "a\rBcc: eve@example.com",
            "Lämpchen\r\n\r\nx",
        ] {
            let text = written(subject, "x");
            let (head, _) = text.split_once("\r\n\r\n").unwrap();
            let names: Vec<&str> =
                head.split("\r\n").filter_map(|line| line.split_once(": ")).map(|(name, _)| name).collect();
            assert!(!names.contains(&"Bcc") && names.contains(&"Auto-Submitted"), "{head}");
            assert!(!head.replace("\r\n", "").contains(['\r', '\n']), "{head:?}");
        }
    }

    #[test]
    fn an_address_holds_no_line_break() {
        for bad in [
            "ada@example.com\r\nBcc: eve@example.com",
            "ada@example.com\n",
            "ada",
            "@example.com",
            "a b@example.com",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad:?}");
        }
        let from: Mailbox = "Störehouse <storehouse@localhost>".parse().unwrap();
        assert_eq!(from.email.domain(), "localhost");
    }
}
