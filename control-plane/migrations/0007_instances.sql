-- What nodes said to the instance that they talk to, for the other instances on one PostgreSQL.
CREATE TABLE beats (
    node     TEXT   NOT NULL PRIMARY KEY,
    -- The process that heard it.
    instance TEXT   NOT NULL,
    -- By the database's clock.
    heard_at BIGINT NOT NULL,
    -- nearcast_api::node::Heartbeat as JSON.
    beat     TEXT   NOT NULL
);
CREATE INDEX beats_instance ON beats (instance);

-- Metadata on its way to the instance that its origin talks to.
CREATE TABLE commands (
    -- From the counter 'command': later ones are greater.
    id      BIGINT NOT NULL PRIMARY KEY,
    node    TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    -- nearcast_api::metadata::Command as JSON; its number is the instance's to give.
    command TEXT   NOT NULL
);
CREATE INDEX commands_node ON commands (node);

INSERT INTO counters (name, value) VALUES ('command', 0);

-- The tokens that every start has, where several instances must have the same.
CREATE TABLE secrets (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
