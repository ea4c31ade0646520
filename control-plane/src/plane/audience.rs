//! The audience over time: minutes go to the store, and what was asked for comes from there.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use nearcast_api::node::{Heartbeat, Role, Spec};
use nearcast_api::playback::Country;
use nearcast_api::{ChannelId, NodeId, Region};
use nearcast_service::drain::Drain;
use nearcast_service::log::Chain;

use super::{Plane, unix_millis};
use crate::audience::series::{self, Point, Span};
use crate::audience::{Bucket, By, Config, HOUR, Kind, MINUTE, OTHERS};
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::store::Watched;

/// Whose audience.
#[derive(Debug, Clone)]
pub enum Whose {
    /// Of all regions, or one.
    Regions(Option<Region>),
    Node(NodeId),
    /// Everywhere or in a region.
    Channel(ChannelId, Option<Region>),
    /// Of all channels that are in a category now.
    Category(String, Option<Region>),
    /// Of viewers who are in a country.
    Country(Country, Option<Region>),
}

impl Plane {
    /// Notes what an edge says here.
    pub(super) fn note(&self, spec: &Spec, beat: &Heartbeat) {
        if spec.role == Role::Edge {
            let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
            meter.heard(unix_millis(), &spec.id, &spec.region, beat);
        }
    }

    /// Notes what an edge said to another instance, `age` milliseconds ago.
    pub(super) fn note_elsewhere(&self, spec: &Spec, beat: &Heartbeat, age: u64) {
        if spec.role == Role::Edge {
            let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
            meter.heard_elsewhere(unix_millis().saturating_sub(age), &spec.id, &spec.region, beat);
        }
    }

    /// Hands ended minutes to the store, and has longer buckets made of them.
    pub(super) async fn keep_audience(self: Arc<Self>, metrics: Metrics, drain: Drain) {
        let (mut failing, mut minute) = (false, 0);
        while drain.unless_draining(tokio::time::sleep(LOOK)).await.is_some() {
            let (now, most) = (unix_millis(), self.audience.channels as usize);
            // Also when nobody was heard: the hour may be over.
            if std::mem::replace(&mut minute, now / MINUTE) == now / MINUTE {
                continue;
            }
            let ended = {
                let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
                meter.expire(now);
                meter.take(now, most)
            };
            self.keep_minutes(ended, now, &metrics, &mut failing).await;
        }
        // What the last minute had so far.
        let (now, most) = (unix_millis(), self.audience.channels as usize);
        let rest = self.meter.lock().unwrap_or_else(PoisonError::into_inner).take_all(now, most);
        if !rest.is_empty() {
            self.keep_minutes(rest, now, &metrics, &mut failing).await;
        }
    }

    async fn keep_minutes(&self, ended: Vec<Bucket>, now: u64, metrics: &Metrics, failing: &mut bool) {
        let kept = match self.store.add_minutes(&ended).await {
            Ok(()) => {
                metrics.audience_rows.inc_by(ended.len() as u64);
                let Config { channels, .. } = self.audience;
                self.store.roll_up(now, self.audience.kept(), channels).await
            }
            Err(error) => {
                let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
                metrics.audience_lost.inc_by(meter.give_back(ended) as u64);
                Err(error)
            }
        };
        match kept {
            Ok(made) => {
                metrics.audience_rows.inc_by(made.unwrap_or(0));
                *failing = false;
            }
            Err(error) => {
                metrics.audience_failures.inc();
                if !std::mem::replace(failing, true) {
                    tracing::warn!("the audience waits to be kept: {}", Chain(&error));
                }
            }
        }
    }

    /// How long buckets are kept, and how many.
    pub fn audience_config(&self) -> &Config {
        &self.audience
    }

    /// Who watched, step by step.
    pub async fn audience(&self, whose: &Whose, span: Span) -> Result<Vec<Point>> {
        let region = |region: &Option<Region>| region.as_ref().map_or("", Region::as_str).to_owned();
        match whose {
            Whose::Regions(one) => {
                let rows = self.store.audience(span, Kind::Region, &[], &region(one)).await?;
                Ok(series::points(span, &rows, &rows, &[]))
            }
            Whose::Node(id) => {
                let rows = self.store.audience(span, Kind::Node, &[id.as_str()], "").await?;
                Ok(series::points(span, &rows, &rows, &[]))
            }
            Whose::Channel(id, one) => self.of_channels(&[id.as_str()], &region(one), span).await,
            Whose::Country(country, one) => self.of_country(*country, &region(one), span).await,
            Whose::Category(id, one) => {
                if !self.categories().contains_key(id) {
                    return Err(Error::NoCategory(id.clone()));
                }
                let channels = self.store.channels_of(id).await?;
                let names: Vec<&str> = channels.iter().map(ChannelId::as_str).collect();
                self.of_channels(&names, &region(one), span).await
            }
        }
    }

    /// Channels, with the regions and the other channels that say when nobody watched them.
    async fn of_channels(&self, names: &[&str], region: &str, span: Span) -> Result<Vec<Point>> {
        let mut rows = Vec::new();
        for names in names.chunks(MAX_NAMES) {
            rows.extend(self.store.audience(span, Kind::Channel, names, region).await?);
        }
        let regions = self.store.audience(span, Kind::Region, &[], region).await?;
        let others = self.store.audience(span, Kind::Channel, &[OTHERS], region).await?;
        Ok(series::points(span, &rows, &regions, &others))
    }

    /// A country. Where regions had viewers and nobody knew in which country any of them was, nothing is known of it.
    async fn of_country(&self, country: Country, region: &str, span: Span) -> Result<Vec<Point>> {
        let rows = self.store.audience(span, Kind::Country, &[country.as_str()], region).await?;
        let anywhere = self.store.audience(span, Kind::Country, &[], region).await?;
        let mut regions = self.store.audience(span, Kind::Region, &[], region).await?;
        let placed: HashSet<u64> = anywhere.into_iter().map(|(at, _)| at).collect();
        regions.retain(|(at, region)| region.viewer_ms == 0 || placed.contains(at));
        Ok(series::points(span, &rows, &regions, &[]))
    }

    /// See [`crate::store::Store::most_watched`].
    pub async fn most_watched(
        &self,
        span: Span,
        kind: Kind,
        by: By,
        region: Option<&Region>,
        limit: u32,
    ) -> Result<Vec<Watched>> {
        self.store.most_watched(span, kind, by, region.map_or("", Region::as_str), limit).await
    }

    /// The hours of a region that are over and kept, oldest first, and when the one under way began (milliseconds since the
    /// Unix epoch).
    pub async fn hours(&self, region: &Region) -> Result<(Vec<Point>, u64)> {
        let now = unix_millis();
        let to = now - now % HOUR;
        let from = to.saturating_sub(self.audience.kept()[2]);
        let span = Span { from, to, step: HOUR, width: HOUR };
        Ok((self.audience(&Whose::Regions(Some(region.clone())), span).await?, to))
    }
}

/// Between two looks for minutes that have ended, and nodes that have fallen silent.
const LOOK: Duration = Duration::from_secs(5);
/// In one statement.
const MAX_NAMES: usize = 500;
