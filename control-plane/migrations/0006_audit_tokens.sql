-- Every change that somebody made, in the transaction that made it.
CREATE TABLE audit (
    -- From the counter 'audit': later ones are greater.
    id      BIGINT NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    actor   TEXT   NOT NULL,
    -- Where the call came from; none for what the control plane does by itself.
    address TEXT,
    -- The API's operationId.
    action  TEXT   NOT NULL,
    -- The path below /api/v1 without its first slash.
    target  TEXT   NOT NULL,
    -- What it was and what it became, as JSON; secrets are left out.
    before  TEXT,
    after   TEXT
);

INSERT INTO counters (name, value) VALUES ('audit', 0);

-- The token itself is shown once and never kept: only its SHA-256 in hex.
CREATE TABLE api_tokens (
    id         TEXT   NOT NULL PRIMARY KEY,
    hash       TEXT   NOT NULL UNIQUE,
    -- crate::access::Grant as JSON.
    allows     TEXT   NOT NULL,
    label      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);
