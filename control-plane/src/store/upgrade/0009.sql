-- Written with migration 9, never edited since: see README.md.
INSERT INTO categories (id, names) VALUES ('chess', '{"en":"Chess"}');
UPDATE channels SET owner = 'club', description = 'All games', language = 'de', tags = '["live"]', category = 'chess',
    mature = 1, visibility = 'public' WHERE id = 'taped';
UPDATE stream_keys SET disabled = 1, old_hash = 'an-old-hash', old_until = 1700000000023 WHERE backup = 1;
