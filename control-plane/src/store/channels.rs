//! Channels in the store.

use nearcast_api::ChannelId;
use nearcast_api::channel::Settings;
use nearcast_api::snapshot::{KeyHash, Live};

use super::audit::Change;
use super::deliveries::{hasten, queue, unqueue};
use super::{Store, damaged, failed};
use crate::error::{Error, Result};
use crate::keys;
use crate::profile::{Profile, Visibility};
use crate::webhooks::watch::{self, Told};

/// A channel as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredChannel {
    pub id: ChannelId,
    pub title: String,
    /// Milliseconds since the Unix epoch.
    pub created_at: u64,
    pub live: Option<Live>,
    pub profile: Profile,
    pub settings: Settings,
}

impl StoredChannel {
    /// Names what an operator decides of it as it is now (RFC 9110 section 8.8.3).
    pub fn etag(&self) -> String {
        // Structs of numbers and texts always have a JSON form.
        let all = serde_json::to_string(&(&self.title, &self.profile, &self.settings)).unwrap_or_default();
        let KeyHash(hash) = keys::hash(&all);
        format!("\"{}\"", &hash[..16])
    }
}

macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT id, title, created_at, live, settings, owner, description, language, tags, category, mature, \
             visibility FROM channels ",
            $which
        )
    };
}

const ONE: &str = select!("WHERE id = $1");

/// As they stand in [`ONE`].
type Row = (
    String,
    String,
    i64,
    Option<String>,
    String,
    String,
    String,
    String,
    String,
    Option<String>,
    i64,
    String,
);

impl Store {
    /// All channels by id.
    pub async fn channels(&self) -> Result<Vec<StoredChannel>> {
        let query = sqlx::query_as::<_, Row>(select!("ORDER BY id"));
        let rows = query.fetch_all(&self.pool).await.map_err(failed("read the channels"))?;
        rows.into_iter().map(channel).collect()
    }

    /// One channel.
    pub async fn channel(&self, id: &ChannelId) -> Result<StoredChannel> {
        let query = sqlx::query_as::<_, Row>(ONE).bind(id.as_str());
        let row = query.fetch_optional(&self.pool).await.map_err(failed("read a channel"))?;
        row.map_or_else(|| Err(Error::NoChannel(id.clone())), channel)
    }

    /// Remembers what is live on a channel, and queues what webhooks are to be told of it: a broadcast's begin once, whichever
    /// instances see it and however often.
    pub async fn set_live(&self, id: &ChannelId, live: Option<&Live>, told: &Told) -> Result<()> {
        let failed = || failed("remember what is live");
        let text = live.and_then(|live| serde_json::to_string(live).ok());
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        let query = sqlx::query("UPDATE channels SET live = $2 WHERE id = $1").bind(id.as_str()).bind(text);
        query.execute(&mut *transaction).await.map_err(failed())?;
        let mut queued = false;
        if let Some((ended, at)) = &told.ended {
            queued |= queue(&mut transaction, ended, *at, None).await?;
        }
        if let Some(event) = &told.taken_over {
            queued |= queue(&mut transaction, event, event.at, None).await?;
        }
        if let (Some(began), Some(ended), Some(live)) = (&told.live, &told.back, live) {
            unqueue(&mut transaction, ended).await?;
            let query = sqlx::query_scalar::<_, String>("SELECT announced FROM channels WHERE id = $1");
            let before = query.bind(id.as_str()).fetch_optional(&mut *transaction).await.map_err(failed())?;
            if let Some(before) = before.filter(|before| *before != live.broadcast.as_str()) {
                // What was there before has ended, and that is told first.
                hasten(&mut transaction, &watch::ended(id, &before), began.at).await?;
            }
            let query = sqlx::query("UPDATE channels SET announced = $2 WHERE id = $1 AND announced <> $2");
            let query = query.bind(id.as_str()).bind(live.broadcast.as_str());
            if query.execute(&mut *transaction).await.map_err(failed())?.rows_affected() == 1 {
                queued |= queue(&mut transaction, began, began.at, None).await?;
            }
        }
        transaction.commit().await.map_err(failed())?;
        if queued {
            self.bell.notify_one();
        }
        Ok(())
    }
}

impl Change {
    /// The channel as it is before the change: nobody else changes anything until this one is over.
    pub async fn channel(&mut self, id: &ChannelId) -> Result<StoredChannel> {
        let query = sqlx::query_as::<_, Row>(ONE).bind(id.as_str());
        let row = query.fetch_optional(self.connection()).await.map_err(failed("read a channel"))?;
        row.map_or_else(|| Err(Error::NoChannel(id.clone())), channel)
    }

    /// Adds a channel.
    ///
    /// # Errors
    /// [`Error::ChannelExists`].
    pub async fn create_channel(&mut self, id: &ChannelId, title: &str, created_at: u64) -> Result<()> {
        let done = sqlx::query(
            "INSERT INTO channels (id, title, created_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
        )
        .bind(id.as_str())
        .bind(title)
        .bind(created_at.cast_signed())
        .execute(self.connection())
        .await
        .map_err(failed("add a channel"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(Error::ChannelExists(id.clone())) }
    }

    /// Changes a channel's title.
    pub async fn rename_channel(&mut self, id: &ChannelId, title: &str) -> Result<()> {
        let query = sqlx::query("UPDATE channels SET title = $2 WHERE id = $1").bind(id.as_str()).bind(title);
        let done = query.execute(self.connection()).await.map_err(failed("change a channel"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(Error::NoChannel(id.clone())) }
    }

    /// Changes what a channel says of itself.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no such category.
    pub async fn set_profile(&mut self, id: &ChannelId, profile: &Profile) -> Result<()> {
        if let Some(category) = &profile.category
            && !self.has_category(category).await?
        {
            let problem = format!("there is no category {category:?}: GET /api/v1/categories lists them");
            return Err(Error::Invalid { field: "category", problem });
        }
        let Profile { owner, description, language, tags, category, mature, visibility } = profile;
        let done = sqlx::query(
            "UPDATE channels SET owner = $2, description = $3, language = $4, tags = $5, category = $6, mature = $7, \
             visibility = $8 WHERE id = $1",
        )
        .bind(id.as_str())
        .bind(owner)
        .bind(description)
        .bind(language.as_ref().map_or("", |language| language.as_str()))
        .bind(serde_json::to_string(tags).unwrap_or_default())
        .bind(category.as_deref())
        .bind(i64::from(*mature))
        .bind(visibility.as_str())
        .execute(self.connection())
        .await
        .map_err(failed("change a channel"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(Error::NoChannel(id.clone())) }
    }

    /// Changes a channel's settings.
    pub async fn set_settings(&mut self, id: &ChannelId, settings: &Settings) -> Result<()> {
        let text =
            serde_json::to_string(settings).map_err(|_| damaged("a channel's settings", id.as_str()))?;
        let query =
            sqlx::query("UPDATE channels SET settings = $2 WHERE id = $1").bind(id.as_str()).bind(text);
        let done = query.execute(self.connection()).await.map_err(failed("change a channel's settings"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(Error::NoChannel(id.clone())) }
    }

    /// Removes a channel and its keys.
    pub async fn delete_channel(&mut self, id: &ChannelId) -> Result<()> {
        let query = sqlx::query("DELETE FROM channels WHERE id = $1").bind(id.as_str());
        let done = query.execute(self.connection()).await.map_err(failed("delete a channel"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(Error::NoChannel(id.clone())) }
    }
}

fn channel(row: Row) -> Result<StoredChannel> {
    let (
        id,
        title,
        created_at,
        live,
        settings,
        owner,
        description,
        language,
        tags,
        category,
        mature,
        visibility,
    ) = row;
    let live = live.map(|text| serde_json::from_str(&text).map_err(|_| damaged("a live broadcast", &text)));
    let language = match language.as_str() {
        "" => None,
        tag => Some(tag.parse().map_err(|_| damaged("a channel's language", tag))?),
    };
    let profile = Profile {
        owner,
        description,
        language,
        tags: serde_json::from_str(&tags).map_err(|_| damaged("a channel's tags", &tags))?,
        category,
        mature: mature != 0,
        visibility: Visibility::named(&visibility)
            .ok_or_else(|| damaged("a channel's visibility", &visibility))?,
    };
    Ok(StoredChannel {
        id: id.parse().map_err(|_| damaged("a channel's id", &id))?,
        title,
        created_at: created_at.cast_unsigned(),
        live: live.transpose()?,
        profile,
        settings: serde_json::from_str(&settings).map_err(|_| damaged("a channel's settings", &settings))?,
    })
}
