//! Tokens for enrolment and nodes' certificates, on both databases.

use super::*;
use crate::enrolment::Limits;

on_both! {
    a_token_for_enrolment_is_used_once_and_certificates_are_kept_until_they_end
}

async fn a_token_for_enrolment_is_used_once_and_certificates_are_kept_until_they_end(place: Place) {
    let store = place.open().await;
    let node: NodeId = "eu-1".parse().unwrap();
    let enrolment = |id: &str, expires_at| StoredEnrolment {
        id: id.into(),
        hash: KeyHash(format!("hash of {id}")),
        limits: Limits { node: Some("eu-1".parse().unwrap()), role: Some(Role::Edge), region: None },
        label: "rack 4".into(),
        created_at: 1,
        expires_at,
        used: None,
    };
    for enrolment in [enrolment("e1", 100), enrolment("e2", 100), enrolment("e3", 10)] {
        made!(store, add_enrolment(&enrolment)).unwrap();
    }
    made!(store, use_enrolment("e1", &node)).unwrap();
    assert!(matches!(made!(store, use_enrolment("e1", &node)), Err(Error::EnrolmentUsed)));
    made!(store, delete_enrolment("e2")).unwrap();
    assert!(matches!(made!(store, delete_enrolment("e2")), Err(Error::NoEnrolment(_))));
    let used = StoredEnrolment { used: Some((1, node.clone())), ..enrolment("e1", 100) };
    let store = place.open().await;
    assert_eq!(store.enrolment(&used.hash).await.unwrap().as_ref(), Some(&used));
    assert_eq!(store.enrolment(&KeyHash("another".into())).await.unwrap(), None);
    assert_eq!(store.enrolments(20, 5).await.unwrap(), [used]);

    let open = StoredEnrolment {
        limits: Limits { node: Some(node.clone()), ..Limits::default() },
        ..enrolment("e4", 100)
    };
    let anybody = StoredEnrolment { limits: Limits::default(), ..enrolment("e5", 100) };
    for enrolment in [&open, &anybody] {
        made!(store, add_enrolment(enrolment)).unwrap();
    }
    // The one that was used is what happened, and stays.
    assert_eq!(made!(store, delete_enrolments_of(&node)).unwrap(), 1);
    let left = store.enrolments(20, 5).await.unwrap();
    assert_eq!(left.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["e1", "e5"]);

    let certificate = |serial: &str, node: &str, not_after| StoredCertificate {
        serial: serial.into(),
        node: node.parse().unwrap(),
        limits: Limits { role: Some(Role::Edge), ..Limits::default() },
        issued_at: 1,
        not_after,
        revoked_at: None,
    };
    let all = [certificate("a1", "eu-1", 50), certificate("a2", "eu-1", 60), certificate("b1", "eu-2", 60)];
    for certificate in &all {
        made!(store, add_certificate(certificate)).unwrap();
    }
    assert_eq!(made!(store, revoke_certificates(&node)).unwrap(), 2);
    assert_eq!(made!(store, revoke_certificates(&node)).unwrap(), 0);
    let mut kept = store.certificates(55).await.unwrap();
    kept.sort_by(|one, other| one.serial.cmp(&other.serial));
    assert_eq!(kept, [StoredCertificate { revoked_at: Some(1), ..all[1].clone() }, all[2].clone()]);
    // To a slow clock it has not ended.
    let mut later = store.change(&Actor::own(), "test", "all", 70).await.unwrap();
    assert_eq!(later.revoke_certificates(&"eu-2".parse().unwrap()).await.unwrap(), 1);
    later.commit().await.unwrap();
    // On SQLite as on PostgreSQL there is one for all starts.
    assert_eq!(store.kept_secret("ca", "first".into()).await.unwrap(), "first");
    assert_eq!(place.open().await.kept_secret("ca", "second".into()).await.unwrap(), "first");
}
