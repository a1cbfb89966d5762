//! Search by words: the same folding for what is stored and what is asked, so both engines agree.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// How many words of a query count.
const MAX_WORDS: usize = 16;

/// Words of letters and digits, without case and accents, each behind a space: ` ada lovelace`.
pub fn fold<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut folded = String::new();
    for text in texts {
        let mut in_word = false;
        for character in
            text.nfkd().filter(|character| !is_combining_mark(*character)).flat_map(char::to_lowercase)
        {
            if character.is_alphanumeric() {
                if !in_word {
                    folded.push(' ');
                }
                folded.push(character);
            }
            in_word = character.is_alphanumeric();
        }
    }
    folded
}

/// A `LIKE` pattern for each word of a query, to match against [`fold`]ed text; a row must match all.
pub fn patterns(query: &str) -> Vec<String> {
    fold([query]).split_whitespace().take(MAX_WORDS).map(|word| format!("% {word}%")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_case_and_accents_and_splits_at_anything_else() {
        assert_eq!(fold(["Élan-Vital", "x_1%"]), " elan vital x 1");
        assert_eq!(patterns("ÉLAN 1%"), ["% elan%", "% 1%"]);
        assert!(patterns("%_'").is_empty());
    }
}
