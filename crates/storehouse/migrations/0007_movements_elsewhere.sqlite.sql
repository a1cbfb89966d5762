-- What moved at another location than MAIN, where most does; what orders take from MAIN writes no entry.
CREATE INDEX stock_movements_elsewhere ON stock_movements (location_id, created_at, id) WHERE location_id <> X'01930000000070008000000000000001';
