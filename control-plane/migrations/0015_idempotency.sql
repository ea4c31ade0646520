-- Calls with an Idempotency-Key, for a day: who makes one again gets its answer again.
CREATE TABLE idempotency (
    -- Made from the key, the caller's token and the route; none of them can be found from it.
    id          TEXT   NOT NULL PRIMARY KEY,
    -- Who called, as the audit log calls them.
    caller      TEXT   NOT NULL,
    at          BIGINT NOT NULL,
    -- Of the body, made with a key of the same origin.
    fingerprint TEXT   NOT NULL,
    -- Who carries the call out: a name made for this once.
    claim       TEXT   NOT NULL,
    -- Encrypted, so that only who makes the call again can read it. None while it is carried out.
    answer      TEXT
);
CREATE INDEX idempotency_at ON idempotency (at);
CREATE INDEX idempotency_caller ON idempotency (caller);
