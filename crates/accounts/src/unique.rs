//! What makes an email or a user name one of its kind: two that a reader takes for the same are the same.
//!
//! As in PRECIS (RFC 8265) neither width, case nor composition tells two apart; a domain is compared as IDNA compares it
//! (UTS 46), in punycode or not; and a character from outside ASCII counts as the one it is confused with (UTS 39), as a small letter or as a capital. What
//! ASCII alone can write stays apart (`paul1`, `paull`): those are different people's real addresses.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;
use unicode_security::skeleton;

/// Rises with each change of what is below, the tables of its crates among it: rows that were stored with an earlier one
/// get new keys at the next start (`renew_keys`).
pub(crate) const KEY_VERSION: i64 = 3;

/// The key of an email, or of what somebody takes for one.
pub(crate) fn email_key(email: &str) -> String {
    let Some((local, domain)) = email.rsplit_once('@') else { return fold(email) };
    // Quotes around a name change nothing of whom it names (RFC 5321, section 4.1.2).
    let local = local.replace(['"', '\\'], "");
    let (domain, _) = idna::domain_to_unicode(domain);
    format!("{}@{}", fold(&local), fold(domain.trim_end_matches('.')))
}

/// The key of any other name.
pub(crate) fn fold(text: &str) -> String {
    let plain = without_case(text);
    if plain.is_ascii() {
        return plain;
    }
    let mut folded = String::with_capacity(plain.len());
    for character in plain.chars() {
        if character.is_ascii() {
            folded.push(character);
        } else {
            folded.push_str(&looks_like(character));
        }
    }
    without_case(&folded)
}

/// What a small letter is taken for: if for nothing in ASCII, then what its capital is taken for, as the Cyrillic `к` is in `TOMEК`.
fn looks_like(letter: char) -> String {
    let small: String = skeleton(letter.encode_utf8(&mut [0; 4])).collect();
    if small.is_ascii() {
        return small;
    }
    let capital: String = letter.to_uppercase().collect();
    let capital: String = skeleton(&capital).collect();
    if capital.is_ascii() { capital } else { small }
}

/// In both directions, since letters that share a capital are one: `ı` and `i`, `ſ` and `s`.
fn without_case(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let lower: String =
        text.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc().collect();
    // A dot on a letter that has one already doesn't show.
    lower.replace("i\u{307}", "i").replace("j\u{307}", "j")
}

/// Whether mail could be sent there: a name that IDNA allows, without a dot at its end.
pub(crate) fn is_domain(domain: &str) -> bool {
    let strict = AsciiDenyList::STD3;
    Uts46::new().to_ascii(domain.as_bytes(), strict, Hyphens::CheckFirstLast, DnsLength::Verify).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_have_one_key() {
        for alike in [
            "MIKE",
            "\u{ff2d}\u{ff29}\u{ff2b}\u{ff25}", // full-width
            "m\u{131}ke",                       // dotless i
            "M\u{130}KE",                       // dotted capital I
            "mi\u{212a}e",                      // Kelvin sign
            "m\u{456}ke",                       // Cyrillic i
            "\u{1d426}ike",                     // mathematical m
            "mik\u{435}",                       // Cyrillic e
            "mi\u{307}ke",                      // a second dot
            "MI\u{41a}E",       // Cyrillic K, which as a small letter looks like none of ASCII
            "\u{41c}I\u{39a}E", // Cyrillic M, Greek K
        ] {
            assert_eq!(fold(alike), "mike", "{alike:?}");
        }
        assert_eq!(fold("OCTO1"), fold("\u{41e}\u{421}\u{422}\u{41e}1"));
        assert_eq!(fold("Ange\u{301}lique"), fold("ANG\u{c9}LIQUE"), "composed or not");
        assert_eq!(fold("ΟΔΥΣΣΕΥΣ"), fold("οδυσσευς"), "two forms of one letter");
        assert_eq!(fold("STRASSE"), fold("straße"));
    }

    #[test]
    fn names_that_differ_stay_apart() {
        for (one, other) in
            [("paul1", "paull"), ("mike", "mile"), ("rn", "m"), ("angelique", "angélique"), ("0", "o")]
        {
            assert_ne!(fold(one), fold(other));
        }
    }

    #[test]
    fn a_domain_is_compared_as_resolvers_do() {
        for (one, other) in [
            ("ada@B\u{fc}cher.example", "ADA@xn--bcher-kva.example"),
            ("ada@example.com", "ada@EXAMPLE.com."),
            ("ada@example\u{3002}com", "ada@example.com"),
            ("ada@g\u{131}thub.example", "ada@github.example"),
            ("ada@xn--gthub-n4a.example", "ada@github.example"),
            ("\"ada\"@example.com", "ada@example.com"),
        ] {
            assert_eq!(email_key(one), email_key(other), "{one} {other}");
        }
        assert_ne!(email_key("ada@example.com"), email_key("ada@example.org"));
        assert_ne!(
            email_key("ada+shop@example.com"),
            email_key("ada@example.com"),
            "another mailbox, for all we know"
        );
    }

    #[test]
    fn a_domain_has_letters_digits_and_hyphens_in_labels() {
        for good in ["example.com", "B\u{fc}cher.example", "xn--bcher-kva.example", "a-b.example"] {
            assert!(is_domain(good), "{good}");
        }
        for bad in [
            "example.com.",
            "a_b.example",
            "-a.example",
            "a..example",
            "xn--a.example",
            "a\u{200b}b.example ",
            "",
        ] {
            assert!(!is_domain(bad), "{bad:?}");
        }
    }
}
