//! Users, their sessions, and those who try.

use super::*;

on_both! {
    a_user_is_made_once_and_goes_with_their_sessions
    wrong_passwords_are_counted_once_each_and_for_so_many_names_only
    who_is_at_the_identity_provider_comes_back_once_and_in_time
}

fn user(id: &str, subject: Option<&str>) -> StoredUser {
    StoredUser {
        id: id.parse().unwrap(),
        name: format!("{id} \u{1f600}"),
        grant: Grant { scopes: vec![Scope::Publisher], channels: vec!["demo".parse().unwrap()] },
        subject: subject.map(str::to_owned),
        disabled: false,
        has_password: false,
        created_at: 1,
        last_login_at: None,
    }
}

async fn a_user_is_made_once_and_goes_with_their_sessions(place: Place) {
    let store = place.open().await;
    let (anna, bert) = (user("anna", Some("s-1")), user("bert", None));
    made!(store, create_user(&anna, None)).unwrap();
    made!(store, create_user(&bert, Some("$argon2id$x"))).unwrap();
    assert!(matches!(made!(store, create_user(&user("bert", None), None)), Err(Error::UserExists(_))));
    assert!(matches!(made!(store, create_user(&user("carla", Some("s-1")), None)), Err(Error::SubjectTaken)));
    assert!(matches!(made!(store, put_user(&user("bert", Some("s-1")))), Err(Error::SubjectTaken)));
    assert!(matches!(made!(store, put_user(&user("none", None))), Err(Error::NoUser(_))));
    let session = |id: &str, user: &StoredUser, created_at, expires_at| StoredSession {
        id: id.into(),
        hash: KeyHash(format!("hash of {id}")),
        user: user.id.clone(),
        address: (id != "s2").then(|| "::1".into()),
        created_at,
        expires_at,
    };
    for session in [
        session("s1", &anna, 1, 10),
        session("s2", &bert, 2, 99),
        session("s3", &bert, 3, 99),
        session("s4", &bert, 11, 99),
    ] {
        made!(store, add_session(&session, 2)).unwrap();
    }
    // The first is over, and of three of one user the oldest is gone.
    let store = place.open().await;
    assert_eq!(store.sessions().await.unwrap(), [session("s3", &bert, 3, 99), session("s4", &bert, 11, 99)]);
    made!(store, delete_session("s3")).unwrap();
    assert!(matches!(made!(store, delete_session("s3")), Err(Error::NoSession(_))));

    assert_eq!(store.password(&bert.id).await.unwrap().as_deref(), Some("$argon2id$x"));
    assert_eq!(store.password(&anna.id).await.unwrap(), None);
    let anna = StoredUser { name: "A".into(), disabled: true, last_login_at: Some(u64::MAX >> 1), ..anna };
    made!(store, put_user(&anna)).unwrap();
    made!(store, set_password(&anna.id, Some("$argon2id$y"))).unwrap();
    let anna = StoredUser { has_password: true, ..anna };
    assert_eq!(
        store.users().await.unwrap(),
        [anna.clone(), StoredUser { has_password: true, ..bert.clone() }]
    );
    assert_eq!(store.user(&anna.id).await.unwrap(), anna);
    made!(store, delete_user(&bert.id)).unwrap();
    assert!(matches!(made!(store, delete_user(&bert.id)), Err(Error::NoUser(_))));
    assert_eq!(store.sessions().await.unwrap(), []);
    made!(store, add_session(&session("s5", &anna, 11, 99), 2)).unwrap();
    made!(store, end_sessions(&anna.id)).unwrap();
    assert_eq!(store.sessions().await.unwrap(), []);
}

async fn wrong_passwords_are_counted_once_each_and_for_so_many_names_only(place: Place) {
    let store = place.open().await;
    let (anna, now) = ("anna".parse().unwrap(), 1_000_000_000_000);
    // Ten at the same moment, as a program sends them.
    let tried = futures_util::future::join_all((0..10).map(|_| store.attempt(&anna, now, 100))).await;
    let let_in = tried.into_iter().filter(|tried| matches!(tried, Ok(None))).count();
    assert_eq!(let_in, 5);
    assert_eq!(place.open().await.attempt(&anna, now + 1000, 100).await.unwrap(), Some(59_000));
    store.forgive(&anna).await.unwrap();
    assert_eq!(store.attempt(&anna, now + 1000, 100).await.unwrap(), None);

    for number in 0..200 {
        let name = format!("name-{number}").parse().unwrap();
        assert_eq!(store.attempt(&name, now + 2000 + number, 100).await.unwrap(), None);
    }
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sign_in_failures").fetch_one(&store.pool).await.unwrap();
    assert_eq!(left, 100);
}

async fn who_is_at_the_identity_provider_comes_back_once_and_in_time(place: Place) {
    let store = place.open().await;
    let login = |number: u64| OidcLogin {
        nonce: format!("n{number}"),
        verifier: "v".into(),
        expires_at: 1000 + number,
    };
    for number in 0..10 {
        store.add_oidc_login(&format!("state-{number}"), &login(number), number, 4).await.unwrap();
    }
    assert_eq!(store.take_oidc_login("state-5", 20).await.unwrap(), None, "four at most");
    assert_eq!(store.take_oidc_login("state-6", 20).await.unwrap(), Some(login(6)));
    assert_eq!(store.take_oidc_login("state-6", 20).await.unwrap(), None, "once");
    assert_eq!(store.take_oidc_login("state-7", 1007).await.unwrap(), None, "too late");
    let states: Vec<String> =
        sqlx::query_scalar("SELECT state FROM oidc_logins").fetch_all(&store.pool).await.unwrap();
    assert!(states.len() == 2 && states.iter().all(|state| state.len() == 64), "{states:?}");
}
