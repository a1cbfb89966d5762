-- By whose rules an account's unique keys were made: those of an earlier version are renewed at the next start, and few are left to look for.
ALTER TABLE accounts ADD COLUMN key_version BIGINT NOT NULL DEFAULT 1;
CREATE INDEX accounts_old_keys ON accounts (id) WHERE key_version < 2;

-- From where somebody has logged in lately, as a mark that tells nothing of the address: from there no guesses of others keep them out.
CREATE TABLE login_addresses (
    account_id UUID NOT NULL,
    mark BLOB NOT NULL,
    last_used_at BIGINT NOT NULL,
    CONSTRAINT login_addresses_account_id_mark PRIMARY KEY (account_id, mark)
);

-- The second factor of an account: asked for once it is confirmed. The secret is sealed with a key that isn't in the database. No code of a step
-- up to `last_step` is taken any more.
CREATE TABLE totp (
    account_id UUID NOT NULL,
    sealed_secret BLOB NOT NULL,
    confirmed_at BIGINT,
    last_step BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    failed_at BIGINT NOT NULL,
    CONSTRAINT totp_account_id PRIMARY KEY (account_id)
);

-- What stands in for a code, once each.
CREATE TABLE recovery_codes (
    account_id UUID NOT NULL,
    digest BLOB NOT NULL,
    CONSTRAINT recovery_codes_account_id_digest PRIMARY KEY (account_id, digest)
);

-- The one token with which the first admin is made: a start that prints a new one replaces it.
CREATE TABLE setup_token (
    id BIGINT NOT NULL,
    digest BLOB NOT NULL,
    expires_at BIGINT NOT NULL,
    CONSTRAINT setup_token_id PRIMARY KEY (id),
    CONSTRAINT setup_token_only CHECK (id = 1)
);

-- People who are gone, and of whom others may keep something: what is theirs in an open order goes when it closes. `begun` is whether it was looked for once
-- where only a look through all rows finds it.
CREATE TABLE erasures (
    account_id UUID NOT NULL,
    begun BOOLEAN NOT NULL,
    CONSTRAINT erasures_account_id PRIMARY KEY (account_id)
);
