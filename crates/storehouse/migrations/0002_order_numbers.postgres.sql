-- Order numbers begin at 1001; a guard row would make all who place orders wait for each other.
CREATE SEQUENCE order_numbers START 1001;
