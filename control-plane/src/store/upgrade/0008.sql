-- Written with migration 8, never edited since: see README.md.
INSERT INTO topologies (version, topology, note, author, published_at, copy_of) VALUES
    (1, '{"nodes":{"eu-1":{"weight":50,"capacity":{"viewers":100}}}}', 'first', 'admin-token', 1700000000017, NULL),
    (2, '{}', 'back', 'token:token-1', 1700000000018, 1);
INSERT INTO topology_drafts (id, base, topology, author, changed_at) VALUES
    (1, 2, '{"regions":{"eu":{"title":"Europe"}}}', 'admin-token', 1700000000019);
