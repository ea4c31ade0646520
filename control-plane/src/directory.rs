//! The directory: which channels somebody finds, and in which order. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use nearcast_api::ChannelId;
use nearcast_api::playback::{Country, Playback};
use nearcast_api::snapshot::Live;

use crate::language::Range;
use crate::profile::Profile;

/// A public channel.
#[derive(Debug)]
pub struct Listed {
    pub id: ChannelId,
    pub title: String,
    pub profile: Profile,
    /// Who may watch it.
    pub playback: Playback,
}

/// A public channel at one moment.
#[derive(Debug)]
pub struct Entry {
    pub channel: Arc<Listed>,
    pub live: Option<Live>,
    pub viewers: u64,
    /// Those whose country is known.
    pub countries: BTreeMap<Country, u64>,
}

/// All public channels at one moment.
#[derive(Debug, Default)]
pub struct Ranking {
    /// By id.
    entries: Vec<Entry>,
    everywhere: Vec<Rank>,
    /// By where they are watched.
    there: HashMap<Country, Vec<Rank>>,
}

/// How many watch, and the entry: those with the most viewers first, of equals by id.
type Rank = (u64, usize);

/// A channel with the words that somebody looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    pub id: ChannelId,
    /// More is better; it means something beside others of the same search only.
    pub relevance: u64,
}

/// What somebody wants to see.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub category: Option<String>,
    pub language: Option<Range>,
    /// As [`crate::profile::tag`] makes it.
    pub tag: Option<String>,
    /// Where it is to be watched.
    pub country: Option<Country>,
    /// Where somebody has to watch it now; who has the most viewers there comes first.
    pub watched_in: Option<Country>,
    /// Mature channels, too.
    pub mature: bool,
    /// Only what is live.
    pub live: bool,
}

/// Channels, and the position of the last one if there are more.
pub type Page<'a> = (Vec<&'a Entry>, Option<Position>);

/// A place in the order: how many viewers or how relevant, and whose. As text it is a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    rank: u64,
    id: ChannelId,
}

impl Ranking {
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_by(|one, other| one.id().cmp(other.id()));
        let mut everywhere: Vec<Rank> =
            entries.iter().enumerate().map(|(place, entry)| (entry.viewers, place)).collect();
        let mut there = HashMap::<Country, Vec<Rank>>::new();
        for (place, entry) in entries.iter().enumerate() {
            for (country, viewers) in &entry.countries {
                there.entry(*country).or_default().push((*viewers, place));
            }
        }
        for ranks in there.values_mut().chain([&mut everywhere]) {
            ranks.sort_by_key(|(viewers, place)| (Reverse(*viewers), *place));
        }
        Self { entries, everywhere, there }
    }

    /// At most `limit` that are wanted, behind `after`, and where the next ones begin if there are more.
    pub fn by_viewers(&self, filter: &Filter, after: Option<&Position>, limit: usize) -> Page<'_> {
        let ranks = match filter.watched_in {
            Some(country) => self.there.get(&country).map_or(&[][..], Vec::as_slice),
            None => &self.everywhere,
        };
        let ranked = |(viewers, place): &Rank| (&self.entries[*place], *viewers);
        let is_before = |rank: &Rank| {
            let (entry, viewers) = ranked(rank);
            after.is_some_and(|after| !after.is_before(viewers, entry.id()))
        };
        let start = ranks.partition_point(is_before);
        let found = ranks[start..].iter().map(ranked).filter(|(entry, _)| filter.wants(entry));
        page(found.map(|(entry, rank)| (entry, Position { rank, id: entry.id().clone() })), limit)
    }

    /// As [`Ranking::by_viewers`], of what was found, which is sorted: the most relevant first, of equals by id.
    pub fn by_relevance(
        &self,
        hits: &[Hit],
        filter: &Filter,
        after: Option<&Position>,
        limit: usize,
    ) -> Page<'_> {
        let position = |hit: &Hit| Position { rank: hit.relevance, id: hit.id.clone() };
        let is_before = |hit: &Hit| after.is_some_and(|after| !after.is_before(hit.relevance, &hit.id));
        let start = hits.partition_point(is_before);
        // A search may know of a channel a moment before this does.
        let found = hits[start..].iter().filter_map(|hit| Some((self.entry(&hit.id)?, hit)));
        let found = found.filter(|(entry, _)| filter.wants(entry));
        page(found.map(|(entry, hit)| (entry, position(hit))), limit)
    }

    fn entry(&self, id: &ChannelId) -> Option<&Entry> {
        let place = self.entries.binary_search_by(|entry| entry.id().cmp(id));
        place.ok().map(|place| &self.entries[place])
    }
}

impl Entry {
    fn id(&self) -> &ChannelId {
        &self.channel.id
    }
}

impl Filter {
    fn wants(&self, entry: &Entry) -> bool {
        let Listed { profile, playback, .. } = &*entry.channel;
        let speaks =
            |range: &Range| profile.language.as_ref().is_some_and(|language| language.matches(range));
        (!self.live || entry.live.is_some())
            && (self.mature || !profile.mature)
            && self.category.as_ref().is_none_or(|wanted| profile.category.as_ref() == Some(wanted))
            && self.tag.as_ref().is_none_or(|wanted| profile.tags.contains(wanted))
            && self.language.as_ref().is_none_or(speaks)
            && self.country.is_none_or(|country| playback.lets(Some(country)))
            && self.watched_in.is_none_or(|country| entry.countries.contains_key(&country))
    }
}

impl Position {
    fn is_before(&self, rank: u64, id: &ChannelId) -> bool {
        (Reverse(self.rank), &self.id) < (Reverse(rank), id)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.rank, self.id)
    }
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('.');
        let read = parts.and_then(|(rank, id)| Some(Self { rank: rank.parse().ok()?, id: id.parse().ok()? }));
        read.ok_or_else(|| "use `next` of the page before, or leave it out for the first one".to_owned())
    }
}

fn page<'a>(found: impl Iterator<Item = (&'a Entry, Position)>, limit: usize) -> Page<'a> {
    let mut page: Vec<_> = found.take(limit + 1).collect();
    let more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| more).map(|(_, position)| position.clone());
    (page.into_iter().map(|(entry, _)| entry).collect(), next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Patch, Visibility};

    fn live() -> Live {
        Live {
            origin: "origin-1".parse().unwrap(),
            broadcast: "b1".parse().unwrap(),
            started_at: 5,
            taken_over_at: None,
        }
    }

    fn entry(id: &str, viewers: u64) -> Entry {
        let channel = Listed {
            id: id.parse().unwrap(),
            title: id.to_owned(),
            profile: Profile { visibility: Visibility::Public, ..Profile::default() },
            playback: Playback::default(),
        };
        Entry { channel: Arc::new(channel), live: Some(live()), viewers, countries: BTreeMap::new() }
    }

    /// With something about its channel changed.
    fn with(mut entry: Entry, change: impl FnOnce(&mut Listed)) -> Entry {
        change(Arc::get_mut(&mut entry.channel).unwrap());
        entry
    }

    fn ids((entries, next): Page<'_>) -> (Vec<&str>, Option<String>) {
        (entries.iter().map(|entry| entry.id().as_str()).collect(), next.map(|next| next.to_string()))
    }

    #[test]
    fn who_has_more_viewers_comes_first_and_pages_follow_each_other() {
        let ranking = Ranking::new(vec![entry("d", 1), entry("b", 7), entry("a", 1), entry("c", 7)]);
        let all = Filter::default();
        let page = |after: Option<&str>, limit| {
            let after = after.map(|after| after.parse::<Position>().unwrap());
            ids(ranking.by_viewers(&all, after.as_ref(), limit))
        };
        assert_eq!(page(None, 3), (vec!["b", "c", "a"], Some("1.a".into())));
        assert_eq!(page(Some("1.a"), 3), (vec!["d"], None));
        assert_eq!(page(Some("7.b"), 1), (vec!["c"], Some("7.c".into())));
        // Also when the last one is gone, or has other viewers now.
        assert_eq!(page(Some("5.x"), 9), (vec!["a", "d"], None));
        assert_eq!(page(None, 4).1, None);
        for wrong in ["", "7", "x.a", "-1.a", "7.A B"] {
            assert!(wrong.parse::<Position>().unwrap_err().contains("`next`"), "{wrong}");
        }
    }

    #[test]
    fn where_it_is_watched_who_has_the_most_viewers_there_comes_first() {
        let (chile, peru): (Country, Country) = ("CL".parse().unwrap(), "PE".parse().unwrap());
        let watched =
            |entry, there: &[(Country, u64)]| Entry { countries: there.iter().copied().collect(), ..entry };
        let ranking = Ranking::new(vec![
            watched(entry("d", 90), &[(chile, 2), (peru, 80)]),
            watched(entry("c", 5), &[(chile, 5)]),
            watched(entry("b", 7), &[]),
            watched(entry("a", 2), &[(chile, 2)]),
        ]);
        let page = |watched_in, after: Option<&str>, limit| {
            let filter = Filter { watched_in: Some(watched_in), ..Filter::default() };
            ids(ranking.by_viewers(&filter, after.map(|after| after.parse().unwrap()).as_ref(), limit))
        };
        assert_eq!(page(chile, None, 2), (vec!["c", "a"], Some("2.a".into())));
        assert_eq!(page(chile, Some("2.a"), 2), (vec!["d"], None));
        assert_eq!(page(peru, None, 2), (vec!["d"], None));
        assert_eq!(page("BR".parse().unwrap(), None, 2), (vec![], None));
        let hits =
            [Hit { id: "b".parse().unwrap(), relevance: 9 }, Hit { id: "a".parse().unwrap(), relevance: 1 }];
        let filter = Filter { watched_in: Some(chile), ..Filter::default() };
        assert_eq!(ids(ranking.by_relevance(&hits, &filter, None, 2)), (vec!["a"], None));
    }

    #[test]
    fn what_was_found_comes_by_relevance_and_only_what_is_wanted_of_it() {
        let quiet = Entry { live: None, ..entry("c", 0) };
        let ranking = Ranking::new(vec![entry("a", 1), entry("b", 9), quiet]);
        let hit = |id: &str, relevance| Hit { id: id.parse().unwrap(), relevance };
        let hits = [hit("gone", 9), hit("a", 8), hit("c", 8), hit("b", 2)];
        let page = |filter: &Filter, after: Option<&str>, limit| {
            let after = after.map(|after| after.parse::<Position>().unwrap());
            ids(ranking.by_relevance(&hits, filter, after.as_ref(), limit))
        };
        let live = Filter { live: true, ..Filter::default() };
        assert_eq!(page(&live, None, 9), (vec!["a", "b"], None));
        assert_eq!(page(&Filter::default(), None, 1), (vec!["a"], Some("8.a".into())));
        assert_eq!(page(&Filter::default(), Some("8.a"), 9), (vec!["c", "b"], None));
    }

    #[test]
    fn each_wish_leaves_out_what_does_not_fit_it() {
        let patch = Patch {
            language: Some(Some("es-MX".into())),
            tags: Some(Some(vec!["chess".into()])),
            category: Some(Some("juegos".into())),
            ..Patch::default()
        };
        let spanish = with(entry("spanish", 0), |listed| {
            listed.profile = Profile::default().patched(patch).unwrap();
        });
        let mature = with(entry("mature", 0), |listed| listed.profile.mature = true);
        let german = with(entry("german", 0), |listed| {
            listed.playback.countries = Some(vec!["DE".parse().unwrap()]);
        });
        let quiet = Entry { live: None, ..entry("quiet", 0) };
        let ranking = Ranking::new(vec![spanish, mature, german, quiet]);
        let found = |filter: Filter| ids(ranking.by_viewers(&filter, None, 9)).0;
        let any = Filter::default;
        assert_eq!(found(any()), ["german", "quiet", "spanish"]);
        assert_eq!(found(Filter { mature: true, ..any() }), ["german", "mature", "quiet", "spanish"]);
        assert_eq!(found(Filter { live: true, ..any() }), ["german", "spanish"]);
        assert_eq!(found(Filter { category: Some("juegos".into()), ..any() }), ["spanish"]);
        assert_eq!(found(Filter { language: Some("ES".parse().unwrap()), ..any() }), ["spanish"]);
        assert_eq!(found(Filter { language: Some("es-es".parse().unwrap()), ..any() }), [""; 0]);
        assert_eq!(found(Filter { tag: Some("chess".into()), ..any() }), ["spanish"]);
        assert_eq!(found(Filter { country: Some("FR".parse().unwrap()), ..any() }), ["quiet", "spanish"]);
    }
}
