-- Orders for which money was received don't expire, so they aren't in the way of those that do.
DROP INDEX orders_expiring;
CREATE INDEX orders_expiring ON orders (expires_at, id) WHERE expires_at IS NOT NULL AND paid_minor <= refunded_minor;
