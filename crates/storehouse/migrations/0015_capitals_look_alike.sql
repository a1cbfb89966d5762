-- Capitals that look like others' capitals make a name one of its kind too: accounts of before get new keys at the next start.
DROP INDEX accounts_old_keys;
CREATE INDEX accounts_old_keys ON accounts (id) WHERE key_version < 3;
