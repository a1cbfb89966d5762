-- What happened, in commit order: one writer numbers them. No AUTOINCREMENT, which writes another row for each statement: the sweep leaves the newest
-- event where it is, so no number comes twice. What a row of the ledger or of an order's history says is read from there; the rest stands in `data`. `xid` is PostgreSQL's, and there 0 as well for what came from here.
CREATE TABLE events (
    xid BIGINT NOT NULL DEFAULT 0,
    seq INTEGER NOT NULL,
    type TEXT NOT NULL,
    object_id UUID NOT NULL,
    source_id UUID,
    actor_id UUID,
    request_id TEXT,
    data TEXT,
    created_at BIGINT NOT NULL,
    CONSTRAINT events_seq PRIMARY KEY (seq)
);

-- The last event that was swept away: whoever has read less has missed some.
CREATE TABLE events_swept (
    xid BIGINT NOT NULL,
    seq BIGINT NOT NULL
);
INSERT INTO events_swept (xid, seq) VALUES (0, 0);

-- As the backorder limit, the product's at MAIN: whoever changes a level sees whether it crosses the reorder point without reading the product. None where
-- the product has none or isn't tracked.
ALTER TABLE stock_levels ADD COLUMN reorder_point BIGINT;
UPDATE stock_levels SET reorder_point = (SELECT reorder_point FROM products WHERE products.id = stock_levels.product_id AND track_stock = TRUE)
WHERE location_id = X'01930000000070008000000000000001';
