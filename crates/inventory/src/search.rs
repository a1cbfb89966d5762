//! How products are found by words. Each word of a query is the beginning of a word of the product, and all must match.
//!
//! Where a word is rare, the table of words names the few products that can match, and only those are read. Where none is, the list is walked in its
//! order, since a page is full soon; only if it isn't are the products looked up that have all the words, or the one. So neither reads many products:
//! only where the words are common together, or one is and stands alone, and all stands far behind, is the list walked to there.

use std::collections::BTreeSet;

use db::{Error, Planning, Tx};
use kit::page::PageRequest;
use uuid::Uuid;

use crate::model::Product;
use crate::store::products::{ProductFilter, list_products};
use crate::store::words::{Beginning, WordRange, count_words, list_products_with, next_words};

/// More products than this are too many to read them all: of 100,000 products, walking until a page is full takes less time then.
pub(crate) const RARE: usize = 2_000;

/// A word that more products have isn't looked up even where a walk has found too few.
const COMMON: usize = 8 * RARE;

/// So many products are walked before those of a word are looked up.
const WALKED: usize = 3_000;

/// The longest word that is stored; of a longer one its beginning is.
const LONGEST_WORD: usize = 64;

/// The beginning of more words than this is looked for among all that it begins, and not as each of them.
const WORDS_OF_BEGINNING: usize = 8;

/// Which products can match at all.
pub(crate) enum Among {
    All,
    /// These few.
    Few(Vec<Uuid>),
    /// Those that have a word of this range.
    WithWord(WordRange),
    /// So many behind the beginning of the page, in the order of the list.
    First(usize),
}

/// A page of the products that a filter leaves.
pub(crate) async fn find_products(
    tx: &Tx,
    filter: &ProductFilter,
    page: &PageRequest,
) -> Result<(Vec<Product>, Option<i64>), Error> {
    // A word that few have is enough, and an SKU's beginning is one that nearly all may have: so none is counted further at first.
    let Some(asked) = count_all(tx, &filter.words, RARE + 1).await? else {
        return Ok((Vec::new(), page.count.then_some(0)));
    };
    let among = match asked.as_slice() {
        [] => Among::All,
        [rarest, ..] if rarest.count <= RARE => Among::WithWord(rarest.range.clone()),
        [only] => match walk_a_bit(tx, filter, page).await? {
            Some(found) => return Ok((found, None)),
            None => among_common(tx, &only.range).await?,
        },
        _ => match among_several(tx, filter, page, asked).await? {
            Narrowed::Page(found) => return Ok((found, None)),
            Narrowed::To(among) => among,
        },
    };
    match &among {
        Among::Few(none) if none.is_empty() => Ok((Vec::new(), page.count.then_some(0))),
        among => list_products(tx, filter, among, page).await,
    }
}

/// Of one word that a walk has found too little of.
async fn among_common(tx: &Tx, range: &WordRange) -> Result<Among, Error> {
    let count = count_words(tx, range, COMMON + 1).await?;
    Ok(if count <= COMMON { Among::WithWord(range.clone()) } else { Among::All })
}

/// What is known of several words of which each is common.
enum Narrowed {
    /// A full page of products that have all.
    Page(Vec<Product>),
    To(Among),
}

async fn among_several(
    tx: &Tx,
    filter: &ProductFilter,
    page: &PageRequest,
    mut asked: Vec<Asked>,
) -> Result<Narrowed, Error> {
    if let Some(found) = walk_a_bit(tx, filter, page).await? {
        return Ok(Narrowed::Page(found));
    }
    for asked in &mut asked {
        asked.look_up_words(tx).await?;
    }
    tx.plan(Planning::ForArguments).await?;
    // What is merged takes as long whichever word is the rarest, and to know that would take longer.
    let is_merged = asked.iter().all(|asked| asked.words.is_some());
    if !is_merged {
        count_further(tx, &mut asked).await?;
    }
    if let Some(few) = together(tx, &asked).await? {
        return Ok(Narrowed::To(few));
    }
    if is_merged {
        count_further(tx, &mut asked).await?;
    }
    let rare = asked.into_iter().next().filter(|rarest| rarest.count <= COMMON);
    Ok(Narrowed::To(rare.map_or(Among::All, |rarest| Among::WithWord(rarest.range))))
}

/// A full page, if the first products of the list have one. To count them all, all are read anyway.
async fn walk_a_bit(
    tx: &Tx,
    filter: &ProductFilter,
    page: &PageRequest,
) -> Result<Option<Vec<Product>>, Error> {
    if page.count {
        return Ok(None);
    }
    let (found, _) = list_products(tx, filter, &Among::First(WALKED), page).await?;
    Ok(Some(found).filter(|found| i64::try_from(found.len()).is_ok_and(|count| count >= page.fetch())))
}

/// A word that was asked for, and how many products have it.
struct Asked {
    count: usize,
    range: WordRange,
    /// All words that it begins, once they were looked up and aren't very many.
    words: Option<Vec<String>>,
}

impl Asked {
    async fn look_up_words(&mut self, tx: &Tx) -> Result<(), Error> {
        let words = next_words(tx, &self.range, WORDS_OF_BEGINNING + 1).await?;
        self.words = Some(words).filter(|words| words.len() <= WORDS_OF_BEGINNING);
        Ok(())
    }

    fn beginning(&self) -> Beginning<'_> {
        self.words.as_deref().map_or(Beginning::OfVeryMany(&self.range), Beginning::Of)
    }
}

/// The words, the rarest first, each counted so far; none if nothing has one of them.
async fn count_all(tx: &Tx, words: &[String], at_most: usize) -> Result<Option<Vec<Asked>>, Error> {
    let mut asked = Vec::with_capacity(words.len());
    for word in words {
        let range = range(word);
        match count_words(tx, &range, at_most).await? {
            0 => return Ok(None),
            count => asked.push(Asked { count, range, words: None }),
        }
    }
    asked.sort_by_key(|asked| asked.count);
    Ok(Some(asked))
}

/// Common words counted so far that the rarest is known, which comes first then.
async fn count_further(tx: &Tx, asked: &mut [Asked]) -> Result<(), Error> {
    let mut at_most = COMMON + 1;
    loop {
        for asked in &mut *asked {
            asked.count = count_words(tx, &asked.range, at_most).await?;
        }
        asked.sort_by_key(|asked| asked.count);
        if asked.first().is_none_or(|rarest| rarest.count < at_most) {
            return Ok(());
        }
        at_most *= 4;
    }
}

/// The products that have all words, if they are few. A beginning of very many words takes longer, and is left out unless none is rarer.
async fn together(tx: &Tx, asked: &[Asked]) -> Result<Option<Among>, Error> {
    let [rarest, others @ ..] = asked else { return Ok(None) };
    let is_worth_it = rarest.count > COMMON;
    let compared = others.iter().filter(|other| is_worth_it || other.words.is_some());
    let beginnings: Vec<_> = std::iter::once(rarest).chain(compared).map(Asked::beginning).collect();
    if beginnings.len() == 1 {
        return Ok(None);
    }
    tx.plan(Planning::WithoutLookups).await?;
    let found = list_products_with(tx, &beginnings, RARE + 1).await?;
    tx.plan(Planning::WithLookups).await?;
    Ok((found.len() <= RARE).then(|| Among::Few(each_once(found))))
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
