//! How a log is read so that no row is ever skipped: a table to which every transaction may append, and which readers follow by a position.
//!
//! On SQLite one writer numbers the rows, so `seq` is in commit order. On PostgreSQL transactions commit in another order than they
//! take numbers in: a row has its transaction's id too (`xid`), and is shown once every transaction with a lower id has ended; what is shown later has a
//! higher one. So a transaction that stays open holds the log back, one that only reads doesn't.

/// Parts of a statement on a log. Positions are `xid` and `seq`, given as `$1` and `$2`; before the first row is `(0, 0)`. `xid` is 0 on SQLite.
#[derive(Debug, PartialEq, Eq)]
pub struct LogSql {
    /// The columns `xid` and `seq` of a row.
    pub position: &'static str,
    /// Whether a row stands behind a position and can be shown.
    pub behind: &'static str,
    /// Whether a row stands at a position or before it.
    pub up_to: &'static str,
    /// The oldest first.
    pub ascending: &'static str,
    /// The newest first.
    pub descending: &'static str,
}

pub(crate) const SQLITE: LogSql = LogSql {
    position: "0 AS xid, seq",
    behind: "$1 = 0 AND seq > $2",
    up_to: "$1 = 0 AND seq <= $2",
    ascending: "seq",
    descending: "seq DESC",
};

pub(crate) const POSTGRES: LogSql = LogSql {
    position: "xid, seq",
    behind: "(xid, seq) > ($1, $2) AND xid < txid_snapshot_xmin(txid_current_snapshot())",
    up_to: "(xid, seq) <= ($1, $2)",
    ascending: "xid, seq",
    descending: "xid DESC, seq DESC",
};
