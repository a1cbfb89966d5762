-- Whether somebody has shown that he reads what comes to the account's present email.
ALTER TABLE accounts ADD COLUMN email_verified BOOLEAN NOT NULL DEFAULT FALSE;

-- What was mailed to somebody and works once: the last of each purpose. The token itself stands nowhere but in the mail.
CREATE TABLE mail_tokens (
    account_id UUID NOT NULL,
    purpose TEXT NOT NULL,
    hash BLOB NOT NULL,
    email TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    CONSTRAINT mail_tokens_account_id_purpose PRIMARY KEY (account_id, purpose),
    CONSTRAINT mail_tokens_hash UNIQUE (hash)
);
