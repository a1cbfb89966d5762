-- Who is told what happened, and where. `types` are words with spaces between them, none for all. The cursor is the position of the last event that became
-- deliveries. The secret is computed from the id and its generation, and stands nowhere.
CREATE TABLE webhooks (
    id UUID NOT NULL,
    url TEXT NOT NULL,
    description TEXT,
    types TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    disabled_reason TEXT,
    generation BIGINT NOT NULL,
    rotated_at BIGINT,
    failing_since BIGINT,
    cursor_xid BIGINT NOT NULL,
    cursor_seq BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT webhooks_id PRIMARY KEY (id)
);

-- How many there are is bounded.
INSERT INTO guards (name, n) VALUES ('webhooks', 0);

-- An event on its way to a webhook, and then the log of it. `due_at` says when it is sent next: none has it that waits for an earlier one of its object, or has
-- ended. `in_order` is false of what is sent again on request, for which nothing waits. No foreign key: the log of a webhook that is gone goes by its age.
CREATE TABLE webhook_deliveries (
    id UUID NOT NULL,
    webhook_id UUID NOT NULL,
    event_xid BIGINT NOT NULL,
    event_seq BIGINT NOT NULL,
    event_type TEXT NOT NULL,
    object_id UUID NOT NULL,
    body TEXT NOT NULL,
    status TEXT NOT NULL,
    in_order BOOLEAN NOT NULL,
    due_at BIGINT,
    attempts BIGINT NOT NULL,
    last_status BIGINT,
    last_error TEXT,
    last_micros BIGINT,
    created_at BIGINT NOT NULL,
    ended_at BIGINT,
    CONSTRAINT webhook_deliveries_id PRIMARY KEY (id)
);

-- What is due.
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, due_at) WHERE due_at IS NOT NULL;
-- The next of an object, and whether there is one.
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (webhook_id, object_id, event_xid, event_seq) WHERE status = 'pending' AND in_order;
-- The log, and what of it failed.
CREATE INDEX webhook_deliveries_log ON webhook_deliveries (webhook_id, created_at, id);
CREATE INDEX webhook_deliveries_failed ON webhook_deliveries (webhook_id, created_at, id) WHERE status = 'failed';
-- How old the oldest is that is still to be told.
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (created_at) WHERE status = 'pending';
-- What the sweep removes.
CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (ended_at) WHERE ended_at IS NOT NULL;
