//! Small pictures: the newest and the list change, the others do not.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_wants_the_newest_picture_is_one_request() {
    let mut origin = Origin::start(10, 1);
    let edge = Edge::start(&[origin.url()]).await;
    let name = "/live/demo/thumb.jpg";
    let answers = join_all((0..200).map(|_| edge.get(name))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK && answer.body == media(name)));
    assert_eq!(answers[0].header("cache-control"), "public, max-age=60");
    assert_eq!(origin.hits(), [(name.into(), 1)].into(), "it is found without another question");
    origin.die();
    assert_eq!(edge.get(name).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_list_may_change_and_what_it_names_may_not() {
    let mut origin = Origin::start(10, 1);
    let edge = Edge::start(&[origin.url()]).await;
    let file = |name: &str| format!("/live/demo/b1/thumbs/{name}");
    let (list, picture, sheet) = (file("index.vtt"), file("3.jpg"), file("sheet.0.jpg"));
    for _ in 0..2 {
        let answer = edge.get(&list).await;
        assert_eq!((answer.status, answer.header("cache-control")), (StatusCode::OK, "public, max-age=60"));
        for name in [&picture, &sheet] {
            let answer = edge.get(name).await;
            assert!(answer.header("cache-control").contains("immutable"), "{:?}", answer.headers);
            assert_eq!(answer.body, media(name));
        }
    }
    for name in [&list, &picture, &sheet] {
        assert_eq!(origin.hits()[name.as_str()], 1, "{name}");
    }
    let part = edge.ask(Method::GET, &sheet, &[("range", "bytes=0-9")]).await;
    assert_eq!((part.status, part.body.len()), (StatusCode::PARTIAL_CONTENT, 10));
    origin.set(&file("4.jpg"), Some(Fault::Status(404)));
    assert_eq!(edge.get(&file("4.jpg")).await.status, StatusCode::NOT_FOUND);
    origin.die();
    assert_eq!(edge.get(&picture).await.header("cache-status"), "eu-1; hit");
    assert_eq!(
        edge.get(&file("media.m3u8")).await.status,
        StatusCode::NOT_FOUND,
        "no rendition has this name"
    );
}
