-- Rules over several rows take their guard row first; `session_feed` also numbers its table's rows in commit order.
CREATE TABLE guards (
    name TEXT NOT NULL,
    n BIGINT NOT NULL,
    CONSTRAINT guards_name PRIMARY KEY (name)
);
INSERT INTO guards (name, n) VALUES ('admins', 0), ('session_feed', 0);

CREATE TABLE accounts (
    id UUID NOT NULL,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    username TEXT NOT NULL,
    username_key TEXT NOT NULL,
    role TEXT NOT NULL,
    password_hash TEXT,
    full_name TEXT,
    phone TEXT,
    address TEXT,
    preferences TEXT NOT NULL,
    disabled BOOLEAN NOT NULL,
    search TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    CONSTRAINT accounts_id PRIMARY KEY (id),
    CONSTRAINT accounts_email_key UNIQUE (email_key),
    CONSTRAINT accounts_username_key UNIQUE (username_key),
    CONSTRAINT accounts_role CHECK (role IN ('customer', 'staff', 'admin'))
);
-- The two sorts of the list of users.
CREATE INDEX accounts_by_created_at ON accounts (created_at, id);
CREATE INDEX accounts_by_email ON accounts (email, id);
-- The last admin is looked for among few.
CREATE INDEX accounts_admins ON accounts (id) WHERE role = 'admin';

CREATE TABLE sessions (
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    generation BIGINT NOT NULL,
    rotated_at BIGINT NOT NULL,
    device TEXT,
    ip TEXT,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    CONSTRAINT sessions_id PRIMARY KEY (id)
);
-- An account's sessions are listed and ended together.
CREATE INDEX sessions_by_account ON sessions (account_id, created_at, id);
-- The sweep finds what is past its time.
CREATE INDEX sessions_by_last_use ON sessions (last_used_at);

CREATE TABLE session_feed (
    id BIGINT NOT NULL,
    account_id UUID NOT NULL,
    session_id UUID,
    created_at BIGINT NOT NULL,
    CONSTRAINT session_feed_id PRIMARY KEY (id)
);

CREATE TABLE idempotency_keys (
    account_id UUID NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    location TEXT,
    etag TEXT,
    body BLOB,
    created_at BIGINT NOT NULL,
    CONSTRAINT idempotency_keys_account_id_key PRIMARY KEY (account_id, key)
);
-- The sweep finds what is past its time.
CREATE INDEX idempotency_keys_by_created_at ON idempotency_keys (created_at);

-- No foreign key leads to `accounts`: an order outlives its user.
CREATE TABLE orders (
    id UUID NOT NULL,
    number BIGINT NOT NULL,
    user_id UUID NOT NULL,
    status TEXT NOT NULL,
    currency TEXT NOT NULL,
    total_price BIGINT NOT NULL,
    paid_minor BIGINT NOT NULL,
    refunded_minor BIGINT NOT NULL,
    is_free_text BOOLEAN NOT NULL,
    note TEXT,
    ship_to TEXT,
    external_id TEXT,
    metadata TEXT NOT NULL,
    hidden BOOLEAN NOT NULL,
    search TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT orders_id PRIMARY KEY (id),
    CONSTRAINT orders_number UNIQUE (number),
    CONSTRAINT orders_status CHECK (status IN ('pending', 'confirmed', 'on_hold', 'completed', 'cancelled', 'expired')),
    CONSTRAINT orders_total_price CHECK (total_price >= 0),
    CONSTRAINT orders_refunded_minor CHECK (refunded_minor >= 0 AND refunded_minor <= paid_minor)
);
-- The list's default sort, for staff and for an owner; `number` has its own.
CREATE INDEX orders_by_created_at ON orders (created_at, id);
CREATE INDEX orders_by_user ON orders (user_id, created_at, id);
-- Staff look for what waits among very many that are done; rows are appended in order within each status.
CREATE INDEX orders_by_status ON orders (status, created_at, id);
-- The one in random order: a page of the largest orders costs the same on every page.
CREATE INDEX orders_by_total_price ON orders (total_price, id);
-- A customer's pending orders are counted at each placement.
CREATE INDEX orders_pending ON orders (user_id) WHERE status = 'pending';
CREATE INDEX orders_by_external_id ON orders (external_id) WHERE external_id IS NOT NULL;

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
);

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
    CONSTRAINT order_history_id PRIMARY KEY (id)
);
-- An order's history is listed by time.
CREATE INDEX order_history_by_order ON order_history (order_id, created_at, id);
