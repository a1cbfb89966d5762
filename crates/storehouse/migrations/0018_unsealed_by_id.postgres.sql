-- A connection keeps the plan of a trigger's query, and one that was made while there were few entries read all of them for each that was sealed since.
CREATE OR REPLACE FUNCTION refuse_unsealed_audit() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM audit_entries WHERE id = OLD.id) THEN
        RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
    END IF;
    RETURN OLD;
END;
$$;
