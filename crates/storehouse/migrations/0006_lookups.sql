-- Orders for which money was received don't expire, so they aren't in the way of those that do.
DROP INDEX orders_expiring;
CREATE INDEX orders_expiring ON orders (expires_at, id) WHERE expires_at IS NOT NULL AND paid_minor <= refunded_minor;

-- Orders are found by their lines' SKUs as products are, whatever the case.
ALTER TABLE order_lines ADD COLUMN sku_key TEXT;
UPDATE order_lines SET sku_key = lower(sku) WHERE sku IS NOT NULL;

-- The kinds of which there are few; the others are most of the ledger, and placing and shipping write no entry.
CREATE INDEX stock_movements_of_few_kinds ON stock_movements (kind, created_at, id) WHERE kind NOT IN ('allocate', 'ship');
