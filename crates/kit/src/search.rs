//! Search by words: the same folding for what is stored and what is asked, so both engines agree.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::fields::Invalid;

/// How many words a query may have.
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

/// The words of a query, folded; a row must have words that begin with each of them, so no more are taken than are looked for.
pub(crate) fn words(query: &str) -> Result<Vec<String>, Invalid> {
    let words: Vec<String> = fold([query]).split_whitespace().map(str::to_owned).collect();
    if words.len() > MAX_WORDS {
        return Err(Invalid::value(format!("has more than {MAX_WORDS} words")));
    }
    Ok(words)
}

/// The `LIKE` pattern of a folded word, to match against [`fold`]ed text.
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
        assert_eq!(pattern("elan"), "% elan%");
    }

    #[test]
    fn a_query_has_so_many_words_and_no_more() {
        assert_eq!(words("ÉLAN 1%").unwrap(), ["elan", "1"]);
        assert!(words("%_'").unwrap().is_empty());
        assert_eq!(words("a-b ".repeat(8).as_str()).unwrap().len(), MAX_WORDS);
        words("a-b ".repeat(9).as_str()).unwrap_err();
    }
}
