-- Categories of channels: names are a map from a language (BCP 47) to a text, as JSON, and have "en".
CREATE TABLE categories (
    id    TEXT NOT NULL PRIMARY KEY,
    names TEXT NOT NULL
);

INSERT INTO categories (id, names) VALUES
    ('art',        '{"en":"Art","es":"Arte","de":"Kunst","fr":"Art","pt":"Arte"}'),
    ('causes',     '{"en":"Causes","es":"Causas","de":"Soziales Engagement","fr":"Causes","pt":"Causas"}'),
    ('crafts',     '{"en":"Crafts","es":"Manualidades","de":"Handarbeit und Basteln","fr":"Loisirs créatifs","pt":"Artesanato"}'),
    ('dance',      '{"en":"Dance","es":"Baile","de":"Tanz","fr":"Danse","pt":"Dança"}'),
    ('drinks',     '{"en":"Drinks","es":"Bebidas","de":"Getränke","fr":"Boissons","pt":"Bebidas"}'),
    ('film',       '{"en":"Film","es":"Cine","de":"Film","fr":"Cinéma","pt":"Cinema"}'),
    ('fitness',    '{"en":"Fitness","es":"Fitness","de":"Fitness","fr":"Fitness","pt":"Fitness"}'),
    ('food',       '{"en":"Food","es":"Comida","de":"Essen","fr":"Cuisine","pt":"Comida"}'),
    ('juegos',     '{"en":"Juegos","es":"Juegos","de":"Spiele","fr":"Jeux","pt":"Jogos"}'),
    ('gardening',  '{"en":"Gardening","es":"Jardinería","de":"Gärtnern","fr":"Jardinage","pt":"Jardinagem"}'),
    ('health',     '{"en":"Health","es":"Salud","de":"Gesundheit","fr":"Santé","pt":"Saúde"}'),
    ('home',       '{"en":"Home","es":"Hogar","de":"Wohnen","fr":"Maison","pt":"Casa"}'),
    ('literature', '{"en":"Literature","es":"Literatura","de":"Literatur","fr":"Littérature","pt":"Literatura"}'),
    ('music',      '{"en":"Music","es":"Música","de":"Musik","fr":"Musique","pt":"Música"}'),
    ('networking', '{"en":"Networking","es":"Networking","de":"Networking","fr":"Réseautage","pt":"Networking"}'),
    ('other',      '{"en":"Other","es":"Otros","de":"Sonstiges","fr":"Autres","pt":"Outros"}'),
    ('party',      '{"en":"Party","es":"Fiesta","de":"Party","fr":"Fête","pt":"Festa"}'),
    ('religion',   '{"en":"Religion","es":"Religión","de":"Religion","fr":"Religion","pt":"Religião"}'),
    ('shopping',   '{"en":"Shopping","es":"Compras","de":"Einkaufen","fr":"Shopping","pt":"Compras"}'),
    ('sports',     '{"en":"Sports","es":"Deportes","de":"Sport","fr":"Sports","pt":"Esportes"}'),
    ('theater',    '{"en":"Theater","es":"Teatro","de":"Theater","fr":"Théâtre","pt":"Teatro"}'),
    ('wellness',   '{"en":"Wellness","es":"Bienestar","de":"Wellness","fr":"Bien-être","pt":"Bem-estar"}');

-- What a channel says of itself.
ALTER TABLE channels ADD COLUMN owner       TEXT   NOT NULL DEFAULT '';
ALTER TABLE channels ADD COLUMN description TEXT   NOT NULL DEFAULT '';
-- BCP 47; empty for none.
ALTER TABLE channels ADD COLUMN language    TEXT   NOT NULL DEFAULT '';
-- A list of texts as JSON.
ALTER TABLE channels ADD COLUMN tags        TEXT   NOT NULL DEFAULT '[]';
ALTER TABLE channels ADD COLUMN category    TEXT   REFERENCES categories (id);
ALTER TABLE channels ADD COLUMN mature      BIGINT NOT NULL DEFAULT 0;
ALTER TABLE channels ADD COLUMN visibility  TEXT   NOT NULL DEFAULT 'public';
CREATE INDEX channels_category ON channels (category);
-- Nobody has asked for those that are there already to be listed.
UPDATE channels SET visibility = 'unlisted';

-- 1 while the key opens nothing.
ALTER TABLE stream_keys ADD COLUMN disabled  BIGINT NOT NULL DEFAULT 0;
-- The hash of the secret before the last rotation, and until when it counts as well.
ALTER TABLE stream_keys ADD COLUMN old_hash  TEXT   NOT NULL DEFAULT '';
ALTER TABLE stream_keys ADD COLUMN old_until BIGINT NOT NULL DEFAULT 0;
