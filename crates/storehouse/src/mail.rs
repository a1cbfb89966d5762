//! How mails leave by these settings: to a mail server, into a folder, or not at all.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use kit::mail::{Folder, Mail, Smtp};
use kit::outgoing::Authorities;

use crate::settings::{Environment, Settings};
use crate::system::MailOptions;

/// None in production without a mail server.
pub(crate) fn options(settings: &Settings, authorities: &Authorities) -> Result<Option<MailOptions>> {
    let Some(from) = settings.mail.from.clone() else { return Ok(None) };
    let way: Arc<dyn Mail> = match (&settings.mail.smtp, settings.environment) {
        (Some(server), _) => Arc::new(Smtp::new(server, from, authorities).context("can't use SMTP_URL")?),
        (None, Environment::Development) => Arc::new(Folder::new(folder(settings), from)),
        (None, Environment::Production) => return Ok(None),
    };
    let (low_stock_to, public_url) = (settings.mail.low_stock_to.clone(), settings.mail.public_url.clone());
    Ok(Some(MailOptions { way, low_stock_to, public_url }))
}

/// What becomes of mails, said to a person.
pub(crate) fn describe(settings: &Settings) -> String {
    match (&settings.mail.smtp, settings.environment) {
        (Some(server), _) => format!("sent by {}", server.host()),
        (None, Environment::Development) => {
            format!("not sent, but written to {}", folder(settings).display())
        }
        (None, Environment::Production) => "none is sent, since SMTP_URL is not set".to_owned(),
    }
}

fn folder(settings: &Settings) -> PathBuf {
    settings.data_dir.join("mail")
}
