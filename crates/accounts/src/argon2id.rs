//! Argon2id in a memory that its user keeps, so that a hash allocates nothing large.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::password_hash::{Error, Result};
use argon2::{Algorithm, Argon2, Block, Params, PasswordVerifier, Version};

/// The cost (OWASP's first choice): 19 MiB, two passes, one lane.
const KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// How a hash in this cost begins.
pub(crate) const CURRENT: &str = "$argon2id$v=19$m=19456,t=2,p=1$";

/// A hash in this cost, of a password that nobody has.
pub(crate) const DUMMY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c3RvcmVob3VzZWR1bW15$ZHVtbXlkdW1teWR1bW15ZHVtbXlkdW1teWR1bW15ZHU";

/// Where one hash at a time is worked out: empty until the first, then 19 MiB.
#[derive(Default)]
pub(crate) struct Memory(Vec<Block>);

/// The hash of a new password, as text.
pub(crate) fn hash(password: &[u8], memory: &mut Memory) -> Result<String> {
    let (argon2, salt) = (argon2(), Salt::generate());
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params())?,
        salt: Some(salt),
        hash: Some(output(&argon2, password, &salt, memory)?),
    };
    Ok(hash.to_string())
}

/// Whether a stored hash is this password's. One in another cost, which somebody brought along, gets memory of its own.
pub(crate) fn matches(password: &[u8], stored: &str, memory: &mut Memory) -> bool {
    if !stored.starts_with(CURRENT) {
        return argon2().verify_password(password, stored).is_ok();
    }
    let Ok(PasswordHash { salt: Some(salt), hash: Some(hash), .. }) = PasswordHash::new(stored) else {
        return false;
    };
    // Outputs are compared in constant time.
    output(&argon2(), password, &salt, memory).is_ok_and(|output| output == hash)
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(KIB, PASSES, 1, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn output(argon2: &Argon2<'_>, password: &[u8], salt: &Salt, memory: &mut Memory) -> Result<Output> {
    memory.0.resize(argon2.params().block_count(), Block::new());
    let mut bytes = [0; Params::DEFAULT_OUTPUT_LEN];
    argon2
        .hash_password_into_with_memory(password, salt, &mut bytes, &mut memory.0)
        .map_err(|_| Error::Crypto)?;
    Ok(Output::new(&bytes)?)
}

#[cfg(test)]
mod tests {
    use argon2::PasswordHasher;

    use super::*;

    #[test]
    fn it_reads_and_writes_what_the_library_does_whatever_the_memory_held() {
        let mut memory = Memory::default();
        let theirs = argon2().hash_password(b"password123").unwrap().to_string();
        for _ in 0..2 {
            let ours = hash(b"password123", &mut memory).unwrap();
            assert!(ours.starts_with(CURRENT) && ours.len() == theirs.len(), "{ours}");
            assert!(argon2().verify_password(b"password123", ours.as_str()).is_ok());
            for stored in [&ours, &theirs] {
                assert!(matches(b"password123", stored, &mut memory));
                assert!(!matches(b"password124", stored, &mut memory));
            }
        }
        assert_ne!(hash(b"a", &mut memory).unwrap(), hash(b"a", &mut memory).unwrap(), "salted");
    }

    #[test]
    fn another_cost_is_verified_and_what_is_no_hash_is_nobodys() {
        let mut memory = Memory::default();
        let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
        let stored = cheap.hash_password(b"password123").unwrap().to_string();
        assert!(matches(b"password123", &stored, &mut memory));
        assert!(!matches(b"password124", &stored, &mut memory));
        for broken in [CURRENT, "$argon2id$", &DUMMY[..CURRENT.len() + 20]] {
            assert!(!matches(b"password123", broken, &mut memory), "{broken}");
        }
        assert_eq!(PasswordHash::new(DUMMY).unwrap().hash.unwrap().len(), 32);
    }
}
