//! Changes to categories.

use serde_json::json;

use super::{Plane, unix_millis};
use crate::access::Actor;
use crate::category::{self, Category};
use crate::error::{Error, Result};

impl Plane {
    /// Adds a category.
    pub async fn create_category(&self, by: &Actor, category: &Category) -> Result<()> {
        let _changing = self.changing.lock().await;
        let target = target(&category.id);
        let mut change = self.store.change(by, "createCategory", target, unix_millis()).await?;
        if change.count_categories().await? >= MAX_CATEGORIES {
            return Err(Error::Full { what: "categories", max: MAX_CATEGORIES });
        }
        change.create_category(category).await?;
        change.after(&json!({ "names": category.names }));
        change.commit().await?;
        self.in_force(self.reload_categories()).await
    }

    /// Changes some of a category's names.
    pub async fn change_category(&self, by: &Actor, id: &str, names: category::Patch) -> Result<Category> {
        let _changing = self.changing.lock().await;
        let mut change = self.store.change(by, "changeCategory", target(id), unix_millis()).await?;
        let old = change.category(id).await?;
        change.before(&json!({ "names": old.names }));
        let new = old.patched(names)?;
        change.rename_category(&new).await?;
        change.after(&json!({ "names": new.names }));
        change.commit().await?;
        self.in_force(self.reload_categories()).await?;
        Ok(new)
    }

    /// Removes a category that no channel has.
    pub async fn delete_category(&self, by: &Actor, id: &str) -> Result<()> {
        let _changing = self.changing.lock().await;
        let mut change = self.store.change(by, "deleteCategory", target(id), unix_millis()).await?;
        let old = change.category(id).await?;
        change.before(&json!({ "names": old.names }));
        change.delete_category(id).await?;
        change.commit().await?;
        self.in_force(self.reload_categories()).await
    }
}

fn target(id: &str) -> String {
    format!("categories/{}", id.chars().take(64).collect::<String>())
}

/// They are sent as one list.
const MAX_CATEGORIES: usize = 500;
