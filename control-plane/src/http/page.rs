//! Lists in pages: from where on a caller wants a list, and how much of it.

use serde::Deserialize;

use crate::error::{Error, Result};

/// Which part of a list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// `next` of the page before; left out for the first one.
    cursor: Option<String>,
    /// At most so many, 1 to 500.
    #[param(default = 100)]
    limit: Option<usize>,
}

impl Page {
    /// For lists that take more than this.
    pub(super) fn new(cursor: Option<String>, limit: Option<usize>) -> Self {
        Self { cursor, limit }
    }

    /// The last item of the page before, for lists that are read in parts.
    pub(super) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// At most so many.
    pub(super) fn limit(&self) -> Result<usize> {
        limit(self.limit)
    }

    /// This part of `all`, which is sorted by `key`, and the cursor of the next one if there is more.
    pub(super) fn of<T>(
        &self,
        all: impl IntoIterator<Item = T>,
        key: impl Fn(&T) -> String,
    ) -> Result<(Vec<T>, Option<String>)> {
        let limit = self.limit()?;
        let rest = all.into_iter().filter(|item| self.cursor.as_ref().is_none_or(|last| key(item) > *last));
        let mut page: Vec<T> = rest.take(limit + 1).collect();
        let more = page.len() > limit;
        page.truncate(limit);
        let next = page.last().filter(|_| more).map(key);
        Ok((page, next))
    }

    /// For a list of numbers, the greatest first: those before this one.
    pub(super) fn before(&self) -> Result<u64> {
        let number = self.cursor.as_ref().map(|cursor| cursor.parse());
        let problem = |_| "use `next` of the page before".to_owned();
        let number = number.transpose().map_err(problem);
        Ok(number.map_err(|problem| Error::Invalid { field: "cursor", problem })?.unwrap_or(u64::MAX))
    }
}

/// How many a page has, as far as the caller says.
pub(super) fn limit(wanted: Option<usize>) -> Result<usize> {
    let limit = wanted.unwrap_or(DEFAULT);
    if !(1..=MOST).contains(&limit) {
        return Err(Error::Invalid { field: "limit", problem: format!("use 1 to {MOST}") });
    }
    Ok(limit)
}

const DEFAULT: usize = 100;
const MOST: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn page(cursor: Option<&str>, limit: usize) -> Result<(Vec<&'static str>, Option<String>)> {
        let page = Page { cursor: cursor.map(str::to_owned), limit: Some(limit) };
        page.of(["a", "b", "c", "d"], |item| (*item).to_owned())
    }

    #[test]
    fn pages_follow_each_other_without_a_gap_also_when_the_last_item_is_gone() {
        assert_eq!(page(None, 3).unwrap(), (vec!["a", "b", "c"], Some("c".into())));
        assert_eq!(page(Some("c"), 3).unwrap(), (vec!["d"], None));
        assert_eq!(page(Some("bb"), 1).unwrap(), (vec!["c"], Some("c".into())));
        assert_eq!(page(None, 4).unwrap().1, None);
    }

    #[test]
    fn a_limit_that_cannot_be_is_named() {
        assert!(page(None, 0).unwrap_err().to_string().contains("limit"));
        assert!(page(None, 501).unwrap_err().to_string().contains("500"));
    }
}
