-- Written with migration 7, never edited since: see README.md.
INSERT INTO secrets (name, value) VALUES ('node-token', 'node-token-of-the-fixtures');
INSERT INTO beats (node, instance, heard_at, beat) VALUES
    ('eu-1', 'an-instance', 1700000000013, '{"load":{"cpu":0.5,"viewers":7,"egress_bps":1}}');
INSERT INTO commands (id, node, at, command) VALUES (1, 'origin-1', 1700000000014, '{}');
