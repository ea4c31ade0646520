-- People who sign in.
CREATE TABLE users (
    id            TEXT   NOT NULL PRIMARY KEY,
    name          TEXT   NOT NULL,
    -- crate::access::Grant as JSON.
    allows        TEXT   NOT NULL,
    -- An argon2id PHC string; none for who comes by the identity provider only.
    password      TEXT,
    -- The `sub` of the identity provider, which alone never changes and is never given to another.
    subject       TEXT   UNIQUE,
    -- 1 while they may not sign in.
    disabled      BIGINT NOT NULL DEFAULT 0,
    created_at    BIGINT NOT NULL,
    last_login_at BIGINT
);

-- The token itself is shown once and never kept: only its SHA-256 in hex.
CREATE TABLE sessions (
    id         TEXT   NOT NULL PRIMARY KEY,
    hash       TEXT   NOT NULL UNIQUE,
    user_id    TEXT   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- Where it began.
    address    TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id, created_at);

-- Wrong passwords, by the names they were tried for, whether there are such users or not.
CREATE TABLE sign_in_failures (
    name     TEXT   NOT NULL PRIMARY KEY,
    -- crate::access::Lockout, field by field.
    failures BIGINT NOT NULL,
    began_at BIGINT NOT NULL,
    locks    BIGINT NOT NULL,
    until_at BIGINT NOT NULL,
    last_at  BIGINT NOT NULL
);
CREATE INDEX sign_in_failures_last ON sign_in_failures (last_at);

-- Browsers that are at the identity provider: what their answers have to fit.
CREATE TABLE oidc_logins (
    -- SHA-256 of the `state`, in hex.
    state      TEXT   NOT NULL PRIMARY KEY,
    nonce      TEXT   NOT NULL,
    -- The PKCE code verifier (RFC 7636).
    verifier   TEXT   NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX oidc_logins_expires ON oidc_logins (expires_at);
