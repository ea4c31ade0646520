-- Written with migration 12, never edited since: see README.md.
INSERT INTO webhooks (id, url, label, events, channels, enabled, secret, old_secret, old_until, created_at) VALUES
    ('hook-1', 'https://example.net/hooks', 'ours', '["channel.live"]', '["demo"]', 1, 'whsec_c2VjcmV0', NULL, NULL, 1700000000020);
INSERT INTO webhook_deliveries (webhook, event, kind, body, state, attempts, created_at, due_at, done_at, status, error, answer) VALUES
    ('hook-1', 'evt-1', 'channel.live', '{}', 'waiting', 1, 1700000000021, 1700000000022, NULL, 503, NULL, 'busy');
