//! Passwords that are tried first (NIST SP 800-63B-4, section 3.1.1.2): common ones, names of whoever sets one or of what it is for,
//! and walks over the keyboard. All of it is known offline.

use std::collections::HashSet;

use kit::fields::Invalid;

use crate::unique::fold;

/// The passwords of at least 8 characters that are used most, in lower case.
const COMMON: &str = include_str!("../assets/common-passwords.txt");

/// What the password is for.
const PRODUCT: &str = "storehouse";

/// A shorter name stands in too much that has nothing to do with it.
const SHORTEST_NAME: usize = 3;

/// With so few letters and digits beside names it is still a name.
const FEW: usize = 5;

/// A common password with so much behind it is still one.
const LONGEST_TAIL: usize = 4;

/// Rows of keys, those of another layout where they differ, and orders that everybody knows.
const ROWS: [&str; 9] = [
    "1234567890-=",
    "qwertyuiop[]",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
];

/// The keys below each other, from left to right.
const COLUMNS: [&str; 12] =
    ["1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "8ik,", "9ol.", "0p;/", "1qay", "2wsx"];

/// What is refused.
pub(crate) struct Guessable {
    common: HashSet<&'static str>,
}

impl Guessable {
    /// With the list in memory, some 300 KB.
    pub(crate) fn new() -> Self {
        Self { common: COMMON.lines().collect() }
    }

    /// Whether anybody would soon come to this password of somebody with these names.
    pub(crate) fn check(&self, password: &str, email: &str, username: &str) -> Result<(), Invalid> {
        let lower = password.to_lowercase();
        let spelt = without_digits_for_letters(&lower);
        if self.is_common(&lower) || self.is_common(&spelt) {
            let message = "is one of the most common passwords, which are tried first";
            return Err(Invalid { code: "common_password", message: message.into() });
        }
        if is_walk(&lower) {
            let message = "is a row of keys, letters or digits, which are tried first";
            return Err(Invalid { code: "guessable_password", message: message.into() });
        }
        let names = names(email, username);
        if is_made_of(&names, &fold(password)) || is_made_of(&names, &spelt) {
            let message =
                "is little more than your name, your email or this product's name, which are tried first";
            return Err(Invalid { code: "guessable_password", message: message.into() });
        }
        Ok(())
    }

    fn is_common(&self, lower: &str) -> bool {
        let word = lower.trim_end_matches(|end: char| !end.is_alphabetic());
        let has_short_tail = lower.chars().count() - word.chars().count() <= LONGEST_TAIL;
        self.common.contains(lower) || has_short_tail && self.common.contains(word)
    }
}

/// `p4ssw0rd` as it is meant.
fn without_digits_for_letters(lower: &str) -> String {
    let letter = |character| match character {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    };
    lower.chars().map(letter).collect()
}

/// What others know of somebody, the longest first.
fn names(email: &str, username: &str) -> Vec<String> {
    let (email, username) = (fold(email), fold(username));
    let (local, domain) = email.rsplit_once('@').unwrap_or((&email, ""));
    // The last part of a domain names no one.
    let domain = domain.rsplit_once('.').map_or("", |(name, _)| name);
    let mut names = vec![PRODUCT.to_owned()];
    for text in [local, domain, &username] {
        names.extend(text.split(|separator: char| !separator.is_alphanumeric()).map(str::to_owned));
        names.push(text.chars().filter(|character| character.is_alphanumeric()).collect());
    }
    names.retain(|name| name.chars().count() >= SHORTEST_NAME);
    names.sort_unstable_by_key(|name| std::cmp::Reverse(name.len()));
    names
}

fn is_made_of(names: &[String], password: &str) -> bool {
    let rest = names.iter().fold(password.to_owned(), |rest, name| rest.replace(name.as_str(), ""));
    rest != password && rest.chars().filter(|character| character.is_alphanumeric()).count() < FEW
}

/// Whether it takes few jumps: no more than one for four characters.
fn is_walk(lower: &str) -> bool {
    let keys: Vec<char> = lower.chars().map(unshifted).collect();
    let jumps = keys.windows(2).filter(|pair| !are_neighbours(pair[0], pair[1])).count();
    jumps < keys.len() / 4
}

fn are_neighbours(one: char, other: char) -> bool {
    let stands_beside = |row: &&str| {
        let place = |key: char| row.chars().position(|other| other == key);
        place(one).zip(place(other)).is_some_and(|(one, other)| one.abs_diff(other) == 1)
    };
    one == other || ROWS.iter().chain(&COLUMNS).any(stands_beside)
}

/// The digit under a sign, as most keyboards have it.
fn unshifted(sign: char) -> char {
    "!@#$%^&*()"
        .chars()
        .zip("1234567890".chars())
        .find(|(above, _)| *above == sign)
        .map_or(sign, |(_, digit)| digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(password: &str) -> Option<&'static str> {
        let found = Guessable::new().check(password, "ada.lovelace@engine.example", "Countess");
        found.err().map(|invalid| invalid.code)
    }

    #[test]
    fn a05_every_password_of_the_list_is_refused() {
        let guessable = Guessable::new();
        assert!(guessable.common.len() > 3000);
        for common in COMMON.lines() {
            assert!(guessable.check(common, "", "").is_err(), "{common}");
            assert!(guessable.check(&common.to_uppercase(), "", "").is_err(), "{common} in capitals");
        }
    }

    #[test]
    fn common_passwords_are_known_in_disguise() {
        for common in ["password123", "PassWord123", "p4ssw0rd", "P@ssw0rd!", "sunshine2024", "iloveyou"] {
            assert_eq!(code(common), Some("common_password"), "{common}");
        }
    }

    #[test]
    fn names_make_no_password() {
        for name in [
            "storehouse",
            "StoreHouse1",
            "st0reh0use",
            "storehouse!202",
            "lovelace",
            "AdaLovelace",
            "ada.lovelace1",
            "countess99",
            "engineengine",
            "Storehouse-Ada",
            "ＣＯＵＮＴＥＳＳ",
        ] {
            assert_eq!(code(name), Some("guessable_password"), "{name}");
        }
    }

    #[test]
    fn walks_make_no_password() {
        for walk in [
            "qwertyuiop",
            "asdfghjkl;",
            "zaq1xsw2cde3",
            "1qaz2wsx3edc",
            "aaaaaaaa",
            "abcdefghijk",
            "98765432",
            "!@#$%^&*",
            "qwertzuiopasdf",
            "        ",
        ] {
            assert!(code(walk).is_some(), "{walk}");
        }
    }

    #[test]
    fn others_are_taken() {
        for good in [
            "correct horse battery staple",
            "another password",
            "Tr0ub4dor&3 climbs",
            "weather reef tree",
            "lovelace wrote notes",
            "xK9#mQ2$vL",
            "पासवर्ड लंबा है",
        ] {
            assert_eq!(code(good), None, "{good}");
        }
    }
}
