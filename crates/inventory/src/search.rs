//! How products are found by words. Each word of a query is the beginning of a word of the product, and all must match.
//!
//! A rare word is looked up in the table of words, and of the few products that have it those are kept that match the rest. Where all words are
//! common, the list is walked in its order instead, since a page is full soon. So neither reads many rows.

use std::collections::BTreeSet;

use db::{Error, Tx};
use kit::page::PageRequest;

use crate::model::Product;
use crate::store::products::{ProductFilter, list_products};
use crate::store::words::count_words;

/// A word that more products have is common: to read them all would take longer than to walk until a page is full.
const RARE: i64 = 2_000;

/// The longest word that is stored; of a longer one its beginning is.
const LONGEST_WORD: usize = 64;

/// How a list of products is read.
pub(crate) enum Way {
    /// In the order that was asked for.
    InOrder,
    /// From the products that have a word from here, and before there.
    ByWord { from: String, behind: String },
}

/// A page of the products that a filter leaves.
pub(crate) async fn find_products(
    tx: &Tx,
    filter: &ProductFilter,
    page: &PageRequest,
) -> Result<(Vec<Product>, Option<i64>), Error> {
    match choose_way(tx, &filter.words).await? {
        Some(way) => list_products(tx, filter, &way, page).await,
        None => Ok((Vec::new(), page.count.then_some(0))),
    }
}

/// The way that reads least; none where a word is no product's.
async fn choose_way(tx: &Tx, words: &[String]) -> Result<Option<Way>, Error> {
    let (mut rarest, mut way) = (RARE + 1, Way::InOrder);
    for word in words {
        let (from, behind) = range(word);
        let count = count_words(tx, &from, &behind, RARE + 1).await?;
        if count == 0 {
            return Ok(None);
        }
        if count < rarest {
            (rarest, way) = (count, Way::ByWord { from, behind });
        }
    }
    Ok(Some(way))
}

/// Where the words begin and end that begin with this one.
fn range(word: &str) -> (String, String) {
    let from: String = word.chars().take(LONGEST_WORD).collect();
    // No word goes on with the last of all characters, which is neither letter nor digit.
    let behind = format!("{from}{}", char::MAX);
    (from, behind)
}

/// The words of a product that are stored.
pub(crate) fn words_of(product: &Product) -> BTreeSet<String> {
    let text = product.search_text();
    text.split_whitespace().map(|word| word.chars().take(LONGEST_WORD).collect()).collect()
}
