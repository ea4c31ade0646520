-- The newest purges, and the one before them: nodes that were away ask for what they missed.
CREATE TABLE purges (
    -- Later ones are greater.
    id    BIGINT NOT NULL PRIMARY KEY,
    -- nearcast_api::purge::Order as JSON.
    purge TEXT   NOT NULL
);
