-- Plain SQL that PostgreSQL takes as well: no AUTOINCREMENT, no untyped columns, times in milliseconds since the Unix epoch.

CREATE TABLE channels (
    id         TEXT   NOT NULL PRIMARY KEY,
    title      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    -- What was last live here (nearcast_api::snapshot::Live as JSON), for a control plane that starts again.
    live       TEXT
);

-- The key itself is shown once and never kept: only its SHA-256 in hex.
CREATE TABLE stream_keys (
    id         TEXT   NOT NULL PRIMARY KEY,
    channel_id TEXT   NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    hash       TEXT   NOT NULL UNIQUE,
    label      TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX stream_keys_channel ON stream_keys (channel_id);

CREATE TABLE nodes (
    id    TEXT   NOT NULL PRIMARY KEY,
    -- nearcast_api::node::Spec as JSON.
    spec  TEXT   NOT NULL,
    -- 1 while an operator has it drained, or it was last seen down.
    drain BIGINT NOT NULL DEFAULT 0,
    down  BIGINT NOT NULL DEFAULT 0
);

-- Counters that outlive the process. snapshot_version: no snapshot with a higher version was ever handed out.
CREATE TABLE counters (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('snapshot_version', 0);
