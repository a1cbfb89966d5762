//! Mails to a mail server (RFC 5321), which takes them further.

use std::io;
use std::str::FromStr;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::Uri;
use lettre::message::Mailbox;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{AsyncSmtpTransportBuilder, Error};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tokio::time::timeout;

use super::{Letter, Mail, MailError};
use crate::fields::Invalid;
use crate::outgoing::Authorities;

/// How long it may take to reach the server, and all of it together.
const CONNECT_TIME: Duration = Duration::from_secs(10);
const SENDING_TIME: Duration = Duration::from_secs(30);

/// Answers that say of the address that it is no good, now and later (RFC 5321, section 4.2.3; RFC 7504).
const NO_SUCH_ADDRESS: [u16; 4] = [550, 551, 553, 556];
/// Answers that say of us that we are not let in (RFC 4954): that is put right on one of the two sides, and then it goes.
const NOT_LET_IN: [u16; 4] = [530, 534, 535, 538];

/// Where a mail server is, and how it is talked to: `smtps://user:password@host`, `smtp://host:587?tls=required`.
///
/// A user name and password are only taken where the way is encrypted, or doesn't leave this machine.
#[derive(Clone)]
pub struct SmtpUrl {
    builder: AsyncSmtpTransportBuilder,
    host: String,
    /// Unless nothing is encrypted.
    encryption: Option<Encryption>,
}

/// When encryption begins.
type Encryption = fn(TlsParameters) -> Tls;

impl SmtpUrl {
    /// The server's name, which is no secret.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl FromStr for SmtpUrl {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refused = || Invalid::value("must be an address of a mail server");
        let uri: Uri = text.parse().map_err(|_| refused())?;
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(text).map_err(|_| refused())?;
        let (host, authority) = (uri.host().unwrap_or_default(), uri.authority().ok_or_else(refused)?);
        let is_plain = matches!(uri.path(), "" | "/") && !host.is_empty();
        let login = authority.as_str().rsplit_once('@').map(|(login, _)| login);
        let is_login_good = match login {
            None => true,
            // With no password the library would leave the name out without a word.
            Some(login) => {
                login.split_once(':').is_some_and(|(name, password)| !name.is_empty() && !password.is_empty())
            }
        };
        let may_be_read = login.is_none() || is_loopback(host);
        let (encryption, is_safe): (Option<Encryption>, _) = match (uri.scheme_str(), uri.query()) {
            (Some("smtps"), None) => (Some(Tls::Wrapper), true),
            (Some("smtp"), Some("tls=required")) => (Some(Tls::Required), true),
            (Some("smtp"), Some("tls=opportunistic")) => (Some(Tls::Opportunistic), may_be_read),
            (Some("smtp"), None) => (None, may_be_read),
            _ => (None, false),
        };
        if is_plain && is_login_good && is_safe {
            Ok(Self { builder, host: host.to_owned(), encryption })
        } else {
            Err(refused())
        }
    }
}

fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// A mail server. Each mail has a connection of its own: they are few.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Smtp {
    /// What it sends comes from this address, by whose domain it is greeted too. An error if TLS can't be had.
    pub fn new(server: &SmtpUrl, from: Mailbox, authorities: &Authorities) -> io::Result<Self> {
        let name = ClientId::Domain(from.email.domain().to_owned());
        let mut builder = server.builder.clone().timeout(Some(CONNECT_TIME)).hello_name(name);
        if let Some(encryption) = server.encryption {
            builder =
                builder.tls(encryption(parameters(&server.host, authorities).map_err(io::Error::other)?));
        }
        Ok(Self { transport: builder.build(), from })
    }

    async fn send_one(&self, letter: &Letter) -> Result<(), MailError> {
        let message = letter.message(&self.from)?;
        match timeout(SENDING_TIME, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(cause(&error)),
            Err(_) => Err(MailError::NotSent("the mail server took too long".into())),
        }
    }
}

/// What the server must prove: its name, by an authority that is built in or one of these.
fn parameters(host: &str, authorities: &Authorities) -> Result<TlsParameters, Error> {
    let mut parameters = TlsParameters::builder(host.to_owned());
    for certificate in authorities.own() {
        parameters = parameters.add_root_certificate(Certificate::from_der(certificate.to_vec())?);
    }
    parameters.build()
}

impl Mail for Smtp {
    fn send<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<(), MailError>> {
        self.send_one(letter).boxed()
    }
}

/// What went wrong, without the words of library and server, which may hold what nobody else should know.
fn cause(error: &Error) -> MailError {
    if let Some(code) = error.status().map(u16::from) {
        return match code {
            code if NO_SUCH_ADDRESS.contains(&code) => {
                MailError::NoSuchAddress(format!("the mail server refuses the address: {code}").into())
            }
            code if NOT_LET_IN.contains(&code) => {
                MailError::NotSent(format!("the mail server doesn't let us in: {code}").into())
            }
            code => MailError::NotSent(format!("the mail server answered {code}").into()),
        };
    }
    MailError::NotSent(match error {
        error if error.is_client() => {
            "the mail server lacks STARTTLS, a way to log in, or letters beyond ASCII".into()
        }
        error if error.is_response() => "the mail server hung up, or talks no SMTP".into(),
        _ => "no connection to the mail server, or none that is safe".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_server_says_how_it_is_talked_to() {
        for good in [
            "smtps://user:p%40ss@mail.example.com:465",
            "smtps://mail.example.com",
            "smtp://mail.example.com:587?tls=required",
            "smtp://user:pass@mail.example.com?tls=required",
            "smtp://mail:25",
            "smtp://mail?tls=opportunistic",
            "smtp://user:pass@127.0.0.1:2525",
        ] {
            let url: SmtpUrl = good.parse().ok().unwrap_or_else(|| panic!("{good}"));
            assert!(good.contains(url.host()));
        }
        for bad in [
            "",
            "mail.example.com",
            "http://mail.example.com",
            "smtp://",
            "smtp://mail:99999",
            "smtp://mail/path",
            "smtp://mail?tls=perhaps",
            "smtp://mail?tsl=required",
            "smtps://user@mail",
            "smtps://:pass@mail",
            "smtp://user:pass@mail.example.com",
            "smtp://user:pass@mail.example.com?tls=opportunistic",
        ] {
            assert!(bad.parse::<SmtpUrl>().is_err(), "{bad}");
        }
    }
}
