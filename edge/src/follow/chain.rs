//! The task behind a followed rendition: carries out what its core asks for.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, OptionFuture};
use nearcast_media::hls::parse;
use nearcast_media::hls::request::Directives;
use nearcast_media::path::{File, Resource};
use nearcast_service::log;
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::rendition::{Action, Fetched, Rendition};
use super::view::View;
use super::{Followed, Followers, I_FRAMES, NEGATIVE_LIFE};
use crate::error::{Error, Result};

/// Follows until nobody watches. Dropping `sender` tells those who still wait to start anew.
pub(super) async fn run(
    followers: Arc<Followers>,
    directory: Arc<str>,
    followed: Arc<Followed>,
    sender: watch::Sender<Arc<View>>,
) {
    let _listed = Listed::enter(&followers, &directory);
    let mut unproven = Some(Unproven::enter(&followers));
    let mut core = Rendition::new(Duration::from_secs(followers.config.idle), Instant::now());
    let mut draining = pin!(followers.drain.draining().fuse());
    let mut asking = OptionFuture::<BoxFuture<'_, Result<Fetched>>>::default();
    let upstream = followers.cache.upstream();
    let channel = channel_of(&directory);
    let (mut snapshots, mut live_at) = (upstream.snapshots(), upstream.live_at(&channel));
    loop {
        let now = Instant::now();
        core.on_viewer(
            followers.started + Duration::from_millis(followed.last_viewer.load(Ordering::Relaxed)),
        );
        // A request that is being held is a viewer too; `followed` keeps one receiver itself.
        if sender.receiver_count() > 1 {
            core.on_viewer(now);
        }
        while let Some(action) = core.poll_action(now) {
            match action {
                Action::Playlist { directives, patience } => {
                    asking = Some(ask(&followers, &directory, directives, patience).boxed()).into();
                }
                Action::Part(file) => followers.cache.prefetch(&format!("{directory}/{file}")),
                Action::Stop => return,
            }
        }
        let Some(wake) = core.poll_timeout() else { return };
        tokio::select! {
            Some(answer) = &mut asking => {
                asking = OptionFuture::default();
                note(&followers, &directory, &core, &answer);
                let held = |file: &str| followers.cache.contains(&format!("{directory}/{file}"));
                core.on_playlist(answer, Instant::now(), held);
                sender.send_replace(Arc::clone(core.view()));
                if core.view().snapshot.is_some() {
                    drop(unproven.take());
                }
            }
            () = sleep_until(wake.into()) => {}
            Ok(()) = snapshots.changed() => {
                let now_at = upstream.live_at(&channel);
                if live_at != now_at {
                    live_at = now_at;
                    core.on_moved();
                }
            }
            () = &mut draining => core.on_drain(),
        }
        if let (Some(failure), true) = (&core.view().failure, core.view().is_final()) {
            followers.missing.insert(&directory, failure.error.clone(), NEGATIVE_LIFE, Instant::now());
        }
    }
}

/// Asks the parent, reads the answer and makes sense of it.
async fn ask(
    followers: &Followers,
    directory: &str,
    directives: Directives,
    patience: Duration,
) -> Result<Fetched> {
    let path = playlist_path(directory);
    let resource = Resource::parse(&path).map_err(|_not_ours| Error::NoRoute)?;
    let upstream = followers.cache.upstream();
    let opened = upstream.playlist(resource.channel(), &path, &directives, patience).await?;
    let (produced, origin) = (opened.produced, Arc::clone(&opened.origin));
    let text = opened.collect().await?;
    // What is not UTF-8 is no playlist either, and the parser says so.
    let playlist = parse::media(std::str::from_utf8(&text).unwrap_or_default());
    let playlist = playlist.map_err(|source| Error::Playlist { origin, source })?;
    Ok(Fetched { playlist, text, produced })
}

/// Where the parent has the playlist: what is followed is a rendition by its directory, or its list of keyframes.
fn playlist_path(followed: &str) -> Cow<'_, str> {
    if followed.ends_with(I_FRAMES) { followed.into() } else { format!("{followed}/{}", File::Media).into() }
}

fn channel_of(followed: &str) -> String {
    let path = playlist_path(followed);
    Resource::parse(&path).map_or_else(|_| String::new(), |resource| resource.channel().to_owned())
}

/// Counts the answer, and logs a parent that begins to fail or is back.
fn note(followers: &Followers, directory: &str, core: &Rendition, answer: &Result<Fetched>) {
    let failing = core.view().failure.is_some();
    match answer {
        Ok(_) => {
            followers.metrics.updates.inc();
            if failing {
                tracing::info!(rendition = directory, "the origin answers again");
            }
        }
        Err(error) => {
            followers.metrics.failures.inc();
            if !failing && core.view().snapshot.is_some() && error.is_parents() {
                let error = log::Chain(error);
                tracing::warn!(
                    rendition = directory,
                    "serving the last playlist while the origin fails: {error}"
                );
            }
        }
    }
}

/// A place in the table, given back however the task ends.
struct Listed<'a> {
    followers: &'a Followers,
    directory: &'a str,
}

impl<'a> Listed<'a> {
    fn enter(followers: &'a Followers, directory: &'a str) -> Self {
        followers.metrics.renditions.inc();
        Self { followers, directory }
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.followers.metrics.renditions.dec();
        self.followers.forget(self.directory);
    }
}

/// A rendition that may not exist, counted until its first playlist.
struct Unproven<'a>(&'a Followers);

impl<'a> Unproven<'a> {
    fn enter(followers: &'a Followers) -> Self {
        followers.unproven.fetch_add(1, Ordering::Relaxed);
        Self(followers)
    }
}

impl Drop for Unproven<'_> {
    fn drop(&mut self) {
        self.0.unproven.fetch_sub(1, Ordering::Relaxed);
    }
}
