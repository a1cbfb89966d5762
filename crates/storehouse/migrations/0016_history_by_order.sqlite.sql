-- An order's history is only ever found by its order: kept in that order, as the lines are, it takes one tree instead of three.
ALTER TABLE order_history RENAME TO old_order_history;
CREATE TABLE order_history (
    id UUID NOT NULL,
    order_id UUID NOT NULL,
    action TEXT NOT NULL,
    from_status TEXT,
    to_status TEXT NOT NULL,
    actor_id UUID,
    reason TEXT,
    details TEXT NOT NULL,
    request_id TEXT,
    created_at BIGINT NOT NULL,
    CONSTRAINT order_history_order_id_created_at_id PRIMARY KEY (order_id, created_at, id)
) WITHOUT ROWID;
INSERT INTO order_history SELECT * FROM old_order_history ORDER BY order_id, created_at, id;
DROP TABLE old_order_history;
