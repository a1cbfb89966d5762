CREATE TABLE categories (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT categories_id PRIMARY KEY (id),
    CONSTRAINT categories_name_key UNIQUE (name_key)
);

CREATE TABLE products (
    id UUID NOT NULL,
    sku TEXT NOT NULL,
    sku_key TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    barcode TEXT,
    category_id UUID,
    price_minor BIGINT NOT NULL,
    cost_minor BIGINT,
    currency TEXT NOT NULL,
    attributes TEXT NOT NULL,
    track_stock BOOLEAN NOT NULL,
    backorder_limit BIGINT NOT NULL,
    reorder_point BIGINT,
    reorder_quantity BIGINT,
    active BOOLEAN NOT NULL,
    external_id TEXT,
    metadata TEXT NOT NULL,
    search TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT products_id PRIMARY KEY (id),
    CONSTRAINT products_sku_key UNIQUE (sku_key),
    CONSTRAINT products_barcode UNIQUE (barcode),
    CONSTRAINT products_category_id FOREIGN KEY (category_id) REFERENCES categories (id),
    CONSTRAINT products_price_minor CHECK (price_minor >= 0),
    CONSTRAINT products_cost_minor CHECK (cost_minor >= 0),
    CONSTRAINT products_backorder_limit CHECK (backorder_limit >= 0)
);
-- The sorts of the list of products; the SKU's is its unique key. Products change seldom, so they may have many.
CREATE INDEX products_by_created_at ON products (created_at, id);
CREATE INDEX products_by_name ON products (name, id);
CREATE INDEX products_by_price ON products (price_minor, id);
CREATE INDEX products_by_category ON products (category_id, created_at, id);
-- Only these can be low.
CREATE INDEX products_with_reorder_point ON products (created_at, id) WHERE reorder_point IS NOT NULL;

-- The words that a product is found by: a search by the beginning of a rare word reads a few rows.
CREATE TABLE product_words (
    word TEXT NOT NULL,
    product_id UUID NOT NULL,
    CONSTRAINT product_words_word_product_id PRIMARY KEY (word, product_id)
);

CREATE TABLE reason_codes (
    code TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT reason_codes_code PRIMARY KEY (code)
);
INSERT INTO reason_codes (code, description, created_at) VALUES
    ('correction', 'A mistake is put right', 0),
    ('damaged', 'Broken or spoilt', 0),
    ('data_entry', 'It was entered wrongly', 0),
    ('expired', 'Past its date', 0),
    ('found', 'Found again', 0),
    ('missing', 'Not where it should be', 0),
    ('recount', 'Counted again', 0),
    ('returned', 'Came back', 0),
    ('scrapped', 'Thrown away', 0),
    ('stolen', 'Stolen', 0);

CREATE TABLE locations (
    id UUID NOT NULL,
    code TEXT NOT NULL,
    code_key TEXT NOT NULL,
    name TEXT NOT NULL,
    priority BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT locations_id PRIMARY KEY (id),
    CONSTRAINT locations_code_key UNIQUE (code_key)
);
CREATE INDEX locations_by_created_at ON locations (created_at, id);

-- What there is of a product at a location. `backorder_limit` is the product's at MAIN and 0 elsewhere, so that what may be
-- allocated is decided by one row. The foreign keys keep a location that has stock from being deleted.
CREATE TABLE stock_levels (
    product_id UUID NOT NULL,
    location_id UUID NOT NULL,
    on_hand BIGINT NOT NULL,
    allocated BIGINT NOT NULL,
    unavailable BIGINT NOT NULL,
    backorder_limit BIGINT NOT NULL,
    version BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT stock_levels_product_id_location_id PRIMARY KEY (product_id, location_id),
    CONSTRAINT stock_levels_product_id FOREIGN KEY (product_id) REFERENCES products (id),
    CONSTRAINT stock_levels_location_id FOREIGN KEY (location_id) REFERENCES locations (id),
    CONSTRAINT stock_levels_on_hand CHECK (on_hand >= 0),
    CONSTRAINT stock_levels_allocated CHECK (allocated >= 0),
    CONSTRAINT stock_levels_unavailable CHECK (unavailable >= 0)
);
-- A location's levels are listed, and looked for when it is to be deleted.
CREATE INDEX stock_levels_by_location ON stock_levels (location_id, product_id);

-- The ledger: a row for each change of a level, never changed and never removed. Its key is the list's sort. Its cause is
-- unique, so that a step that is repeated can't move anything twice; what an order holds is summed by it.
CREATE TABLE stock_movements (
    id UUID NOT NULL,
    product_id UUID NOT NULL,
    location_id UUID NOT NULL,
    kind TEXT NOT NULL,
    on_hand_delta BIGINT NOT NULL,
    allocated_delta BIGINT NOT NULL,
    unavailable_delta BIGINT NOT NULL,
    on_hand_after BIGINT NOT NULL,
    allocated_after BIGINT NOT NULL,
    cause TEXT NOT NULL,
    cause_id UUID NOT NULL,
    cause_step BIGINT NOT NULL,
    reason TEXT,
    unit_cost_minor BIGINT,
    actor_id UUID,
    request_id TEXT,
    created_at BIGINT NOT NULL,
    CONSTRAINT stock_movements_created_at_id PRIMARY KEY (created_at, id),
    CONSTRAINT stock_movements_cause_id_cause_step_product_id_location_id_kind UNIQUE (cause_id, cause_step, product_id, location_id, kind)
);
-- A product's movements explain its figures. The one index in random order: it costs a page of log for each movement.
CREATE INDEX stock_movements_by_product ON stock_movements (product_id, created_at, id);

-- Whether a line takes stock, decided when it was written; and when a pending order gives up what it holds.
ALTER TABLE order_lines ADD COLUMN takes_stock BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE orders ADD COLUMN expires_at BIGINT;
-- The job that lets them expire finds the first of them.
CREATE INDEX orders_expiring ON orders (expires_at, id) WHERE expires_at IS NOT NULL;
