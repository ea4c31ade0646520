-- Written with migration 3, never edited since: see README.md.
INSERT INTO ingest_events (id, channel_id, node, epoch, seq, event) VALUES
    (1, 'demo', 'origin-1', 1700000000000, 0, '{"seq":0,"at":1700000001000,"channel":"demo","ingest":7,"protocol":"rtmp","peer":"198.51.100.7:4000","kind":"connected"}');
UPDATE counters SET value = 1 WHERE name = 'ingest_event';
