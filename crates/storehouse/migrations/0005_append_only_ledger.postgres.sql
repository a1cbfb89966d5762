-- The location that is there from the start.
INSERT INTO locations (id, code, code_key, name, priority, version, created_at, updated_at)
VALUES ('01930000-0000-7000-8000-000000000001', 'MAIN', 'main', 'Main location', 0, 1, 0, 0);

-- What the ledger says once, it says for ever.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END;
$$;
CREATE TRIGGER stock_movements_no_change BEFORE UPDATE OR DELETE ON stock_movements
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER stock_movements_no_truncate BEFORE TRUNCATE ON stock_movements
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
