//! What a follower of the session feed has seen of it, and whether it missed anything since.

use kit::clock::Timestamp;
use uuid::Uuid;

/// One session of an account ended or changed, or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FeedRow {
    pub(crate) id: i64,
    pub(crate) account_id: Uuid,
    pub(crate) session_id: Option<Uuid>,
    pub(crate) created_at: Timestamp,
}

/// The feed at one moment; by default before its first row.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// How many rows there ever were, which is the newest one's id.
    pub(crate) number: i64,
    /// From the one on that was the newest at the look before, the oldest first; what was swept isn't among them.
    pub(crate) rows: Vec<FeedRow>,
}

impl Look {
    /// The rows that came after the look before. Nothing if it can't be told that these are all: some were swept, as where a process was long
    /// away, or the database lost its last commits, as a replica may that takes over, and gives their ids to others.
    pub(crate) fn news_since(&self, before: &Self) -> Option<&[FeedRow]> {
        let (known, news) = match self.rows.split_first() {
            Some((first, rest)) if first.id == before.number => (Some(first), rest),
            _ => (None, self.rows.as_slice()),
        };
        // Ids have no gaps, so as many rows as numbers are all.
        let are_all = i64::try_from(news.len()) == Ok(self.number - before.number);
        // The number alone wouldn't tell of lost commits once as many others were made.
        let is_same_feed = known == before.rows.last();
        (are_all && is_same_feed).then_some(news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(number: i64, ids: impl IntoIterator<Item = i64>) -> Look {
        let row = |id| FeedRow { id, account_id: Uuid::nil(), session_id: None, created_at: Timestamp(id) };
        Look { number, rows: ids.into_iter().map(row).collect() }
    }

    fn news(before: &Look, now: &Look) -> Option<Vec<i64>> {
        now.news_since(before).map(|rows| rows.iter().map(|row| row.id).collect())
    }

    #[test]
    fn what_follows_is_news() {
        assert_eq!(news(&Look::default(), &look(0, [])), Some(vec![]));
        assert_eq!(news(&Look::default(), &look(2, 1..=2)), Some(vec![1, 2]));
        assert_eq!(news(&look(2, 1..=2), &look(2, [2])), Some(vec![]));
        assert_eq!(news(&look(2, [2]), &look(4, 2..=4)), Some(vec![3, 4]));
        assert_eq!(news(&look(2, []), &look(2, [])), Some(vec![]), "its last row was swept before");
        assert_eq!(news(&look(2, []), &look(3, [3])), Some(vec![3]));
    }

    #[test]
    fn what_was_swept_is_missed() {
        assert_eq!(news(&Look::default(), &look(7, [])), None);
        assert_eq!(news(&look(2, [2]), &look(3, [])), None, "all of it");
        assert_eq!(news(&look(2, []), &look(3, [])), None, "all of it, long after its last row");
        assert_eq!(news(&look(2, [2]), &look(5, 4..=5)), None, "the beginning");
        assert_eq!(news(&look(2, [2]), &look(2_000, 1_001..=2_000)), None, "more than a look reads");
    }

    #[test]
    fn a_feed_that_went_back_is_another() {
        assert_eq!(news(&look(5, [5]), &look(4, [])), None);
        assert_eq!(news(&look(5, []), &look(4, [])), None, "long after its last row");
        let mut other = look(6, 5..=6);
        other.rows[0].account_id = Uuid::max();
        assert_eq!(news(&look(5, [5]), &other), None, "it has as many rows again");
        assert_eq!(news(&look(5, []), &look(5, [5])), None, "it has a row where there was none any more");
    }
}
