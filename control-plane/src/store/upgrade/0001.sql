-- Written with migration 1, never edited since: see README.md.
INSERT INTO channels (id, title, created_at, live) VALUES
    ('demo', 'Demo', 1700000000000, '{"origin":"origin-1","broadcast":"b1","started_at":1700000001000}'),
    ('quiet', 'Nothing “live” here', 1700000000001, NULL);
INSERT INTO stream_keys (id, channel_id, hash, label, created_at) VALUES
    ('key-1', 'demo', '5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5', 'OBS', 1700000000002);
INSERT INTO nodes (id, spec, drain, down) VALUES
    ('eu-1', '{"id":"eu-1","role":"edge","region":"eu","addresses":["127.0.0.1"],"urls":["https://127.0.0.1:8443"],"version":"0.1.0"}', 1, 0),
    ('origin-1', '{"id":"origin-1","role":"origin","region":"eu","addresses":["127.0.0.3"],"urls":["http://127.0.0.3:8600"],"version":"0.1.0"}', 0, 1);
UPDATE counters SET value = 1073741824 WHERE name = 'snapshot_version';
