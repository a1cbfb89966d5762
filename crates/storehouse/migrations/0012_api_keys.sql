-- With what machines show who they are; of the key itself only a hash is kept, by which it is looked up. `scopes` are words with spaces between them. A key that expired is kept for a
-- while, so that one can see why something stopped.
CREATE TABLE api_keys (
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    name TEXT NOT NULL,
    hash BLOB NOT NULL,
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    last_used_at BIGINT,
    CONSTRAINT api_keys_id PRIMARY KEY (id),
    CONSTRAINT api_keys_hash UNIQUE (hash)
);

-- How many there are is bounded.
INSERT INTO guards (name, n) VALUES ('api_keys', 0);
