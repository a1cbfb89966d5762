-- An order's history is only ever found by its order, for which one index is enough.
ALTER TABLE order_history DROP CONSTRAINT order_history_id;
ALTER TABLE order_history ADD CONSTRAINT order_history_order_id_created_at_id PRIMARY KEY (order_id, created_at, id);
DROP INDEX order_history_by_order;
