-- Who is told what happens, and what they are told: written together with what happened, delivered after.
CREATE TABLE webhooks (
    id          TEXT   NOT NULL PRIMARY KEY,
    url         TEXT   NOT NULL,
    label       TEXT   NOT NULL,
    -- Names of events as JSON, which the statement that queues deliveries searches; [] for all.
    events      TEXT   NOT NULL,
    -- Ids of channels, the same.
    channels    TEXT   NOT NULL,
    enabled     BIGINT NOT NULL,
    -- Why the control plane disabled it; none where an operator did.
    disabled_because TEXT,
    -- As it was shown, for a signature needs it whole.
    secret      TEXT   NOT NULL,
    -- The one before it, and until when that signs as well.
    old_secret  TEXT,
    old_until   BIGINT,
    created_at  BIGINT NOT NULL
);

CREATE TABLE webhook_deliveries (
    webhook    TEXT   NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    -- The event's id. The same event always has the same, so that it is queued once whoever sees it.
    event      TEXT   NOT NULL,
    -- Its type.
    kind       TEXT   NOT NULL,
    -- As it is sent.
    body       TEXT   NOT NULL,
    -- waiting, delivered or dead.
    state      TEXT   NOT NULL,
    -- Attempts that were begun.
    attempts   BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    -- When the next attempt begins; while one is under way, when another may.
    due_at     BIGINT NOT NULL,
    -- When it was delivered or given up.
    done_at    BIGINT,
    -- How the last attempt ended: the status, what went wrong, and how the answer begins.
    status     BIGINT,
    error      TEXT,
    answer     TEXT,
    PRIMARY KEY (webhook, event)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook, state, due_at);
CREATE INDEX webhook_deliveries_event ON webhook_deliveries (event);
CREATE INDEX webhook_deliveries_done ON webhook_deliveries (state, done_at);

-- The broadcast whose begin was told last, and what was told last of a node: several instances see the same.
ALTER TABLE channels ADD COLUMN announced TEXT NOT NULL DEFAULT '';
ALTER TABLE nodes ADD COLUMN announced TEXT NOT NULL DEFAULT '';
