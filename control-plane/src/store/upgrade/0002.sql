-- Written with migration 2, never edited since: see README.md.
INSERT INTO channels (id, title, created_at, settings) VALUES ('taped', '', 1700000000003, '{"record":true}');
INSERT INTO stream_keys (id, channel_id, hash, label, created_at, backup) VALUES
    ('key-2', 'taped', '6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b', '', 1700000000004, 1);
