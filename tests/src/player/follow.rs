//! Following one rendition: blocking reloads, hinted parts asked for before they exist, delta updates.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;

use super::boxes::{Fragment, Init};
use super::evolution;
use super::findings::Findings;
use super::followed::Followed;
use super::playlist::{Media, Part, Segment};
use super::{PLAYLIST_TYPE, Rendition, resolve, rules};
use crate::client::{Client, Reply};

/// How long to follow.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// So many whole segments, from the first that begins while watching.
    Segments(usize),
    /// One delta update was applied: there is none before the playlist is six target durations long.
    Delta,
    /// The playlist ends.
    Ended,
}

/// Follows `rendition` from its live edge. Fails only when it cannot go on: broken rules are in `findings`.
pub async fn follow(client: &Client, rendition: &Rendition, until: Until) -> Result<Followed> {
    let mut session = Session::start(client, rendition).await?;
    let first = session.list.growing_msn();
    let start = Instant::now();
    loop {
        session.advance().await.with_context(|| format!("following {}", rendition.path))?;
        let done = match until {
            Until::Segments(count) => session.recorded(first).count() >= count,
            Until::Delta => session.deltas > 0,
            Until::Ended => false,
        };
        if done || session.list.ended {
            break;
        }
        ensure!(start.elapsed() < PATIENCE, "{} gave no end in {PATIENCE:?}", rendition.path);
    }
    session.check_bad_directives().await?;
    session.check_reports().await?;
    Ok(session.finish(first))
}

/// Checks what every answer to a viewer carries.
pub(super) fn check_headers(reply: &Reply, content_type: &str, findings: &mut Findings) {
    let got = reply.header("content-type");
    findings.check(got == content_type, || format!("content-type is {got:?}"));
    let cors = reply.header("access-control-allow-origin");
    findings.check(cors == "*", || format!("access-control-allow-origin is {cors:?}"));
    let cache = reply.header("cache-control");
    findings.check(cache.contains("max-age="), || format!("cache-control is {cache:?}"));
}

struct Session<'a> {
    client: &'a Client,
    rendition: &'a Rendition,
    list: Media,
    /// By path.
    inits: BTreeMap<String, (Init, Bytes)>,
    /// Every part that was fetched.
    parts: BTreeMap<(u64, u64), Bytes>,
    /// Every segment that was fetched whole.
    segments: BTreeMap<u64, (Segment, Bytes)>,
    /// The first part that was not read yet; only what begins while watching is read.
    unread: (u64, u64),
    previous: Option<Fragment>,
    epoch: Option<f64>,
    reloads: usize,
    deltas: usize,
    slowest_reload: Duration,
    findings: Findings,
}

impl<'a> Session<'a> {
    async fn start(client: &'a Client, rendition: &'a Rendition) -> Result<Self> {
        let reply = client.get(&rendition.path).await?.expect(200)?;
        let list = Media::parse(reply.text()?).with_context(|| format!("reading {}", rendition.path))?;
        let mut findings = Findings::default();
        findings.about(format!("{} at first", rendition.path));
        check_headers(&reply, PLAYLIST_TYPE, &mut findings);
        rules::check(&list, rendition.video, &mut findings);

        let mut session = Self {
            client,
            rendition,
            unread: (list.growing_msn(), 0),
            list,
            inits: BTreeMap::new(),
            parts: BTreeMap::new(),
            segments: BTreeMap::new(),
            previous: None,
            epoch: None,
            reloads: 0,
            deltas: 0,
            slowest_reload: Duration::ZERO,
            findings,
        };
        session.init(session.list.growing_msn()).await?;
        Ok(session)
    }

    /// The path of a segment's init section, which has been read then.
    async fn init(&mut self, msn: u64) -> Result<String> {
        let (_, map) = self.list.head(msn);
        let map = resolve(&self.rendition.path, map.or(self.list.map.as_deref()).context("no EXT-X-MAP")?);
        if !self.inits.contains_key(&map) {
            let reply = self.client.get(&map).await?.expect(200)?;
            let init = Init::parse(&reply.body).with_context(|| format!("reading {map}"))?;
            self.findings.about(&map);
            check_media_headers(&reply, self.rendition, &mut self.findings);
            let announced = init.video == self.rendition.video;
            self.findings.check(announced, || "the track is not of the announced kind".into());
            self.inits.insert(map.clone(), (init, reply.body));
        }
        Ok(map)
    }

    /// One step of a player: asks for the next playlist and the hinted part at once, then takes both.
    async fn advance(&mut self) -> Result<()> {
        let (msn, part) = self.next();
        let skip = self.reloads % 3 == 2 && self.list.control.can_skip_until.is_some();
        self.reloads += 1;
        let v2 = skip && self.list.control.can_skip_ranges && self.reloads.is_multiple_of(2);
        let directive = match (skip, v2) {
            (true, true) => "&_HLS_skip=v2",
            (true, false) => "&_HLS_skip=YES",
            (false, _) => "",
        };
        let query = format!("_HLS_msn={msn}&_HLS_part={part}{directive}");
        let reload = format!("{}?{query}", self.rendition.path);
        let hint = self.list.hint.clone().map(|uri| resolve(&self.rendition.path, &uri));
        let hinted = async {
            match &hint {
                Some(path) => self.client.get(path).await.map(Some),
                None => Ok(None),
            }
        };
        let (reply, hinted) = tokio::try_join!(self.client.get(&reload), hinted)?;
        self.slowest_reload = self.slowest_reload.max(reply.total);
        self.findings.about(&reload);
        let list = self.take_playlist(reply, (msn, part), skip).await?;
        if let (Some(path), Some(reply)) = (&hint, hinted) {
            self.take_hinted(&list, path, reply);
        }
        self.list = list;
        self.fetch_parts().await?;
        self.fetch_segments().await
    }

    /// The part after the last one that is listed.
    fn next(&self) -> (u64, u64) {
        (self.list.growing_msn(), self.list.growing.len() as u64)
    }

    async fn take_playlist(&mut self, reply: Reply, asked: (u64, u64), skip: bool) -> Result<Media> {
        let reply = reply.expect(200)?;
        check_headers(&reply, PLAYLIST_TYPE, &mut self.findings);
        let mut list = Media::parse(reply.text()?).with_context(|| {
            format!("reading the answer for {asked:?}:\n{}", reply.text().unwrap_or_default())
        })?;
        if skip && list.skipped > 0 {
            let needed = if list.removed_ranges.is_some() { 10 } else { 9 };
            self.findings.check(list.version >= needed, || format!("EXT-X-SKIP needs version {needed}"));
            match evolution::apply(&self.list, &list) {
                Some(full) => {
                    list = full;
                    self.deltas += 1;
                }
                None => {
                    let reply = self.client.get(&self.rendition.path).await?.expect(200)?;
                    list = Media::parse(reply.text()?)?;
                }
            }
        }
        self.findings.check(skip || list.skipped == 0, || "EXT-X-SKIP unasked".into());
        // A server may answer a part that turned out not to exist with the next segment's first.
        let reached = list.ended || list.last() >= asked || list.growing_msn() > asked.0;
        self.findings.check(reached, || format!("a blocking reload answered early, at {:?}", list.last()));
        rules::check(&list, self.rendition.video, &mut self.findings);
        evolution::check(&self.list, &list, &mut self.findings);
        Ok(list)
    }

    /// The hinted part was asked for before it existed: it must be the one that is announced next.
    fn take_hinted(&mut self, list: &Media, path: &str, reply: Reply) {
        self.findings.about(path);
        let announced = list.parts().find(|(_, _, part)| resolve(&self.rendition.path, &part.uri) == path);
        let Some((msn, index, _)) = announced else {
            // A segment or broadcast may end where another part was expected; then the hint is void.
            let void = list.ended || list.growing_msn() > self.list.growing_msn();
            return self.findings.check(void, || "the hinted part was never announced".into());
        };
        let status = reply.status;
        self.findings.check(status == 200, || format!("the hinted part was answered {status}"));
        if status == 200 {
            check_media_headers(&reply, self.rendition, &mut self.findings);
            self.parts.insert((msn, index), reply.body);
        }
    }

    /// Reads every new part in order, fetching those that no hint brought.
    async fn fetch_parts(&mut self) -> Result<()> {
        let listed = self.list.parts().filter(|(msn, index, _)| (*msn, *index) >= self.unread);
        let listed: Vec<_> = listed.map(|(msn, index, part)| (msn, index, part.clone())).collect();
        for (msn, index, part) in listed {
            let path = resolve(&self.rendition.path, &part.uri);
            let bytes = match self.parts.get(&(msn, index)) {
                Some(bytes) => bytes.clone(),
                None => self.client.get(&path).await?.expect(200).context("fetching a listed part")?.body,
            };
            self.parts.insert((msn, index), bytes.clone());
            self.unread = (msn, index + 1);
            let map = self.init(msn).await?;
            let init = self.inits[&map].0.clone();
            self.findings.about(&path);
            let (discontinuity, _) = self.list.head(msn);
            self.read_part(&bytes, &part, &init, discontinuity && index == 0);
        }
        Ok(())
    }

    fn read_part(&mut self, bytes: &Bytes, part: &Part, init: &Init, discontinuity: bool) {
        let fragment = match Fragment::parse(bytes, init) {
            Ok(fragment) => fragment,
            Err(error) => return self.findings.check(false, || format!("{error:#}")),
        };
        if let Some(previous) = &self.previous {
            let expected = previous.decode_time + previous.duration;
            self.findings.check(discontinuity || fragment.decode_time == expected, || {
                format!("decode time {}, the part before ended at {expected}", fragment.decode_time)
            });
            let (last, first) = (previous.sequences.last().copied(), fragment.sequences.first().copied());
            // Another muxer's movie may begin with the discontinuity.
            self.findings.check(discontinuity || last < first, || {
                format!("moof sequence went from {last:?} to {first:?}")
            });
        }
        let seconds = fragment.duration as f64 / f64::from(init.timescale);
        self.findings.check((seconds - part.duration).abs() < 0.001, || {
            format!("DURATION={}, its samples last {seconds:.4}", part.duration)
        });
        let sync = !part.independent || fragment.starts_with_sync;
        self.findings.check(sync, || "INDEPENDENT without a sync sample".into());
        self.previous = Some(fragment);
    }

    /// Program dates and decode times must tell the same time.
    fn check_date(&mut self, msn: u64, fragment: &Fragment, timescale: u32) {
        let Some(date) = self.list.segments.iter().find(|s| s.msn == msn).and_then(|s| s.date) else {
            return;
        };
        let epoch = date - fragment.decode_time as f64 / f64::from(timescale);
        let first = *self.epoch.get_or_insert(epoch);
        self.findings.check((epoch - first).abs() < DATE_DRIFT, || {
            format!("segment {msn}'s date is {:.1} ms off its decode time", (epoch - first) * 1e3)
        });
    }

    /// Fetches segments that became whole: they must be their parts, one after the other.
    async fn fetch_segments(&mut self) -> Result<()> {
        let Some((&(first, _), _)) = self.parts.first_key_value() else { return Ok(()) };
        let whole: Vec<Segment> =
            self.list.segments.iter().filter(|s| s.msn >= first && !s.gap).cloned().collect();
        for segment in whole {
            let msn = segment.msn;
            if self.segments.contains_key(&msn) {
                continue;
            }
            let path = resolve(&self.rendition.path, &segment.uri);
            let reply = self.client.get(&path).await?.expect(200)?;
            self.findings.about(&path);
            check_media_headers(&reply, self.rendition, &mut self.findings);
            let parts: Vec<&Bytes> =
                self.parts.range((msn, 0)..(msn + 1, 0)).map(|(_, bytes)| bytes).collect();
            let joined: Vec<u8> = parts.iter().flat_map(|bytes| bytes.iter().copied()).collect();
            self.findings.check(parts.len() == segment.parts.len(), || {
                format!("{} parts were fetched, {} are listed", parts.len(), segment.parts.len())
            });
            self.findings.check(joined == reply.body, || "its bytes are not its parts' bytes".into());
            let map = self.init(msn).await?;
            let init = self.inits[&map].0.clone();
            match Fragment::parse(&reply.body, &init) {
                Ok(fragment) => self.check_date(msn, &fragment, init.timescale),
                Err(error) => self.findings.check(false, || format!("{error:#}")),
            }
            self.segments.insert(msn, (segment, reply.body));
        }
        Ok(())
    }

    /// Section 6.2.5.2: what no playlist can ever answer is refused at once.
    async fn check_bad_directives(&mut self) -> Result<()> {
        if self.list.ended {
            return Ok(());
        }
        let far = self.list.growing_msn() + 3;
        for query in [format!("_HLS_msn={far}"), "_HLS_part=1".to_owned(), "_HLS_msn=x".to_owned()] {
            let reply = self.client.get(&format!("{}?{query}", self.rendition.path)).await?;
            self.findings.about(format!("{}?{query}", self.rendition.path));
            self.findings.check(reply.status == 400, || format!("answered {}, must be 400", reply.status));
        }
        Ok(())
    }

    /// A reported rendition must have what is reported: a player switches to it by that number.
    async fn check_reports(&mut self) -> Result<()> {
        for report in self.list.reports.clone() {
            let path = resolve(&self.rendition.path, &report.uri);
            let part = report.last_part.map(|part| format!("&_HLS_part={part}")).unwrap_or_default();
            let path = format!("{path}?_HLS_msn={}{part}", report.last_msn);
            let reply = self.client.get(&path).await?;
            self.findings.about(&path);
            self.findings.check(reply.status == 200, || format!("reported, but answered {}", reply.status));
            if reply.status == 200 {
                let list = Media::parse(reply.text()?)?;
                let reported = (report.last_msn, report.last_part.unwrap_or(0));
                let there = list.ended || list.last() >= reported;
                self.findings.check(there, || format!("is at {:?}, was reported there already", list.last()));
            }
        }
        Ok(())
    }

    fn recorded(&self, first: u64) -> impl Iterator<Item = &(Segment, Bytes)> {
        self.segments.range(first..).map(|(_, recorded)| recorded)
    }

    fn finish(self, first: u64) -> Followed {
        let (mut media, mut segments, mut map) = (Vec::new(), Vec::<Segment>::new(), None);
        for (segment, bytes) in self.recorded(first) {
            if segment.map != map {
                map.clone_from(&segment.map);
                let path = map.as_deref().map(|uri| resolve(&self.rendition.path, uri));
                if let Some((_, init)) = path.and_then(|path| self.inits.get(&path)) {
                    media.extend_from_slice(init);
                }
            }
            media.extend_from_slice(bytes);
            segments.push(segment.clone());
        }
        Followed {
            media,
            segments,
            parts: self.parts.len(),
            deltas: self.deltas,
            epoch: self.epoch.unwrap_or_default(),
            slowest_reload: self.slowest_reload,
            findings: self.findings,
        }
    }
}

fn check_media_headers(reply: &Reply, rendition: &Rendition, findings: &mut Findings) {
    check_headers(reply, if rendition.video { "video/mp4" } else { "audio/mp4" }, findings);
    let cache = reply.header("cache-control");
    findings.check(cache.contains("immutable"), || {
        format!("media may be cached for ever, cache-control is {cache:?}")
    });
}

/// Dates are written in milliseconds; publishers' clocks may be corrected by less than this in a test's time.
const DATE_DRIFT: f64 = 0.005;
/// No test follows for longer.
const PATIENCE: Duration = Duration::from_secs(120);
