//! Published topologies and the draft, on both databases.

use nearcast_api::topology::{RegionPlan, Topology};

use super::*;

on_both! {
    topologies_are_numbered_and_the_draft_is_one
}

async fn topologies_are_numbered_and_the_draft_is_one(place: Place) {
    let store = place.open().await;
    assert_eq!((store.topology().await.unwrap(), store.draft().await.unwrap()), Default::default());
    let titled = |title: &str| {
        let plan = RegionPlan { title: title.to_owned(), ..RegionPlan::default() };
        Topology { regions: [("eu".parse().unwrap(), plan)].into(), ..Topology::default() }
    };
    let draft = |title| Draft { base: 0, topology: titled(title), author: "me".into(), at: 5 };
    made!(store, put_draft(&draft("one"))).unwrap();
    made!(store, put_draft(&draft("two"))).unwrap();
    assert_eq!(store.draft().await.unwrap(), Some(draft("two")));
    let by = Actor::own();
    for (at, copy_of) in [(1, None), (2, Some(1))] {
        let note = format!("number {at}");
        let published = made!(store, publish_topology(&by, titled(&note), note.clone(), copy_of)).unwrap();
        assert_eq!((published.version, published.copy_of), (at, copy_of));
    }
    made!(store, delete_draft()).unwrap();

    let store = place.open().await;
    assert_eq!(store.draft().await.unwrap(), None);
    let newest = store.topology().await.unwrap();
    assert_eq!((newest.version, newest.topology, newest.author), (2, titled("number 2"), by.name));
    assert_eq!(store.topology_version(1).await.unwrap().note, "number 1");
    assert_eq!(store.topology_version(0).await.unwrap(), Published::default());
    assert!(matches!(store.topology_version(3).await, Err(Error::NoTopology(3))));
    let versions: Vec<_> = store.topologies(2, 10).await.unwrap().iter().map(|one| one.version).collect();
    assert_eq!(versions, [1]);
}
