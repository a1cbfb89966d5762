-- The location that is there from the start.
INSERT INTO locations (id, code, code_key, name, priority, version, created_at, updated_at)
VALUES (X'01930000000070008000000000000001', 'MAIN', 'main', 'Main location', 0, 1, 0, 0);

-- What the ledger says once, it says for ever.
CREATE TRIGGER stock_movements_no_update BEFORE UPDATE ON stock_movements
BEGIN
    SELECT RAISE(ABORT, 'stock_movements is append-only');
END;
CREATE TRIGGER stock_movements_no_delete BEFORE DELETE ON stock_movements
BEGIN
    SELECT RAISE(ABORT, 'stock_movements is append-only');
END;
