//! People who sign in: made, changed, deleted. Whoever loses a right loses it with the next call.

use nearcast_api::{ChannelId, UserId};
use serde_json::{Value, json};

use super::{IfMatch, Plane, unix_millis};
use crate::access::{Actor, Grant, Scope};
use crate::error::{Error, Result};
use crate::store::StoredUser;

/// A user to be.
#[derive(Debug)]
pub struct NewUser {
    pub id: UserId,
    pub name: String,
    pub grant: Grant,
    pub subject: Option<String>,
    pub disabled: bool,
    /// A PHC string.
    pub password: Option<String>,
}

/// What changes of a user; what is none stays.
#[derive(Debug, Default)]
pub struct UserChange {
    pub name: Option<String>,
    pub scopes: Option<Vec<Scope>>,
    pub channels: Option<Vec<ChannelId>>,
    /// Some none takes it away.
    pub subject: Option<Option<String>>,
    pub disabled: Option<bool>,
}

impl Plane {
    /// All users by id.
    pub async fn users(&self) -> Result<Vec<StoredUser>> {
        self.store.users().await
    }

    /// One user.
    pub async fn user(&self, id: &UserId) -> Result<StoredUser> {
        self.store.user(id).await
    }

    /// The PHC string of a user's password, if there is such a user and they have one.
    pub async fn password(&self, id: &UserId) -> Result<Option<String>> {
        self.store.password(id).await
    }

    /// Adds a user.
    pub async fn create_user(&self, by: &Actor, new: NewUser) -> Result<StoredUser> {
        let _changing = self.changing.lock().await;
        self.room_for_a_user().await?;
        let mut change = self.store.change(by, "createUser", target(&new.id), unix_millis()).await?;
        let NewUser { id, name, grant, subject, disabled, password } = new;
        let (has_password, created_at) = (password.is_some(), change.at());
        let user =
            StoredUser { id, name, grant, subject, disabled, has_password, created_at, last_login_at: None };
        change.create_user(&user, password.as_deref()).await?;
        change.after(&told(&user));
        change.commit().await?;
        self.in_force(self.reload_people()).await?;
        Ok(user)
    }

    /// Changes a user. Who is disabled is signed out at once.
    pub async fn change_user(
        &self,
        by: &Actor,
        id: &UserId,
        only: &IfMatch,
        new: UserChange,
    ) -> Result<StoredUser> {
        let _changing = self.changing.lock().await;
        let mut change = self.store.change(by, "changeUser", target(id), unix_millis()).await?;
        let old = change.user(id).await?;
        unchanged(&old, only)?;
        change.before(&told(&old));
        let user = StoredUser {
            name: new.name.unwrap_or(old.name),
            grant: Grant {
                scopes: new.scopes.unwrap_or(old.grant.scopes),
                channels: new.channels.unwrap_or(old.grant.channels),
            },
            subject: new.subject.unwrap_or(old.subject),
            disabled: new.disabled.unwrap_or(old.disabled),
            ..old
        };
        change.put_user(&user).await?;
        if user.disabled {
            change.end_sessions(id).await?;
        }
        change.after(&told(&user));
        change.commit().await?;
        self.in_force(self.reload_people()).await?;
        Ok(user)
    }

    /// Removes a user, who is signed out at once.
    pub async fn delete_user(&self, by: &Actor, id: &UserId, only: &IfMatch) -> Result<()> {
        let _changing = self.changing.lock().await;
        let mut change = self.store.change(by, "deleteUser", target(id), unix_millis()).await?;
        let old = change.user(id).await?;
        unchanged(&old, only)?;
        change.before(&told(&old));
        change.delete_user(id).await?;
        change.commit().await?;
        self.in_force(self.reload_people()).await
    }

    /// Gives a user a new password, by its PHC string, and ends their sessions. With `proven`, only if that is still the old one.
    pub async fn set_password(
        &self,
        by: &Actor,
        id: &UserId,
        password: &str,
        proven: Option<&str>,
    ) -> Result<()> {
        let _changing = self.changing.lock().await;
        let target = format!("{}/password", target(id));
        let mut change = self.store.change(by, "setPassword", target, unix_millis()).await?;
        if proven.is_some() && change.password(id).await?.as_deref() != proven {
            return Err(Error::WrongOldPassword);
        }
        change.set_password(id, Some(password)).await?;
        change.end_sessions(id).await?;
        change.commit().await?;
        // Who has forgotten it does not wait any longer.
        self.store.forgive(id).await?;
        self.in_force(self.reload_people()).await
    }

    pub(super) async fn room_for_a_user(&self) -> Result<()> {
        if self.store.users().await?.len() >= MAX_USERS {
            return Err(Error::Full { what: "users", max: MAX_USERS });
        }
        Ok(())
    }
}

/// Refuses a change that is meant for the user as they were.
fn unchanged(user: &StoredUser, only: &IfMatch) -> Result<()> {
    if only.allows(&user.etag()) { Ok(()) } else { Err(Error::UserChanged(user.id.clone())) }
}

fn target(id: &UserId) -> String {
    format!("users/{id}")
}

/// What the audit log says of a user.
pub(super) fn told(user: &StoredUser) -> Value {
    let StoredUser { name, grant, subject, disabled, .. } = user;
    json!({ "name": name, "allows": grant, "subject": subject, "disabled": disabled })
}

/// All are in memory.
const MAX_USERS: usize = 10_000;
