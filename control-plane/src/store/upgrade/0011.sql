-- Written with migration 11, never edited since: see README.md.
INSERT INTO enrolments (id, hash, limits, label, created_at, expires_at, used_at, used_by) VALUES
    ('enrolment-1', 'an-enrolment-hash', '{}', 'us-1', 1700000000030, 1700003600000, 1700000000031, 'us-1');
INSERT INTO node_certificates (serial, node, limits, issued_at, not_after, revoked_at) VALUES
    ('0a', 'us-1', '{}', 1700000000032, 4700000000000, 1700000000033);
