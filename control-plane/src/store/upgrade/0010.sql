-- Written with migration 10, never edited since: see README.md.
INSERT INTO users (id, name, allows, password, subject, disabled, created_at, last_login_at) VALUES
    ('anna', 'Anna', '{"scopes":["operator"]}', NULL, 'subject-of-anna', 0, 1700000000024, NULL);
INSERT INTO sessions (id, hash, user_id, address, created_at, expires_at) VALUES
    ('session-1', 'a-session-hash', 'anna', '192.0.2.1', 1700000000025, 1700000000026);
INSERT INTO sign_in_failures (name, failures, began_at, locks, until_at, last_at) VALUES ('bert', 2, 1700000000027, 0, 0, 1700000000028);
INSERT INTO oidc_logins (state, nonce, verifier, expires_at) VALUES ('a-state', 'a-nonce', 'a-verifier', 1700000000029);
