//! The directory as this instance knows it: public channels in memory, ranked anew when something has changed.
//!
//! What is live and who watches is in memory only, and changes every second; who asks is everybody. So only words are looked
//! for in the store, a few searches at a time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nearcast_api::ChannelId;
use nearcast_api::node::Status;
use nearcast_api::playback::Country;
use tokio::time::timeout;

use super::Plane;
use crate::category::Category;
use crate::directory::{Entry, Hit, Listed, Ranking};
use crate::error::{Error, Result};
use crate::fleet::Member;
use crate::profile::Visibility;
use crate::store::StoredChannel;

/// All categories by id.
pub type Categories = BTreeMap<String, Category>;

/// What all instances show.
#[derive(Debug, Default)]
pub(super) struct Index {
    channels: BTreeMap<ChannelId, Arc<Listed>>,
    categories: Arc<Categories>,
    ranked: Option<Ranked>,
}

/// The order as it was.
#[derive(Debug)]
struct Ranked {
    /// Of the snapshot that says what is live.
    version: u64,
    at: Instant,
    ranking: Arc<Ranking>,
}

impl Index {
    pub(super) fn new(channels: &[StoredChannel], categories: Vec<Category>) -> Self {
        let mut index = Self { categories: Arc::new(by_id(categories)), ..Self::default() };
        channels.iter().for_each(|channel| index.put(channel));
        index
    }

    fn put(&mut self, StoredChannel { id, title, profile, settings, .. }: &StoredChannel) {
        self.ranked = None;
        if profile.visibility != Visibility::Public {
            self.channels.remove(id);
            return;
        }
        let listed = Listed {
            id: id.clone(),
            title: title.clone(),
            profile: profile.clone(),
            playback: settings.playback.clone().unwrap_or_default(),
        };
        self.channels.insert(id.clone(), Arc::new(listed));
    }
}

impl Plane {
    /// Public channels in their order, which is a second old at most.
    pub fn directory(&self) -> Arc<Ranking> {
        let (mut index, now) = (self.index(), Instant::now());
        let snapshot = self.snapshot.borrow().clone();
        let is_fresh = |ranked: &&Ranked| {
            ranked.version == snapshot.version && now.saturating_duration_since(ranked.at) < FRESH
        };
        if let Some(ranked) = index.ranked.as_ref().filter(is_fresh) {
            return ranked.ranking.clone();
        }
        let mut watched = watched(self.lock().members().values());
        let entry = |channel: &Arc<Listed>| {
            let (viewers, countries) = watched.remove(&channel.id).unwrap_or_default();
            let live = snapshot.channels.get(&channel.id).and_then(|channel| channel.live.clone());
            Entry { channel: channel.clone(), live, viewers, countries }
        };
        let ranking = Arc::new(Ranking::new(index.channels.values().map(entry).collect()));
        index.ranked = Some(Ranked { version: snapshot.version, at: now, ranking: ranking.clone() });
        ranking
    }

    /// Which public channels have these words, the most relevant first.
    ///
    /// # Errors
    /// [`Error::TooManySearches`].
    pub async fn search(&self, text: &str) -> Result<Vec<Hit>> {
        // Everybody may search; the store has to have connections left for those who change something.
        let waiting = timeout(PATIENCE, self.searches.acquire()).await;
        let _turn = waiting.ok().and_then(|turn| turn.ok()).ok_or(Error::TooManySearches)?;
        self.store.search_channels(text, MOST_HITS).await
    }

    /// All categories.
    pub fn categories(&self) -> Arc<Categories> {
        self.index().categories.clone()
    }

    /// A channel has changed.
    pub(super) fn list(&self, channel: &StoredChannel) {
        self.index().put(channel);
    }

    /// A channel has gone.
    pub(super) fn unlist(&self, id: &ChannelId) {
        let mut index = self.index();
        index.channels.remove(id);
        index.ranked = None;
    }

    pub(super) async fn reload_categories(&self) -> Result<()> {
        let categories = by_id(self.store.categories().await?);
        self.index().categories = Arc::new(categories);
        Ok(())
    }

    /// The fleet may be locked while this is, not the other way round.
    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many watch each channel, and how many of them in which country, at all edges together.
fn watched<'a>(
    members: impl Iterator<Item = &'a Member>,
) -> HashMap<ChannelId, (u64, BTreeMap<Country, u64>)> {
    let mut watched = HashMap::<ChannelId, (u64, BTreeMap<Country, u64>)>::new();
    for told in
        members.filter(|member| member.status() != Status::Down).flat_map(|member| &member.beat.audience)
    {
        let (viewers, countries) = watched.entry(told.channel.clone()).or_default();
        *viewers += told.viewers();
        for (country, viewers) in &told.countries {
            *countries.entry(*country).or_default() += u64::from(*viewers);
        }
    }
    watched
}

fn by_id(categories: Vec<Category>) -> Categories {
    categories.into_iter().map(|category| (category.id.clone(), category)).collect()
}

/// Nodes tell once a second how many watch.
const FRESH: Duration = Duration::from_secs(1);
/// Half of the connections that SQLite has.
pub(super) const SEARCHES: usize = 2;
/// Who has typed a word waits about so long.
const PATIENCE: Duration = Duration::from_secs(1);
/// Nobody looks further, and the store has to send them all: what is live is known only here.
const MOST_HITS: usize = 1_000;
