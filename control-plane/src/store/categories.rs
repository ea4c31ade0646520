//! Categories in the store.

use nearcast_api::ChannelId;

use super::audit::Change;
use super::{Store, damaged, failed};
use crate::category::Category;
use crate::error::{Error, Result};

type Row = (String, String);

impl Store {
    /// All categories by id.
    pub async fn categories(&self) -> Result<Vec<Category>> {
        let query = sqlx::query_as::<_, Row>("SELECT id, names FROM categories ORDER BY id");
        let rows = query.fetch_all(&self.pool).await.map_err(failed("read the categories"))?;
        rows.into_iter().map(category).collect()
    }

    /// The channels of a category by id.
    pub async fn channels_of(&self, category: &str) -> Result<Vec<ChannelId>> {
        let query =
            sqlx::query_scalar::<_, String>("SELECT id FROM channels WHERE category = $1 ORDER BY id");
        let ids = query.bind(category).fetch_all(&self.pool).await;
        let ids = ids.map_err(failed("read a category's channels"))?.into_iter();
        ids.map(|id| id.parse().map_err(|_| damaged("a channel's id", &id))).collect()
    }
}

impl Change {
    /// The category as it is before the change.
    pub async fn category(&mut self, id: &str) -> Result<Category> {
        let query = sqlx::query_as::<_, Row>("SELECT id, names FROM categories WHERE id = $1").bind(id);
        let row = query.fetch_optional(self.connection()).await.map_err(failed("read a category"))?;
        row.map_or_else(|| Err(missing(id)), category)
    }

    pub(super) async fn has_category(&mut self, id: &str) -> Result<bool> {
        let query = sqlx::query_as::<_, (String,)>("SELECT id FROM categories WHERE id = $1").bind(id);
        let row = query.fetch_optional(self.connection()).await.map_err(failed("read a category"))?;
        Ok(row.is_some())
    }

    /// How many there are.
    pub async fn count_categories(&mut self) -> Result<usize> {
        let query = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM categories");
        let count = query.fetch_one(self.connection()).await.map_err(failed("count the categories"))?;
        Ok(usize::try_from(count).unwrap_or_default())
    }

    /// Adds a category.
    ///
    /// # Errors
    /// [`Error::CategoryExists`].
    pub async fn create_category(&mut self, category: &Category) -> Result<()> {
        let query = "INSERT INTO categories (id, names) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";
        let query = sqlx::query(query).bind(&category.id).bind(names(category)?);
        let done = query.execute(self.connection()).await.map_err(failed("add a category"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(Error::CategoryExists(category.id.clone())) }
    }

    /// Changes a category's names.
    pub async fn rename_category(&mut self, category: &Category) -> Result<()> {
        let query = sqlx::query("UPDATE categories SET names = $2 WHERE id = $1").bind(&category.id);
        let query = query.bind(names(category)?);
        let done = query.execute(self.connection()).await.map_err(failed("change a category"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(missing(&category.id)) }
    }

    /// Removes a category that no channel has.
    ///
    /// # Errors
    /// [`Error::CategoryInUse`].
    pub async fn delete_category(&mut self, id: &str) -> Result<()> {
        let query =
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM channels WHERE category = $1").bind(id);
        let channels = query.fetch_one(self.connection()).await.map_err(failed("delete a category"))?;
        if channels > 0 {
            return Err(Error::CategoryInUse { id: id.to_owned(), channels: channels.cast_unsigned() });
        }
        let query = sqlx::query("DELETE FROM categories WHERE id = $1").bind(id);
        let done = query.execute(self.connection()).await.map_err(failed("delete a category"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(missing(id)) }
    }
}

fn category((id, names): Row) -> Result<Category> {
    let names = serde_json::from_str(&names).map_err(|_| damaged("a category's names", &names))?;
    Ok(Category { id, names })
}

fn names(category: &Category) -> Result<String> {
    serde_json::to_string(&category.names).map_err(|_| damaged("a category's names", &category.id))
}

fn missing(id: &str) -> Error {
    Error::NoCategory(id.chars().take(64).collect())
}
