//! People who sign in, in the store. Their password's hash leaves it only to be compared.

use nearcast_api::UserId;
use nearcast_api::snapshot::KeyHash;

use super::audit::Change;
use super::{Store, damaged, failed};
use crate::access::Grant;
use crate::error::{Error, Result};
use crate::keys;

/// A user as they are stored, but for the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredUser {
    pub id: UserId,
    /// For people.
    pub name: String,
    pub grant: Grant,
    /// Who they are at the identity provider: the `sub` of its tokens.
    pub subject: Option<String>,
    pub disabled: bool,
    pub has_password: bool,
    /// Milliseconds since the Unix epoch.
    pub created_at: u64,
    /// The same; none for never.
    pub last_login_at: Option<u64>,
}

impl StoredUser {
    /// Names what an admin decides of them as it is now (RFC 9110 section 8.8.3).
    pub fn etag(&self) -> String {
        let Self { name, grant, subject, disabled, .. } = self;
        // Made of strings and a boolean; there is always a JSON form.
        let text = serde_json::to_string(&(name, grant, subject, disabled)).unwrap_or_default();
        let KeyHash(hash) = keys::hash(&text);
        format!("\"{}\"", &hash[..16])
    }
}

type Row = (String, String, String, Option<String>, i64, i64, i64, Option<i64>);

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, allows, subject, disabled, CASE WHEN password IS NULL THEN 0 ELSE 1 END, created_at, \
             last_login_at FROM users ",
            $rest
        )
    };
}

const ALL: &str = select!("ORDER BY id");
const ONE: &str = select!("WHERE id = $1");
const PASSWORD: &str = "SELECT password FROM users WHERE id = $1";

impl Store {
    /// All users by id.
    pub async fn users(&self) -> Result<Vec<StoredUser>> {
        let rows = sqlx::query_as::<_, Row>(ALL).fetch_all(&self.pool).await;
        rows.map_err(failed("read the users"))?.into_iter().map(user).collect()
    }

    /// One user.
    pub async fn user(&self, id: &UserId) -> Result<StoredUser> {
        let row = sqlx::query_as::<_, Row>(ONE).bind(id.as_str()).fetch_optional(&self.pool).await;
        row.map_err(failed("read a user"))?.map_or_else(|| Err(Error::NoUser(id.clone())), user)
    }

    /// The PHC string of a user's password.
    pub async fn password(&self, id: &UserId) -> Result<Option<String>> {
        let found = sqlx::query_scalar::<_, Option<String>>(PASSWORD).bind(id.as_str());
        let found = found.fetch_optional(&self.pool).await;
        Ok(found.map_err(failed("read a password"))?.flatten())
    }
}

impl Change {
    /// The user as they are before the change.
    pub async fn user(&mut self, id: &UserId) -> Result<StoredUser> {
        let row = sqlx::query_as::<_, Row>(ONE).bind(id.as_str()).fetch_optional(self.connection()).await;
        row.map_err(failed("read a user"))?.map_or_else(|| Err(Error::NoUser(id.clone())), user)
    }

    /// The PHC string of a user's password as it is before the change.
    pub async fn password(&mut self, id: &UserId) -> Result<Option<String>> {
        let found = sqlx::query_scalar::<_, Option<String>>(PASSWORD).bind(id.as_str());
        let found = found.fetch_optional(self.connection()).await;
        Ok(found.map_err(failed("read a password"))?.flatten())
    }

    /// Adds a user, with a password's PHC string if they have one.
    ///
    /// # Errors
    /// [`Error::UserExists`], [`Error::SubjectTaken`].
    pub async fn create_user(&mut self, user: &StoredUser, password: Option<&str>) -> Result<()> {
        self.check_subject(user).await?;
        let done = sqlx::query(
            "INSERT INTO users (id, name, allows, password, subject, disabled, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING",
        )
        .bind(user.id.as_str())
        .bind(&user.name)
        .bind(allows(user)?)
        .bind(password)
        .bind(user.subject.as_deref())
        .bind(i64::from(user.disabled))
        .bind(user.created_at.cast_signed())
        .execute(self.connection())
        .await
        .map_err(failed("add a user"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(Error::UserExists(user.id.clone())) }
    }

    /// Changes what an admin decides of a user.
    ///
    /// # Errors
    /// [`Error::NoUser`], [`Error::SubjectTaken`].
    pub async fn put_user(&mut self, user: &StoredUser) -> Result<()> {
        self.check_subject(user).await?;
        let done = sqlx::query(
            "UPDATE users SET name = $2, allows = $3, subject = $4, disabled = $5, last_login_at = $6 WHERE id = $1",
        )
        .bind(user.id.as_str())
        .bind(&user.name)
        .bind(allows(user)?)
        .bind(user.subject.as_deref())
        .bind(i64::from(user.disabled))
        .bind(user.last_login_at.map(u64::cast_signed))
        .execute(self.connection())
        .await
        .map_err(failed("change a user"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(Error::NoUser(user.id.clone())) }
    }

    /// Changes a password, or with `None` takes it away.
    pub async fn set_password(&mut self, id: &UserId, password: Option<&str>) -> Result<()> {
        let query =
            sqlx::query("UPDATE users SET password = $2 WHERE id = $1").bind(id.as_str()).bind(password);
        let done = query.execute(self.connection()).await.map_err(failed("change a password"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(Error::NoUser(id.clone())) }
    }

    /// Removes a user and their sessions.
    pub async fn delete_user(&mut self, id: &UserId) -> Result<()> {
        let query = sqlx::query("DELETE FROM users WHERE id = $1").bind(id.as_str());
        let done = query.execute(self.connection()).await.map_err(failed("delete a user"))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(Error::NoUser(id.clone())) }
    }

    /// Nobody else writes until this change is over, so what is looked for here cannot appear.
    async fn check_subject(&mut self, user: &StoredUser) -> Result<()> {
        let Some(subject) = &user.subject else { return Ok(()) };
        let query =
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM users WHERE subject = $1 AND id <> $2");
        let query = query.bind(subject).bind(user.id.as_str());
        let others = query.fetch_one(self.connection()).await.map_err(failed("read the users"))?;
        if others == 0 { Ok(()) } else { Err(Error::SubjectTaken) }
    }
}

fn allows(user: &StoredUser) -> Result<String> {
    serde_json::to_string(&user.grant).map_err(|_| damaged("a user", user.id.as_str()))
}

fn user(row: Row) -> Result<StoredUser> {
    let (id, name, allows, subject, disabled, has_password, created_at, last_login_at) = row;
    Ok(StoredUser {
        grant: serde_json::from_str(&allows).map_err(|_| damaged("a user", &id))?,
        id: id.parse().map_err(|_| damaged("a user", &id))?,
        name,
        subject,
        disabled: disabled != 0,
        has_password: has_password != 0,
        created_at: created_at.cast_unsigned(),
        last_login_at: last_login_at.map(i64::cast_unsigned),
    })
}
