-- Who watched, how much and how well, in buckets of time: see crate::audience.
CREATE TABLE audience (
    -- How long the bucket is: 60000, 600000, 3600000 or 86400000 milliseconds.
    width            BIGINT NOT NULL,
    -- 'region', 'node' or 'channel'.
    kind             TEXT   NOT NULL,
    -- The region's, node's or channel's; empty for all channels that are not among the most watched.
    name             TEXT   NOT NULL,
    region           TEXT   NOT NULL,
    -- When the bucket begins, in milliseconds since the Unix epoch; a multiple of its width.
    at               BIGINT NOT NULL,
    -- For how much of it somebody of there was heard; 0 for channels, which are heard with their region.
    heard_ms         BIGINT NOT NULL,
    -- Milliseconds watched, by all together.
    viewer_ms        BIGINT NOT NULL,
    -- The most viewers at a time.
    peak             BIGINT NOT NULL,
    bytes            BIGINT NOT NULL,
    -- The most bits per second.
    peak_bps         BIGINT NOT NULL,
    -- nearcast_api::audience::Qoe.
    reports          BIGINT NOT NULL,
    starved          BIGINT NOT NULL,
    failed           BIGINT NOT NULL,
    buffer_count     BIGINT NOT NULL,
    buffer_total     BIGINT NOT NULL,
    throughput_count BIGINT NOT NULL,
    throughput_total BIGINT NOT NULL,
    bitrate_count    BIGINT NOT NULL,
    bitrate_total    BIGINT NOT NULL,
    latency_count    BIGINT NOT NULL,
    latency_total    BIGINT NOT NULL,
    startup_count    BIGINT NOT NULL,
    startup_total    BIGINT NOT NULL,
    empty_count      BIGINT NOT NULL,
    empty_total      BIGINT NOT NULL,
    PRIMARY KEY (width, kind, name, region, at)
);
CREATE INDEX audience_at ON audience (width, at);

-- Until when it is rolled up, in milliseconds since the Unix epoch; whoever sets it on does so.
INSERT INTO counters (name, value) VALUES ('audience', 0);
