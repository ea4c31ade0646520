-- Written with migration 15, never edited since: see README.md.
INSERT INTO idempotency (id, caller, at, fingerprint, claim, answer) VALUES
    ('an-id', 'token:token-1', 1700000000015, 'a-fingerprint', 'a-claim', 'an-answer'),
    ('running', 'admin-token', 1700000000016, 'a-fingerprint', 'a-claim', NULL);
