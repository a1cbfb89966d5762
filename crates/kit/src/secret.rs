//! Text that must not be seen: it has no `Display` and no `Serialize`, and its `Debug` says nothing of it.

use std::fmt;

use subtle::ConstantTimeEq as _;

/// A password, key or token. `expose` is the one way to its content, so that each use can be found by name.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps the text.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// 32 bytes of the operating system's randomness, in hexadecimal.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn generate() -> std::io::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
    }

    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Takes the same time wherever two texts of one length differ.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn shows_nothing_and_compares_by_content() {
        let secret = Secret::new("swordfish");
        assert_eq!(format!("{secret:?}"), "[secret]");
        assert_eq!(secret, Secret::new("swordfish"));
        assert_ne!(secret, Secret::new("swordfisH"));
        assert_ne!(secret, Secret::new("sword"));
    }

    #[test]
    fn generated_ones_are_long_and_differ() {
        let (one, other) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        assert_eq!(one.expose().len(), 64);
        assert_ne!(one, other);
    }
}
