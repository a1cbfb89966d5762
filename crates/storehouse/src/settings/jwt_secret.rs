//! The secret that signs tokens: refused where it can be guessed, made and kept where a developer has none.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use kit::secret::Secret;

/// HS256 needs a key as long as its hash.
const SHORTEST: usize = 32;

/// Parts of the examples that people copy, as they look without signs between the words.
const WELL_KNOWN: &[&str] = &[
    "changeinproduction",
    "changeme",
    "changethis",
    "replaceme",
    "stringsecretatleast",
    "yourjwtsecret",
    "yoursecret",
    "yoursupersecret",
    "supersecretjwt",
];

const MAKE_ONE: &str = "make one with: openssl rand -hex 32";

/// In production a secret must be given, be long enough, and not stand in any tutorial.
pub(super) fn check(secret: Option<&Secret>) -> Result<()> {
    let Some(secret) = secret.map(Secret::expose) else {
        bail!("JWT_SECRET must be set in production: {MAKE_ONE}")
    };
    ensure!(
        !is_well_known(secret),
        "JWT_SECRET is a well-known or easily guessed text, and must be at least {SHORTEST} random bytes: {MAKE_ONE}"
    );
    let length = secret.len();
    ensure!(
        length >= SHORTEST,
        "JWT_SECRET is {length} bytes long and must be at least {SHORTEST}: {MAKE_ONE}"
    );
    Ok(())
}

/// Few different characters are a repeated word, such as `secretsecretsecret…`; few different steps between them are counted up, as `1234567890123…`.
fn is_well_known(secret: &str) -> bool {
    let lower = secret.to_lowercase();
    let plain: String = lower.chars().filter(|c| c.is_alphanumeric()).collect();
    let characters: BTreeSet<u8> = lower.bytes().collect();
    let steps: BTreeSet<u8> =
        lower.bytes().zip(lower.bytes().skip(1)).map(|(one, next)| next.wrapping_sub(one)).collect();
    characters.len().min(steps.len()) < 8 || WELL_KNOWN.iter().any(|known| plain.contains(known))
}

/// The secret in the data folder, made if it isn't there. The lock makes processes that start at once agree on one.
pub(super) fn kept_in(data_dir: &Path) -> Result<Secret> {
    let path = data_dir.join("jwt-secret");
    let kept = make_folder(data_dir).and_then(|()| open(&path)).and_then(|file| read_or_make(&file));
    let secret = kept.with_context(|| format!("can't keep the signing secret in {}", path.display()))?;
    ensure!(
        secret.expose().len() >= SHORTEST,
        "{} holds no secret of at least {SHORTEST} bytes: remove it, and a new one is made",
        path.display()
    );
    Ok(secret)
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn open(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        let path = path.display();
        tracing::warn!(%path, "others on this machine can read the signing secret: chmod 600 the file");
    }
    Ok(file)
}

fn read_or_make(mut file: &File) -> std::io::Result<Secret> {
    file.lock()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    if !text.is_empty() {
        return Ok(Secret::new(text.trim()));
    }
    let secret = Secret::generate()?;
    file.write_all(format!("{}\n", secret.expose()).as_bytes())?;
    file.sync_all()?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d01_what_can_be_guessed_is_refused() {
        for bad in [
            "your-secret-key-change-in-production",
            "YOUR_SECRET_KEY_CHANGE_IN_PRODUCTION",
            "secret",
            "changeme",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "secretsecretsecretsecretsecretsecret",
            "12345678901234567890123456789012",
            "01234567012345670123456701234567",
            "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
            "a-string-secret-at-least-256-bits-long",
            "please change me, please change me, please",
            "9c1f0a7b3d5e2468ace0",
            "",
        ] {
            let error = check(Some(&Secret::new(bad))).unwrap_err().to_string();
            assert!(error.contains("openssl rand -hex 32") && !error.contains('\n'), "{error}");
        }
        assert!(check(None).is_err());
        for _ in 0..1000 {
            check(Some(&Secret::generate().unwrap())).unwrap();
        }
    }

    #[test]
    fn processes_that_start_at_once_agree() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("new/data");
        let secrets: Vec<Secret> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..16).map(|_| scope.spawn(|| kept_in(&data).unwrap())).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
        let mode = data.join("jwt-secret").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("jwt-secret"), "short").unwrap();
        let error = kept_in(folder.path()).unwrap_err().to_string();
        assert!(error.contains("jwt-secret") && error.contains("remove it"), "{error}");
    }
}
