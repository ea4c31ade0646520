-- Written with migration 5, never edited since: see README.md.
INSERT INTO purges (id, purge) VALUES (1700000000008, '{"tag":"news","soft":true}');
