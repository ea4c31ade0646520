-- Keys of playback tokens.
CREATE TABLE playback_keys (
    id         TEXT   NOT NULL PRIMARY KEY,
    -- nearcast_api::playback::Key as JSON: what edges verify with.
    key        TEXT   NOT NULL,
    -- What tokens are signed with here, in base64url: PKCS #8 or the secret. None where only others can sign.
    signing    TEXT,
    label      TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);

-- Viewers who were sent away.
CREATE TABLE revocations (
    id         TEXT   NOT NULL PRIMARY KEY,
    -- nearcast_api::playback::Revocation as JSON.
    revocation TEXT   NOT NULL,
    -- The revocation's own, to find those that are over.
    until      BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
