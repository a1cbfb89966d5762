-- An order's history is only ever found by its order: kept in that order, as the lines are, it takes one tree instead of three. The key's columns stand first,
-- since some versions of SQLite (3.40.1 for one) else take other columns for NULL in an integrity check.
ALTER TABLE order_history RENAME TO old_order_history;
CREATE TABLE order_history (
    order_id UUID NOT NULL,
    created_at BIGINT NOT NULL,
    id UUID NOT NULL,
    action TEXT NOT NULL,
    from_status TEXT,
    to_status TEXT NOT NULL,
    actor_id UUID,
    reason TEXT,
    details TEXT NOT NULL,
    request_id TEXT,
    CONSTRAINT order_history_order_id_created_at_id PRIMARY KEY (order_id, created_at, id)
) WITHOUT ROWID;
INSERT INTO order_history (order_id, created_at, id, action, from_status, to_status, actor_id, reason, details, request_id)
    SELECT order_id, created_at, id, action, from_status, to_status, actor_id, reason, details, request_id
    FROM old_order_history ORDER BY order_id, created_at, id;
DROP TABLE old_order_history;
