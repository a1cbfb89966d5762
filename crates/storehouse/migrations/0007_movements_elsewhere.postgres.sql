-- What moved at another location than MAIN, where most does; what orders take from MAIN writes no entry.
CREATE INDEX stock_movements_elsewhere ON stock_movements (location_id, created_at, id) WHERE location_id <> '01930000-0000-7000-8000-000000000001';
