//! Mails as files that any mail program opens, for whoever develops without a mail server.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use lettre::message::Mailbox;
use tokio::task::spawn_blocking;
use tracing::info;

use super::{Letter, Mail, MailError};

/// A folder that only its owner may look into, and so each file: a mail may hold a secret.
pub struct Folder {
    path: PathBuf,
    from: Mailbox,
}

impl Folder {
    /// It is made when the first mail comes.
    pub fn new(path: PathBuf, from: Mailbox) -> Self {
        Self { path, from }
    }

    async fn write(&self, letter: &Letter) -> Result<(), MailError> {
        let message = letter.message(&self.from)?.formatted();
        let file = self.path.join(format!("{}.eml", letter.id));
        let (folder, target) = (self.path.clone(), file.clone());
        let written = spawn_blocking(move || write(&folder, &target, &message)).await;
        if !matches!(written, Ok(Ok(()))) {
            return Err(MailError::NotSent("the mail's file can't be written".into()));
        }
        info!(file = %file.display(), "a mail was written to a file");
        Ok(())
    }
}

impl Mail for Folder {
    fn send<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<(), MailError>> {
        self.write(letter).boxed()
    }
}

/// Under its name it is whole.
fn write(folder: &Path, file: &Path, content: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let draft = file.with_extension("unfinished");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?.write_all(content)?;
    fs::rename(&draft, file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::mail::tests::letter;

    #[tokio::test]
    async fn a_mail_is_a_file_that_only_its_owner_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/mail");
        let mail = Folder::new(path.clone(), "storehouse@localhost".parse().unwrap());
        for text in ["one", "two"] {
            mail.send(&letter("Hello", text)).await.unwrap();
        }
        let files: Vec<PathBuf> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [file] = files.as_slice() else { panic!("{files:?}") };
        assert_eq!(file.extension().unwrap(), "eml");
        assert!(fs::read_to_string(file).unwrap().trim_end().ends_with("two"), "the last attempt's");
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(file)), (0o700, 0o600));
        fs::remove_dir_all(&path).unwrap();
        fs::write(&path, "a file where the folder should be").unwrap();
        let error = mail.send(&letter("Hello", "three")).await.unwrap_err();
        assert_eq!(error, MailError::NotSent("the mail's file can't be written".into()));
    }
}
