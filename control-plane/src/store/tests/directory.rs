//! Profiles, categories, the search and rotated keys, on both databases.

use super::*;
use crate::category::Category;
use crate::directory::Hit;
use crate::profile::{Patch, Profile};

on_both! {
    what_a_channel_says_of_itself_is_kept
    channels_that_are_there_already_are_not_listed
    a_category_goes_only_when_no_channel_has_it
    channels_are_found_by_words_however_they_are_written
    what_is_typed_is_never_an_error
    a_key_keeps_what_it_was_before
}

fn profile(description: &str, tags: &[&str], category: Option<&str>) -> Profile {
    let patch = Patch {
        owner: Some(Some("org-7".into())),
        description: Some(Some(description.into())),
        language: Some(Some("es-MX".into())),
        tags: Some(Some(tags.iter().map(|tag| (*tag).to_owned()).collect())),
        category: Some(category.map(str::to_owned)),
        mature: Some(Some(true)),
        ..Patch::default()
    };
    Profile::default().patched(patch).unwrap()
}

async fn put(store: &Store, id: &str, title: &str, profile: &Profile) {
    let id: ChannelId = id.parse().unwrap();
    made!(store, create_channel(&id, title, 1)).unwrap();
    made!(store, set_profile(&id, profile)).unwrap();
}

async fn found(store: &Store, text: &str) -> Vec<String> {
    let hits = store.search_channels(text, 100).await.unwrap();
    hits.into_iter().map(|Hit { id, .. }| id.to_string()).collect()
}

async fn what_a_channel_says_of_itself_is_kept(place: Place) {
    let store = place.open().await;
    let full = profile("One.\nTwo \u{1f3ac}.", &["a", "b"], Some("music"));
    put(&store, "full", "Full", &full).await;
    // One with no category after one with, so that a statement that is kept meets both.
    put(&store, "none", "None", &profile("", &[], None)).await;
    put(&store, "plain", "Plain", &Profile::default()).await;
    let kept = place.open().await.channels().await.unwrap();
    let profiles: Vec<_> = kept.iter().map(|channel| channel.profile.clone()).collect();
    assert_eq!(profiles, [full.clone(), profile("", &[], None), Profile::default()]);
    assert_ne!(kept[1].etag(), StoredChannel { profile: full, ..kept[1].clone() }.etag());
    let unknown = profile("", &[], Some("none"));
    let id = kept[0].id.clone();
    let refused = made!(store, set_profile(&id, &unknown)).unwrap_err().to_string();
    assert!(refused.starts_with("category: there is no category \"none\""), "{refused}");
}

async fn channels_that_are_there_already_are_not_listed(place: Place) {
    // As before the migration, with a channel in it.
    let pool = place.database.connect().await.unwrap();
    let old = sqlx::migrate::Migrator {
        migrations: MIGRATIONS.iter().filter(|one| one.version < 9).cloned().collect(),
        ..sqlx::migrate::Migrator::DEFAULT
    };
    old.run(&pool).await.unwrap();
    let old = "INSERT INTO channels (id, title, created_at) VALUES ('old', 'Old words', 1)";
    sqlx::query(old).execute(&pool).await.unwrap();
    pool.close().await;
    let store = place.open().await;
    put(&store, "new", "New words", &Profile::default()).await;
    assert_eq!(found(&store, "words").await, ["new"]);
    let old = "old".parse().unwrap();
    made!(store, set_profile(&old, &Profile::default())).unwrap();
    assert_eq!(found(&place.open().await, "words").await, ["new", "old"]);
}

async fn a_category_goes_only_when_no_channel_has_it(place: Place) {
    let store = place.open().await;
    let first = store.categories().await.unwrap();
    assert_eq!(first.len(), 22);
    for language in ["en", "es", "de", "fr", "pt"] {
        let language = language.parse().unwrap();
        assert!(first.iter().all(|category| category.names.contains_key(&language)), "{language}");
    }
    let names = |name: &str| [("en".to_owned(), Some(name.to_owned()))].into();
    let chess = Category::new("chess".into(), names("Chess")).unwrap();
    made!(store, create_category(&chess)).unwrap();
    assert!(matches!(made!(store, create_category(&chess)), Err(Error::CategoryExists(_))));
    let chess = chess.patched(names("Chess & Go")).unwrap();
    made!(store, rename_category(&chess)).unwrap();
    assert!(place.open().await.categories().await.unwrap().contains(&chess));
    put(&store, "demo", "Demo", &profile("", &[], Some("chess"))).await;
    let refused = made!(store, delete_category("chess"));
    assert!(matches!(refused, Err(Error::CategoryInUse { channels: 1, .. })), "{refused:?}");
    let demo = "demo".parse().unwrap();
    made!(store, set_profile(&demo, &Profile::default())).unwrap();
    made!(store, delete_category("chess")).unwrap();
    assert!(matches!(made!(store, delete_category("chess")), Err(Error::NoCategory(_))));
}

async fn channels_are_found_by_words_however_they_are_written(place: Place) {
    let store = place.open().await;
    put(&store, "title", "Pokémon Half-Life", &Profile::default()).await;
    put(&store, "text", "Other", &profile("All of it: see example.com/pokemon for more.\nBye", &[], None))
        .await;
    put(&store, "tag", "Third", &profile("", &["pokemon", "speed run"], None)).await;
    for (text, expected) in [
        // What stands in the title counts most, then tags.
        ("pokemon", vec!["title", "tag", "text"]),
        ("POKÉM", vec!["title", "tag", "text"]),
        ("half life", vec!["title"]),
        ("life half", vec!["title"]),
        ("half-l", vec!["title"]),
        ("example", vec!["text"]),
        ("hal life", vec![]),
        ("run speed", vec!["tag"]),
        ("it bye", vec!["text"]),
        ("pokemons", vec![]),
    ] {
        assert_eq!(found(&store, text).await, expected, "{text}");
    }
    assert_eq!(store.search_channels("pokemon", 2).await.unwrap().len(), 2);
    let title: ChannelId = "title".parse().unwrap();
    made!(store, rename_channel(&title, "Chess")).unwrap();
    assert_eq!(found(&store, "pokemon").await, ["tag", "text"]);
    assert_eq!(found(&place.open().await, "chess").await, ["title"]);
    made!(store, delete_channel(&title)).unwrap();
    assert_eq!(found(&store, "chess").await, [""; 0]);
    put(&store, "title", "Chess", &Profile::default()).await;
    assert_eq!(found(&store, "chess").await, ["title"], "made again, it is found once");
}

async fn what_is_typed_is_never_an_error(place: Place) {
    let store = place.open().await;
    put(&store, "demo", "Demo AND near the end", &Profile::default()).await;
    for (text, is_found) in [
        ("demo", true),
        ("AND", true),
        ("near", true),
        ("demo*", true),
        ("\"demo", true),
        ("demo' OR 1=1 --", false),
        ("title:demo", false),
        ("^demo & !x | (", false),
        ("demo:*A \\ <->", true),
        ("", false),
        ("\u{0}\u{301}\u{e34}\u{93f}", false),
        ("½ ² ١ ｄｅｍｏ", false),
        ("NOT", false),
        ("😀", false),
    ] {
        assert_eq!(!found(&store, text).await.is_empty(), is_found, "{text:?}");
    }
    found(&store, &"a ".repeat(100)).await;
    // Whatever the letters, alone and with others behind them.
    for block in 0..0x300 {
        let letters: String = (block * 64..(block + 1) * 64).filter_map(char::from_u32).collect();
        found(&store, &letters).await;
    }
}

async fn a_key_keeps_what_it_was_before(place: Place) {
    let store = place.open().await;
    for id in ["demo", "other"] {
        made!(store, create_channel(&id.parse().unwrap(), id, 1)).unwrap();
    }
    made!(store, add_key(&key("k1", "demo", "aa", 7))).unwrap();
    let old = OldKey { hash: KeyHash("aa".into()), until: 100 };
    let rotated =
        StoredKey { label: "stolen".into(), disabled: true, old: Some(old), ..key("k1", "demo", "bb", 7) };
    made!(store, put_key(&rotated)).unwrap();
    assert_eq!(place.open().await.keys().await.unwrap(), std::slice::from_ref(&rotated));
    let taken = made!(store, add_key(&key("k2", "other", "aa", 99)));
    assert!(matches!(taken, Err(Error::KeyTaken)), "{taken:?}");
    made!(store, add_key(&key("k2", "other", "aa", 100))).unwrap();
    let none = StoredKey { old: None, disabled: false, ..rotated };
    made!(store, put_key(&none)).unwrap();
    assert_eq!(store.keys_of(&none.channel).await.unwrap(), [none]);
    let missing = key("k9", "demo", "cc", 1);
    assert!(matches!(made!(store, put_key(&missing)), Err(Error::NoKey { .. })));
}
