//! How products are found by words. Each word of a query is the beginning of a word of the product, and all must match.
//!
//! Where a word, or all together, is rare, the table of words names the few products that can match, and only those are read. Where that isn't so, the
//! list is walked in its order, since a page is full soon; only if it isn't, since all that match stand far behind, are the products of a word looked up
//! after all. So neither reads many rows.

use std::collections::BTreeSet;

use db::{Error, Tx};
use kit::page::{PageRequest, Position};
use uuid::Uuid;

use crate::model::Product;
use crate::store::products::{ProductFilter, list_products, position_behind};
use crate::store::words::{WordRange, count_words, list_products_with, next_words};

/// More products than this are too many to read them all: of 100,000 products, walking until a page is full takes less time then.
const RARE: usize = 2_000;

/// So many products that have all words together are named one by one.
const NAMED: usize = 800;

/// A word that more products have is not looked up at all.
const COMMON: usize = 4 * RARE;

/// So many products are walked before those of a word are looked up.
const WALKED: usize = 3_000;

/// The longest word that is stored; of a longer one its beginning is.
const LONGEST_WORD: usize = 64;

/// The beginning of more words than this is not compared with each of them.
const WORDS_OF_BEGINNING: usize = 8;

/// Which products can match at all.
pub(crate) enum Among {
    All,
    /// These few.
    Few(Vec<Uuid>),
    /// Those that have a word of this range.
    WithWord(WordRange),
    /// Those up to this one, in the order of the list.
    UpTo(Position),
}

/// A page of the products that a filter leaves.
pub(crate) async fn find_products(
    tx: &Tx,
    filter: &ProductFilter,
    page: &PageRequest,
) -> Result<(Vec<Product>, Option<i64>), Error> {
    let (among, is_common) = candidates(tx, &filter.words).await?;
    if matches!(&among, Among::Few(none) if none.is_empty()) {
        return Ok((Vec::new(), page.count.then_some(0)));
    }
    // To count them all, all are read anyway.
    if is_common
        && !page.count
        && let Some(found) = walk_a_bit(tx, filter, page).await?
    {
        return Ok((found, None));
    }
    list_products(tx, filter, &among, page).await
}

/// A full page, if the first products of the list have one.
async fn walk_a_bit(
    tx: &Tx,
    filter: &ProductFilter,
    page: &PageRequest,
) -> Result<Option<Vec<Product>>, Error> {
    let Some(last) = position_behind(tx, page, WALKED).await? else { return Ok(None) };
    let (found, _) = list_products(tx, filter, &Among::UpTo(last), page).await?;
    Ok(Some(found).filter(|found| i64::try_from(found.len()).is_ok_and(|count| count >= page.fetch())))
}

/// Which products can match, and whether they are so many that a walk may find a page of them sooner.
async fn candidates(tx: &Tx, words: &[String]) -> Result<(Among, bool), Error> {
    let mut ranges: Vec<(usize, WordRange)> = Vec::with_capacity(words.len());
    for word in words {
        let range = range(word);
        match count_words(tx, &range, COMMON + 1).await? {
            0 => return Ok((Among::Few(Vec::new()), false)),
            count => ranges.push((count, range)),
        }
    }
    ranges.sort_by_key(|(count, _)| *count);
    let mut ranges = ranges.into_iter();
    let Some((count, rarest)) = ranges.next().filter(|(count, _)| *count <= COMMON) else {
        return Ok((Among::All, false));
    };
    if count <= RARE {
        return Ok((Among::WithWord(rarest), false));
    }
    let mut others = Vec::new();
    for (_, range) in ranges {
        let words = next_words(tx, &range, WORDS_OF_BEGINNING + 1).await?;
        others.extend(Some(words).filter(|words| words.len() <= WORDS_OF_BEGINNING));
    }
    if !others.is_empty() {
        let found = list_products_with(tx, &rarest, &others, NAMED + 1).await?;
        if found.len() <= NAMED {
            return Ok((Among::Few(each_once(found)), false));
        }
    }
    Ok((Among::WithWord(rarest), true))
}

fn each_once(found: Vec<Uuid>) -> Vec<Uuid> {
    found.into_iter().collect::<BTreeSet<Uuid>>().into_iter().collect()
}

/// Where the words begin and end that begin with this one.
fn range(word: &str) -> WordRange {
    let from: String = word.chars().take(LONGEST_WORD).collect();
    // No word goes on with the last of all characters, which is neither letter nor digit.
    let behind = format!("{from}{}", char::MAX);
    WordRange { from, behind }
}

/// The words of a product that are stored.
pub(crate) fn words_of(product: &Product) -> BTreeSet<String> {
    let text = product.search_text();
    text.split_whitespace().map(|word| word.chars().take(LONGEST_WORD).collect()).collect()
}
