//! A backup as a file: what the database's own tool wrote (a SQLite database, or an archive of `pg_dump`), and behind it a last line, the
//! seal, which says what it is and holds a digest of all before it. The tools of both read such a file as it is.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use db::DatabaseUrl;
use kit::clock::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::progress::Progress;

const BEGINNING: &str = "\nstorehouse-backup 1 ";
const DIGEST: &str = " sha256=";
/// No seal is longer.
const LONGEST: u64 = 512;
const PIECE: usize = 1 << 20;

/// What a seal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seal {
    /// `sqlite` or `postgres`.
    pub(crate) engine: String,
    /// The number of the last migration.
    pub(crate) schema: u32,
    pub(crate) made_at: Timestamp,
    /// How many bytes stand before it.
    pub(crate) length: u64,
}

/// The word for an engine.
pub(crate) fn engine(url: &DatabaseUrl) -> &'static str {
    match url {
        DatabaseUrl::Sqlite(_) => "sqlite",
        DatabaseUrl::Postgres(_) => "postgres",
    }
}

/// Adds the seal to a file and syncs it; says how long the file then is.
pub(crate) fn seal(file: &mut File, engine: &str, schema: u32, made_at: Timestamp) -> io::Result<u64> {
    file.rewind()?;
    let mut digest = Sha256::new();
    let length = read_pieces(file, u64::MAX, |piece, _| digest.update(piece))?;
    let head = format!(
        "{BEGINNING}engine={engine} schema={schema} made={made_at} program={}{DIGEST}",
        env!("CARGO_PKG_VERSION")
    );
    digest.update(&head);
    let seal = format!("{head}{}\n", hex(digest));
    file.seek(SeekFrom::End(0))?;
    file.write_all(seal.as_bytes())?;
    file.sync_all()?;
    Ok(length + seal.len() as u64)
}

/// The seal of a file; of what stands before it only the length is looked at.
pub(crate) fn read_seal(path: &Path) -> Result<Seal> {
    let (seal, _) = open(path).and_then(|mut file| Ok(parse(&tail(&mut file)?)))?.with_context(|| {
        format!("{} is no backup of Storehouse, or not all of one: its last line is missing", path.display())
    })?;
    Ok(seal)
}

/// The same, and everything before it is as it was written.
pub(crate) fn check(path: &Path, progress: &Progress) -> Result<Seal> {
    let seal = read_seal(path)?;
    let mut file = open(path)?;
    let (_, wanted) = parse(&tail(&mut file)?).context("the seal went away")?;
    let covered = file.metadata()?.len() - wanted.len() as u64 - 1;
    file.rewind()?;
    let mut digest = Sha256::new();
    let read = read_pieces(&mut file, covered, |piece, done| {
        digest.update(piece);
        progress.show("checking the file", done, Some(covered));
    });
    let read = read.with_context(|| format!("can't read {}", path.display()))?;
    if read != covered || hex(digest) != wanted {
        bail!("{} is damaged: it is not as it was written; take another backup", path.display());
    }
    Ok(seal)
}

fn open(path: &Path) -> Result<File> {
    let file = File::open(path).with_context(|| format!("can't read {}", path.display()))?;
    ensure!(file.metadata()?.is_file(), "{} is no file", path.display());
    Ok(file)
}

/// The end of a file, and at which place it begins.
fn tail(file: &mut File) -> io::Result<(u64, Vec<u8>)> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(LONGEST);
    file.seek(SeekFrom::Start(start))?;
    let mut text = Vec::new();
    file.take(LONGEST).read_to_end(&mut text)?;
    Ok((start, text))
}

/// The seal at a file's end, and its digest.
fn parse((start, text): &(u64, Vec<u8>)) -> Option<(Seal, String)> {
    let at = text.windows(BEGINNING.len()).rposition(|window| window == BEGINNING.as_bytes())?;
    let line = str::from_utf8(text.get(at + BEGINNING.len()..)?).ok()?.strip_suffix('\n')?;
    let (said, digest) = line.split_once(DIGEST)?;
    let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    let field = |name: &str| said.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let seal = Seal {
        engine: field("engine")?.to_owned(),
        schema: field("schema")?.parse().ok()?,
        made_at: Timestamp::parse(field("made")?)?,
        length: start + at as u64,
    };
    is_digest.then(|| (seal, digest.to_owned()))
}

/// Reads at most so much, in pieces; says how much it was.
fn read_pieces(file: &mut File, most: u64, mut take: impl FnMut(&[u8], u64)) -> io::Result<u64> {
    let (mut buffer, mut done) = (vec![0; PIECE], 0);
    let mut file = file.take(most);
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(done);
        }
        done += count as u64;
        take(buffer.get(..count).unwrap_or_default(), done);
    }
}

fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn sealed(content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.backup");
        fs::write(&path, content).unwrap();
        let mut file = File::options().read(true).write(true).open(&path).unwrap();
        let length = seal(&mut file, "sqlite", 7, Timestamp(1_700_000_000_000_000)).unwrap();
        assert_eq!(length, path.metadata().unwrap().len());
        (folder, path)
    }

    #[test]
    fn a_seal_says_what_was_sealed() {
        for content in [&b""[..], b"abc", &[7; 3_000_000], BEGINNING.as_bytes()] {
            let (_folder, path) = sealed(content);
            let seal = check(&path, &Progress::new()).unwrap();
            let made_at = Timestamp(1_700_000_000_000_000);
            let length = content.len() as u64;
            assert_eq!(seal, Seal { engine: "sqlite".to_owned(), schema: 7, made_at, length });
        }
    }

    /// Each byte of a small file, changed in each bit, and each length that is too short.
    #[test]
    fn whatever_is_changed_is_found() {
        let (_folder, path) = sealed(b"the content");
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut changed = whole.clone();
                changed[at] ^= 1 << bit;
                fs::write(&path, &changed).unwrap();
                let error = check(&path, &Progress::new()).err().map(|error| error.to_string());
                let error = error.unwrap_or_else(|| panic!("byte {at}, bit {bit} is not missed"));
                assert!(error.contains("a.backup"), "{error}");
            }
        }
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(check(&path, &Progress::new()).is_err(), "{length}");
        }
        fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
        assert!(check(&path, &Progress::new()).is_err());
    }
}
