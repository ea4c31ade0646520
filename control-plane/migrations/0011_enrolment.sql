-- One-time tokens with which nodes get their first certificate. The token itself is shown once: only its SHA-256 in hex is kept.
CREATE TABLE enrolments (
    id         TEXT   NOT NULL PRIMARY KEY,
    hash       TEXT   NOT NULL UNIQUE,
    -- crate::enrolment::Limits as JSON: who may use it.
    limits     TEXT   NOT NULL,
    label      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT,
    -- The node that has used it.
    used_by    TEXT
);

-- Certificates that nodes have been given and that have not ended.
CREATE TABLE node_certificates (
    -- Lower-case hex.
    serial     TEXT   NOT NULL PRIMARY KEY,
    node       TEXT   NOT NULL,
    -- crate::enrolment::Limits as JSON: what the node may be.
    limits     TEXT   NOT NULL,
    issued_at  BIGINT NOT NULL,
    not_after  BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX node_certificates_node ON node_certificates (node);
