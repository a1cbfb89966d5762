-- Lines are only ever found by their order: kept in that order, without an index beside the table, they take one tree instead of two.
ALTER TABLE order_lines RENAME TO old_order_lines;
CREATE TABLE order_lines (
    order_id UUID NOT NULL,
    position BIGINT NOT NULL,
    id UUID NOT NULL,
    sku TEXT,
    product_id UUID,
    name TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    shipped BIGINT NOT NULL,
    delivered BIGINT NOT NULL,
    returned BIGINT NOT NULL,
    unit_minor BIGINT,
    total_minor BIGINT NOT NULL,
    CONSTRAINT order_lines_order_id_position PRIMARY KEY (order_id, position),
    CONSTRAINT order_lines_quantity CHECK (quantity > 0),
    CONSTRAINT order_lines_shipped CHECK (0 <= returned AND returned <= delivered AND delivered <= shipped AND shipped <= quantity)
) WITHOUT ROWID;
INSERT INTO order_lines SELECT * FROM old_order_lines ORDER BY order_id, position;
DROP TABLE old_order_lines;
