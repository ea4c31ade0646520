-- Written with migration 4, never edited since: see README.md.
INSERT INTO playback_keys (id, key, signing, label, created_at) VALUES
    ('play-1', '{"algorithm":"HS256","key":"c2VjcmV0LW9mLTMyLWJ5dGVzLWZvci10aGUtdGVzdHM"}', 'c2VjcmV0LW9mLTMyLWJ5dGVzLWZvci10aGUtdGVzdHM', 'made here', 1700000000005),
    ('play-2', '{"algorithm":"HS256","key":"YW5vdGhlci1vZi0zMi1ieXRlcy1mb3ItdGhlLXRlc3Q"}', NULL, '', 1700000000006);
INSERT INTO revocations (id, revocation, until, created_at) VALUES
    ('away-1', '{"until":253402300799,"subject":"bert"}', 253402300799000, 1700000000007);
