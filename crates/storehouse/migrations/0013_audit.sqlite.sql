-- Entries that were committed, or will be, and have no place in the chain yet. `seq` is in the order of those that had to wait for each other; nobody keeps one, so it
-- may begin anew. A sealer moves them within a second.
CREATE TABLE audit_unsealed (
    seq INTEGER NOT NULL,
    id UUID NOT NULL,
    action TEXT NOT NULL,
    object_id UUID,
    actor_id UUID,
    key_id UUID,
    request_id TEXT,
    before_facts TEXT,
    after_facts TEXT,
    count BIGINT NOT NULL,
    actor_hash BLOB,
    object_hash BLOB,
    created_at BIGINT NOT NULL,
    CONSTRAINT audit_unsealed_seq PRIMARY KEY (seq)
);

-- The chain. `hash` is over the entry and the hash of the one before it.
CREATE TABLE audit_entries (
    number BIGINT NOT NULL,
    id UUID NOT NULL,
    action TEXT NOT NULL,
    object_id UUID,
    actor_id UUID,
    key_id UUID,
    request_id TEXT,
    before_facts TEXT,
    after_facts TEXT,
    count BIGINT NOT NULL,
    actor_hash BLOB,
    object_hash BLOB,
    created_at BIGINT NOT NULL,
    sealed_at BIGINT NOT NULL,
    hash BLOB NOT NULL,
    CONSTRAINT audit_entries_number PRIMARY KEY (number),
    CONSTRAINT audit_entries_id UNIQUE (id)
);
-- The list, and what it is filtered by.
CREATE INDEX audit_entries_by_created_at ON audit_entries (created_at, id);
CREATE INDEX audit_entries_by_action ON audit_entries (action, created_at, id);
CREATE INDEX audit_entries_by_actor ON audit_entries (actor_id, created_at, id) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_entries_by_object ON audit_entries (object_id, created_at, id) WHERE object_id IS NOT NULL;

-- What is personal in an entry, of its actor or of whom it is about: erased with the account, while the entry keeps its hash. The salt goes along.
CREATE TABLE audit_personal (
    entry_id UUID NOT NULL,
    whose TEXT NOT NULL,
    account_id UUID,
    salt BLOB NOT NULL,
    value TEXT NOT NULL,
    CONSTRAINT audit_personal_entry_id_whose PRIMARY KEY (entry_id, whose)
);
-- A person's values are erased together.
CREATE INDEX audit_personal_by_account ON audit_personal (account_id) WHERE account_id IS NOT NULL;

-- Both ends of the chain, in one row: the last entry, and the last that was swept away.
CREATE TABLE audit_head (
    number BIGINT NOT NULL,
    hash BLOB NOT NULL,
    swept_number BIGINT NOT NULL,
    swept_hash BLOB NOT NULL
);
INSERT INTO audit_head (number, hash, swept_number, swept_hash) VALUES (0, X'0000000000000000000000000000000000000000000000000000000000000000', 0, X'0000000000000000000000000000000000000000000000000000000000000000');

-- What the log says once, it says until it is old. An entry goes when it was swept, one that isn't sealed when it is; the ends only move on.
CREATE TRIGGER audit_entries_no_update BEFORE UPDATE ON audit_entries
BEGIN
    SELECT RAISE(ABORT, 'audit_entries is append-only');
END;
CREATE TRIGGER audit_entries_no_delete BEFORE DELETE ON audit_entries
WHEN OLD.number > (SELECT swept_number FROM audit_head)
BEGIN
    SELECT RAISE(ABORT, 'audit_entries is append-only');
END;
CREATE TRIGGER audit_unsealed_no_update BEFORE UPDATE ON audit_unsealed
BEGIN
    SELECT RAISE(ABORT, 'audit_unsealed is append-only');
END;
CREATE TRIGGER audit_unsealed_no_delete BEFORE DELETE ON audit_unsealed
WHEN NOT EXISTS (SELECT 1 FROM audit_entries WHERE id = OLD.id)
BEGIN
    SELECT RAISE(ABORT, 'audit_unsealed is append-only');
END;
CREATE TRIGGER audit_personal_no_update BEFORE UPDATE ON audit_personal
BEGIN
    SELECT RAISE(ABORT, 'audit_personal is append-only');
END;
CREATE TRIGGER audit_head_no_way_back BEFORE UPDATE ON audit_head
WHEN NEW.number < OLD.number OR NEW.swept_number < OLD.swept_number OR NEW.swept_number > NEW.number
BEGIN
    SELECT RAISE(ABORT, 'audit_head never goes back');
END;
