-- Written with migration 13, never edited since: see README.md.
INSERT INTO audience (width, kind, name, region, at, heard_ms, viewer_ms, peak, bytes, peak_bps, reports, starved, failed,
    buffer_count, buffer_total, throughput_count, throughput_total, bitrate_count, bitrate_total, latency_count,
    latency_total, startup_count, startup_total, empty_count, empty_total) VALUES
    (60000, 'channel', 'demo', 'eu', 1699999980000, 0, 420000, 9, 1000000, 200000, 3, 1, 0, 3, 9000, 1, 4000, 1, 2500, 1, 3000, 1, 800, 1, 400);
UPDATE counters SET value = 1699999980000 WHERE name = 'audience';
