//! How products are found by words. Each word of a query is the beginning of a word of the product, and all must match.
//!
//! Where a word, or all together, is rare, the table of words names the few products that can match, and only those are read. Where that isn't so, the
//! list is walked in its order instead, since a page is full soon. So neither reads many rows.

use std::collections::BTreeSet;

use db::{Error, Tx};
use kit::page::PageRequest;
use uuid::Uuid;

use crate::model::Product;
use crate::store::products::{ProductFilter, list_products};
use crate::store::words::{WordRange, count_words, list_products_with, next_words};

/// More products than this are too many to read them all: of 100,000 products, walking until a page is full takes as long then.
const RARE: usize = 800;

/// A word that more products have is not compared with the other words, one product after the other.
const COMMON: usize = 10 * RARE;

/// The longest word that is stored; of a longer one its beginning is.
const LONGEST_WORD: usize = 64;

/// The beginning of more words than this is not compared with each of them.
const WORDS_OF_BEGINNING: usize = 8;

/// A page of the products that a filter leaves.
pub(crate) async fn find_products(
    tx: &Tx,
    filter: &ProductFilter,
    page: &PageRequest,
) -> Result<(Vec<Product>, Option<i64>), Error> {
    match find_candidates(tx, &filter.words).await? {
        Some(none) if none.is_empty() => Ok((Vec::new(), page.count.then_some(0))),
        candidates => list_products(tx, filter, candidates.as_deref(), page).await,
    }
}

/// The few products that can match; nothing where they may be many.
async fn find_candidates(tx: &Tx, words: &[String]) -> Result<Option<Vec<Uuid>>, Error> {
    let mut ranges: Vec<(usize, WordRange)> = Vec::with_capacity(words.len());
    for word in words {
        let range = range(word);
        match count_words(tx, &range, RARE + 1).await? {
            0 => return Ok(Some(Vec::new())),
            count => ranges.push((count, range)),
        }
    }
    ranges.sort_by_key(|(count, _)| *count);
    match ranges.as_slice() {
        [(count, rarest), ..] if *count <= RARE => few(list_products_with(tx, rarest, &[], RARE + 1).await?),
        [_, _, ..] => find_common_candidates(tx, ranges.into_iter().map(|(_, range)| range).collect()).await,
        _ => Ok(None),
    }
}

/// The same where each word by itself is common: the products of the least common are looked up by the other words.
async fn find_common_candidates(tx: &Tx, ranges: Vec<WordRange>) -> Result<Option<Vec<Uuid>>, Error> {
    let (mut counted, mut others) = (Vec::with_capacity(ranges.len()), Vec::new());
    for range in ranges {
        counted.push((count_words(tx, &range, COMMON + 1).await?, range));
    }
    counted.sort_by_key(|(count, _)| *count);
    let mut counted = counted.into_iter();
    let Some((_, first)) = counted.next().filter(|(count, _)| *count <= COMMON) else { return Ok(None) };
    for (_, range) in counted {
        let words = next_words(tx, &range, WORDS_OF_BEGINNING + 1).await?;
        if words.len() <= WORDS_OF_BEGINNING {
            others.push(words);
        }
    }
    if others.is_empty() {
        return Ok(None);
    }
    few(list_products_with(tx, &first, &others, RARE + 1).await?)
}

/// Each of them once, if they are few.
fn few(found: Vec<Uuid>) -> Result<Option<Vec<Uuid>>, Error> {
    if found.len() > RARE {
        return Ok(None);
    }
    let once: BTreeSet<Uuid> = found.into_iter().collect();
    Ok(Some(once.into_iter().collect()))
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
