-- What is to be told by mail, until it is sent; then the row goes. Of what it says nothing is stored but the ids of what it is about, with spaces between them.
-- Without a recipient it goes to the account's address.
CREATE TABLE mails (
    id UUID NOT NULL,
    kind TEXT NOT NULL,
    account_id UUID,
    recipient TEXT,
    subjects TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    CONSTRAINT mails_id PRIMARY KEY (id)
);
-- What is due.
CREATE INDEX mails_due ON mails (due_at);

-- Up to where events of low stock have become mails; nothing before somebody is to be told.
CREATE TABLE low_stock_cursor (
    xid BIGINT,
    seq BIGINT
);
INSERT INTO low_stock_cursor (xid, seq) VALUES (NULL, NULL);
