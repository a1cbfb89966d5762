//! Search by words: the same folding for what is stored and what is asked, so both engines agree.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// How many words of a query count.
const MAX_WORDS: usize = 16;

/// Words of letters and digits, without case and accents, each behind a space: ` ada lovelace`.
pub fn fold<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut folded = String::with_capacity(128);
    for text in texts {
        // ASCII decomposes into itself, and is most of what is stored.
        if text.is_ascii() {
            let start = folded.len();
            push_words(&mut folded, text);
            folded[start..].make_ascii_lowercase();
        } else {
            let bare = text.nfkd().filter(|character| !is_combining_mark(*character));
            push_words(&mut folded, &bare.flat_map(char::to_lowercase).collect::<String>());
        }
    }
    folded
}

fn push_words(folded: &mut String, text: &str) {
    for word in text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()) {
        folded.push(' ');
        folded.push_str(word);
    }
}

/// The words of a query, folded; a row must have words that begin with each of them.
pub fn words(query: &str) -> Vec<String> {
    fold([query]).split_whitespace().take(MAX_WORDS).map(str::to_owned).collect()
}

/// A `LIKE` pattern for each word of a query, to match against [`fold`]ed text; a row must match all.
pub fn patterns(query: &str) -> Vec<String> {
    words(query).iter().map(|word| pattern(word)).collect()
}

/// The `LIKE` pattern of one folded word.
pub fn pattern(word: &str) -> String {
    format!("% {word}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_case_and_accents_and_splits_at_anything_else() {
        assert_eq!(fold(["Élan-Vital", "x_1%"]), " elan vital x 1");
        assert_eq!(fold(["7", "", "LAPTOP stand 0-9", "ﬁn ½"]), " 7 laptop stand 0 9 fin 1 2");
        assert_eq!(patterns("ÉLAN 1%"), ["% elan%", "% 1%"]);
        assert!(patterns("%_'").is_empty());
    }
}
