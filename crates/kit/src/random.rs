//! Randomness of the operating system, for what must not be guessed.

/// So many random bytes.
///
/// # Errors
/// When the operating system gives none.
pub fn bytes<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
