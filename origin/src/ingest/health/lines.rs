//! The publishers of one channel: who is connected, whose line is lost, who is on the air, and what there is to tell of
//! that. No clock: `now` is an argument.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nearcast_api::BroadcastId;
use nearcast_api::ingest::{Health, Kind};

use super::board::lock;
use super::monitor::{Monitor, Source, Turn};
use crate::package::Air;

/// From the first publisher to the end of the last broadcast.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) broadcast: Option<BroadcastId>,
    /// The first first.
    connected: Vec<Line>,
    /// At most one of the first encoders, and one of those that stand by.
    lost: Vec<Lost>,
    /// Who was seen on the air last: of which kind, and behind which monitor.
    aired: Option<(bool, Shared)>,
    /// Whose numbers the metrics have.
    told: Option<Shared>,
}

/// What measures one publisher.
pub(super) type Shared = Arc<Mutex<Monitor>>;

/// What happened: for programs the kind and the code, for people the text.
pub(super) type Said = (Kind, &'static str, String);

/// What a look finds.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) said: Vec<Said>,
    /// Warnings that came or went, with whether it is a standby's.
    pub(super) turns: Vec<(bool, Turn)>,
    /// Of the one on the air.
    pub(super) health: Option<Health>,
    /// It is another one than at the last look.
    pub(super) other: bool,
}

/// A publisher that is connected.
#[derive(Debug)]
struct Line {
    monitor: Shared,
    backup: bool,
    /// Once it feeds a broadcast.
    air: Option<Air>,
    /// It continues one whose line was lost.
    resumed: bool,
    /// It was away for so long, and no frame of it has been seen yet.
    away: Option<Duration>,
    /// It is connected, but nothing has come since, and that has been told.
    silent: Option<Instant>,
}

/// A publisher whose line is lost.
#[derive(Debug)]
struct Lost {
    monitor: Shared,
    backup: bool,
    at: Instant,
}

impl Lines {
    /// Nobody publishes and nothing is live.
    pub(super) fn is_over(&self) -> bool {
        self.connected.is_empty() && self.broadcast.is_none()
    }

    pub(super) fn is_connected(&self) -> bool {
        !self.connected.is_empty()
    }

    /// A publisher begins. Where one of its kind has lost its line, it is that one who is back.
    pub(super) fn open(&mut self, source: Source, now: Instant) -> Shared {
        let backup = source.backup;
        let silent = |line: &&Line| line.backup == backup && lock(&line.monitor).quiet(now) >= SILENT;
        let old = match self.lost.iter().position(|lost| lost.backup == backup) {
            Some(index) => {
                let Lost { monitor, at, .. } = self.lost.swap_remove(index);
                Some((monitor, now.saturating_duration_since(at)))
            }
            // Its old connection is not known to be dead yet.
            None => self.connected.iter().find(silent).map(|line| {
                let quiet = lock(&line.monitor).quiet(now);
                (Arc::clone(&line.monitor), quiet)
            }),
        };
        let old = old.filter(|_| self.broadcast.is_some());
        let (monitor, away) = match old {
            Some((old, away)) => (lock(&old).succeed(source, now), Some(away)),
            None => (Monitor::new(source, now), None),
        };
        let monitor = Arc::new(Mutex::new(monitor));
        let line = Line {
            monitor: Arc::clone(&monitor),
            backup,
            air: None,
            resumed: away.is_some(),
            away,
            silent: None,
        };
        self.connected.push(line);
        monitor
    }

    /// A publisher feeds the broadcast.
    pub(super) fn feed(&mut self, monitor: &Shared, air: Air) {
        if let Some(line) = self.connected.iter_mut().find(|line| Arc::ptr_eq(&line.monitor, monitor)) {
            line.air = Some(air);
        }
    }

    /// A publisher has gone: `leaves` when it or we wanted that.
    pub(super) fn close(&mut self, monitor: &Shared, leaves: bool, now: Instant) -> Option<Said> {
        let index = self.connected.iter().position(|line| Arc::ptr_eq(&line.monitor, monitor))?;
        let Line { monitor, backup, air, silent, .. } = self.connected.remove(index);
        if leaves || air.is_none() || self.broadcast.is_none() {
            return None;
        }
        let again = self.connected.iter().any(|line| line.backup == backup);
        if again {
            // Its successor was faster than the news of its end.
            return None;
        }
        self.lost.retain(|lost| lost.backup != backup);
        self.lost.push(Lost { monitor, backup, at: silent.unwrap_or(now) });
        if silent.is_some() {
            return None;
        }
        let alone = if self.connected.is_empty() {
            ", and nobody else publishes: viewers see the slate or the last picture until it is back or given up"
        } else {
            ""
        };
        let text = format!("the line of the {} is lost{alone}", encoder(backup));
        Some((Kind::Lost, rank(backup), text))
    }

    /// The channel shows another broadcast, or none.
    pub(super) fn show(&mut self, broadcast: Option<BroadcastId>) -> Option<BroadcastId> {
        self.lost.clear();
        self.aired = None;
        self.connected.iter_mut().for_each(|line| line.away = None);
        std::mem::replace(&mut self.broadcast, broadcast)
    }

    /// Looks at all of them; call it every second. `wall` is in milliseconds since the Unix epoch.
    pub(super) fn look(&mut self, now: Instant, wall: u64) -> Seen {
        let mut seen = Seen::default();
        for line in &mut self.connected {
            seen.said.extend(line.silence(now));
            let mut monitor = lock(&line.monitor);
            if let Some(air) = &line.air {
                monitor.note(air.notes());
            }
            seen.turns.extend(monitor.look(now, wall).into_iter().map(|turn| (line.backup, turn)));
            if let Some(away) = line.away.take_if(|_| monitor.flows()) {
                seen.said.push(back(line.backup, away));
            }
        }
        seen.said.extend(self.switched());
        if let Some(line) = self.first() {
            let monitor = Arc::clone(&line.monitor);
            seen.health = Some(health(line, now));
            seen.other = self.told.as_ref().is_none_or(|told| !Arc::ptr_eq(told, &monitor));
            self.told = Some(monitor);
        }
        seen
    }

    /// How all of them do; the one on the air first.
    pub(super) fn health(&self, now: Instant) -> Vec<Health> {
        let first = self.first();
        let others =
            self.connected.iter().filter(|line| first.is_none_or(|first| !std::ptr::eq(first, *line)));
        first.into_iter().chain(others).take(AT_ONCE).map(|line| health(line, now)).collect()
    }

    /// Who is told of first.
    fn first(&self) -> Option<&Line> {
        self.connected.iter().find(|line| line.is_on_air()).or(self.connected.first())
    }

    /// Another one has gone on the air.
    fn switched(&mut self) -> Option<Said> {
        let line = self.connected.iter().find(|line| line.is_on_air())?;
        let before = self.aired.replace((line.backup, Arc::clone(&line.monitor)));
        let (backup, monitor) = before?;
        if Arc::ptr_eq(&monitor, &line.monitor) {
            return None;
        }
        match (backup, line.backup) {
            (false, true) => Some((Kind::Switched, "backup", "the backup encoder is on the air".to_owned())),
            (true, false) => {
                Some((Kind::Switched, "primary", "the first encoder is on the air again".to_owned()))
            }
            // That one is told as having come back.
            _ if line.resumed => None,
            _ => Some((
                Kind::Switched,
                "takeover",
                "another encoder with the same rank has taken over".to_owned(),
            )),
        }
    }
}

impl Line {
    fn is_on_air(&self) -> bool {
        self.air.as_ref().is_some_and(Air::is_on)
    }

    /// A line may fail without a word: then it is silence that tells, and frames that tell that it is over.
    fn silence(&mut self, now: Instant) -> Option<Said> {
        let quiet = lock(&self.monitor).quiet(now);
        if let Some(since) = self.silent.take_if(|_| quiet < SILENT) {
            return Some(back(self.backup, now.saturating_duration_since(since)));
        }
        if self.air.is_none() || self.silent.is_some() || quiet < GONE {
            return None;
        }
        self.silent = now.checked_sub(quiet);
        let text = format!(
            "nothing has come from the {} for {} s: its line is lost",
            encoder(self.backup),
            quiet.as_secs()
        );
        Some((Kind::Lost, rank(self.backup), text))
    }
}

fn health(line: &Line, now: Instant) -> Health {
    Health { on_air: line.is_on_air(), ..lock(&line.monitor).health(now) }
}

fn back(backup: bool, away: Duration) -> Said {
    let text =
        format!("the {} is back after {:.1} s, the broadcast goes on", encoder(backup), away.as_secs_f64());
    (Kind::Reconnected, rank(backup), text)
}

/// What programs call it.
fn rank(backup: bool) -> &'static str {
    if backup { "backup" } else { "primary" }
}

/// What people call it.
fn encoder(backup: bool) -> &'static str {
    if backup { "backup encoder" } else { "publisher" }
}

/// One that sends nothing for so long is as good as gone when another of its kind comes.
const SILENT: Duration = Duration::from_secs(2);
/// As long as a line is given before another of its kind may take its place.
const GONE: Duration = Duration::from_secs(4);
/// A first encoder and a standby, and those that take their places.
const AT_ONCE: usize = 4;

#[cfg(test)]
mod tests;
