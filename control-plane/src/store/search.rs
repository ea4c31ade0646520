//! Full-text search over public channels: FTS5 in SQLite, a text search vector in PostgreSQL.
//!
//! What is searched is kept right by the database itself, whoever writes to `channels`. The two have nothing in common that a
//! migration could say, so this is made when the store is opened.

use sqlx::{AnyConnection, AnyPool, Executor};

use super::{Store, damaged, failed};
use crate::directory::Hit;
use crate::error::Result;

/// Makes what is searched, unless it is there. `shared` on PostgreSQL.
pub(super) async fn prepare(pool: &AnyPool, shared: bool) -> Result<()> {
    let failed = || failed("prepare the search of channels");
    let mut transaction = pool.begin().await.map_err(failed())?;
    match shared {
        true => prepare_postgres(&mut transaction).await,
        false => prepare_sqlite(&mut transaction).await,
    }
    .map_err(failed())?;
    transaction.commit().await.map_err(failed())
}

async fn prepare_sqlite(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let made = "SELECT name FROM sqlite_master WHERE name = 'channel_search'";
    if sqlx::query(made).fetch_optional(&mut *connection).await?.is_none() {
        connection.execute(SQLITE).await?;
    }
    Ok(())
}

async fn prepare_postgres(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let made = "SELECT indexname::TEXT FROM pg_indexes WHERE indexname = 'channels_search' AND schemaname = current_schema()";
    // Looked at first: the statements want the table for themselves, for which they would wait for a backup to end.
    if sqlx::query(made).fetch_optional(&mut *connection).await?.is_none() {
        connection.execute(POSTGRES).await?;
    }
    Ok(())
}

impl Store {
    /// Public channels that have all words of `text` in title, description or tags, the last one perhaps only its beginning:
    /// at most `most` of them, the most relevant first, of equals by id.
    pub async fn search_channels(&self, text: &str, most: usize) -> Result<Vec<Hit>> {
        // Accents that stand alone are none of the letters' own, and would leave words without any.
        let text = text.replace(|c: char| ('\u{300}'..='\u{36f}').contains(&c), "");
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let words: Vec<&str> = words.take(MOST_WORDS).collect();
        if words.is_empty() {
            return Ok(Vec::new());
        }
        // Only letters and digits are left, in quotes: whatever was typed, it is no syntax.
        let (query, words) = match self.is_shared() {
            true => {
                let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
                (FIND_POSTGRES, format!("{}:*", words.join(" & ")))
            }
            false => {
                let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                (FIND_SQLITE, format!("{} *", words.join(" ")))
            }
        };
        let query = sqlx::query_as::<_, (String, i64)>(query).bind(words);
        let query = query.bind(i64::try_from(most).unwrap_or(i64::MAX));
        let rows = query.fetch_all(&self.pool).await.map_err(failed("search channels"))?;
        let hit = |(id, relevance): (String, i64)| {
            let id = id.parse().map_err(|_| damaged("a channel's id", &id))?;
            Ok(Hit { id, relevance: u64::try_from(relevance).unwrap_or(0) })
        };
        rows.into_iter().map(hit).collect()
    }
}

/// The table of words holds no texts and knows numbers only: those of `channels` itself may be others after a VACUUM.
const SQLITE: &str = "
CREATE TABLE channel_numbers (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
CREATE VIRTUAL TABLE channel_search USING fts5(
    title, description, tags,
    content = '', contentless_delete = 1, prefix = '2 3', tokenize = 'unicode61 remove_diacritics 2'
);
CREATE TRIGGER channel_search_insert AFTER INSERT ON channels BEGIN
    INSERT INTO channel_numbers (id) VALUES (new.id);
    INSERT INTO channel_search (rowid, title, description, tags)
        SELECT number, new.title, new.description, new.tags FROM channel_numbers WHERE id = new.id;
END;
CREATE TRIGGER channel_search_update AFTER UPDATE OF title, description, tags ON channels BEGIN
    UPDATE channel_search SET title = new.title, description = new.description, tags = new.tags
        WHERE rowid = (SELECT number FROM channel_numbers WHERE id = new.id);
END;
CREATE TRIGGER channel_search_delete AFTER DELETE ON channels BEGIN
    DELETE FROM channel_search WHERE rowid = (SELECT number FROM channel_numbers WHERE id = old.id);
    DELETE FROM channel_numbers WHERE id = old.id;
END;
INSERT INTO channel_numbers (id) SELECT id FROM channels ORDER BY id;
INSERT INTO channel_search (rowid, title, description, tags)
    SELECT number, title, description, tags FROM channels JOIN channel_numbers USING (id);
";

/// Best matches by Okapi BM25, where a word in the title weighs as much as ten in the description.
const FIND_SQLITE: &str = "\
    SELECT channels.id, CAST(-bm25(channel_search, 10.0, 1.0, 5.0) * 1e9 AS INTEGER) AS relevance \
    FROM channel_search JOIN channel_numbers ON number = channel_search.rowid \
    JOIN channels ON channels.id = channel_numbers.id \
    WHERE channel_search MATCH $1 AND visibility = 'public' \
    ORDER BY relevance DESC, channels.id LIMIT $2";

/// Accents off, as FTS5 does it, and no punctuation: PostgreSQL would take `example.com` or `half-life` for one word.
macro_rules! plain {
    ($text:literal) => {
        concat!(
            "regexp_replace(regexp_replace(normalize(",
            $text,
            ", NFD), '[\\u0300-\\u036F]', '', 'g'), '[[:punct:]]+', ' ', 'g')"
        )
    };
}

/// The first statement has the table locked until the end, so that of two instances one finds it all there.
const POSTGRES: &str = concat!(
    "ALTER TABLE channels ADD COLUMN IF NOT EXISTS search TSVECTOR GENERATED ALWAYS AS (setweight(to_tsvector('simple', ",
    plain!("title"),
    "), 'A') || setweight(to_tsvector('simple', ",
    plain!("tags"),
    "), 'B') || setweight(to_tsvector('simple', ",
    plain!("description"),
    "), 'D')) STORED; \
     CREATE INDEX IF NOT EXISTS channels_search ON channels USING GIN (search)"
);

const FIND_POSTGRES: &str = "\
    SELECT id, (ts_rank(search, query) * 1e9)::BIGINT AS relevance FROM channels, \
    to_tsquery('simple', regexp_replace(normalize($1, NFD), '[\\u0300-\\u036F]', '', 'g')) AS query \
    WHERE search @@ query AND visibility = 'public' \
    ORDER BY relevance DESC, id COLLATE \"C\" LIMIT $2";

/// Each costs a look.
const MOST_WORDS: usize = 16;
