-- What happened to publishers, as origins tell it: the newest of each channel are kept.
CREATE TABLE ingest_events (
    -- From the counter 'ingest_event': later ones are greater, and none is used twice.
    id         BIGINT NOT NULL PRIMARY KEY,
    channel_id TEXT   NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    -- An origin tells again what was not acknowledged: these three know an event that is here already.
    node       TEXT   NOT NULL,
    epoch      BIGINT NOT NULL,
    seq        BIGINT NOT NULL,
    -- nearcast_api::ingest::Event as JSON.
    event      TEXT   NOT NULL,
    UNIQUE (node, epoch, seq)
);
CREATE INDEX ingest_events_channel ON ingest_events (channel_id, id);

INSERT INTO counters (name, value) VALUES ('ingest_event', 0);
