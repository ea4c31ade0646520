-- Written with migration 6, never edited since: see README.md.
INSERT INTO audit (id, at, actor, address, action, target, before, after) VALUES
    (1, 1700000000009, 'admin-token', '198.51.100.7', 'changeChannel', 'channels/demo', '{"title":"De\"mo"}', '{"title":"Demo"}'),
    (2, 1700000000010, 'nearcast-control', NULL, 'createPlaybackKey', 'playback-keys/play-1', NULL, NULL);
UPDATE counters SET value = 2 WHERE name = 'audit';
INSERT INTO api_tokens (id, hash, allows, label, created_at, expires_at) VALUES
    ('token-1', 'd4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35', '{"scopes":["publisher"],"channels":["demo"]}', 'CI', 1700000000011, NULL),
    ('token-2', '4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce', '{"scopes":["admin"]}', '', 1700000000012, 253402300799000);
