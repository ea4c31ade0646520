-- How operators want the network, as numbered versions that never change.
CREATE TABLE topologies (
    version      BIGINT NOT NULL PRIMARY KEY,
    -- nearcast_api::topology::Topology as JSON.
    topology     TEXT   NOT NULL,
    note         TEXT   NOT NULL,
    author       TEXT   NOT NULL,
    published_at BIGINT NOT NULL,
    -- The version that it is a copy of, where somebody went back.
    copy_of      BIGINT
);

-- What is to be published next; there is one at most.
CREATE TABLE topology_drafts (
    id         BIGINT NOT NULL PRIMARY KEY,
    -- The version that was published when it was begun.
    base       BIGINT NOT NULL,
    topology   TEXT   NOT NULL,
    author     TEXT   NOT NULL,
    changed_at BIGINT NOT NULL
);
