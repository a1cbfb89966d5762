-- Order numbers begin at 1001.
INSERT INTO guards (name, n) VALUES ('order_numbers', 1000);
