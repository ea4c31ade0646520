//! Is this a DASH manifest? The rules of ISO/IEC 23009-1's schema and text, for what our servers may write.

mod schema;
mod values;

use anyhow::{Context as _, Result, ensure};
use roxmltree::{Document, Node};

use crate::player::Findings;
use values::Kind;

/// A manifest in numbers, as a player would read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// `type="dynamic"`
    pub live: bool,
    /// Seconds since the Unix epoch.
    pub availability_start: f64,
    pub periods: Vec<Period>,
    /// `Latency@target` in seconds.
    pub target_latency: Option<f64>,
}

/// One of its periods.
#[derive(Debug, Clone, PartialEq)]
pub struct Period {
    pub id: String,
    /// Seconds.
    pub start: f64,
    pub duration: Option<f64>,
    /// `SegmentTemplate@initialization` of each representation.
    pub inits: Vec<String>,
    /// It has segments by number and duration, not by a timeline.
    pub counted: bool,
}

/// Reads a manifest that breaks no rule.
pub fn read(text: &str) -> Result<Manifest> {
    let findings = check(text);
    ensure!(findings.is_empty(), "the manifest breaks rules:\n{findings}\n{text}");
    let document = Document::parse(text)?;
    let root = document.root_element();
    let templates = |period: Node<'_, '_>| -> Vec<String> {
        let templates = period.descendants().filter(|node| node.has_tag_name("SegmentTemplate"));
        templates.filter_map(|template| template.attribute("initialization").map(str::to_owned)).collect()
    };
    let periods = children(root, "Period").map(|period| Period {
        id: period.attribute("id").unwrap_or_default().to_owned(),
        start: seconds(period, "start").unwrap_or(0.0),
        duration: seconds(period, "duration"),
        inits: templates(period),
        counted: !period.descendants().any(|node| node.has_tag_name("SegmentTimeline")),
    });
    let latency = root.descendants().find(|node| node.has_tag_name("Latency"));
    let start = root.attribute("availabilityStartTime").context("no availability start time")?;
    Ok(Manifest {
        live: root.attribute("type") == Some("dynamic"),
        availability_start: values::date_time(start).context("not a date")?,
        periods: periods.collect(),
        target_latency: latency
            .and_then(|latency| Some(latency.attribute("target")?.parse::<f64>().ok()? / 1000.0)),
    })
}

/// Every rule that `text` breaks.
pub fn check(text: &str) -> Findings {
    let mut findings = Findings::default();
    findings.about("MPD");
    match Document::parse(text) {
        Ok(document) => {
            let root = document.root_element();
            findings.check(root.tag_name().namespace() == Some(NAMESPACE), || "another namespace".into());
            findings.check(root.tag_name().name() == "MPD", || "the root is no MPD".into());
            element(root, &mut findings);
            presentation(root, &mut findings);
        }
        Err(error) => findings.check(false, || format!("no XML: {error}")),
    }
    findings
}

/// What the schema says of an element and all in it: which attributes, of which types, which children, in which order.
fn element(node: Node<'_, '_>, findings: &mut Findings) {
    let name = node.tag_name().name();
    findings.about(format!("{name} in line {}", node.document().text_pos_at(node.range().start).row));
    let Some(rule) = schema::rule(name) else {
        return findings.check(false, || "no rule knows it".into());
    };
    for attribute in node.attributes() {
        let (name, value) = (attribute.name(), attribute.value());
        match rule.attributes.iter().find(|(known, ..)| *known == name) {
            Some((_, kind, _)) => {
                findings.check(kind.accepts(value), || format!("{name}={value:?} is no {kind:?}"));
            }
            None => findings.check(false, || format!("there is no attribute {name}")),
        }
    }
    for (name, _, required) in rule.attributes {
        findings.check(!required || node.has_attribute(*name), || format!("@{name} is missing"));
    }
    let mut reached = 0;
    for child in node.children().filter(Node::is_element) {
        let name = child.tag_name().name();
        match rule.children.iter().position(|known| *known == name) {
            Some(place) => {
                findings.check(place >= reached, || format!("{name} is out of order"));
                reached = reached.max(place);
            }
            None => findings.check(false, || format!("{name} does not belong there")),
        }
    }
    for child in node.children().filter(Node::is_element) {
        element(child, findings);
    }
}

/// What the text says beyond the schema.
fn presentation(root: Node<'_, '_>, findings: &mut Findings) {
    findings.about("MPD");
    let has = |name: &str| root.has_attribute(name);
    let live = root.attribute("type") == Some("dynamic");
    if live {
        for name in ["availabilityStartTime", "publishTime", "minimumUpdatePeriod", "timeShiftBufferDepth"] {
            findings.check(has(name), || format!("@{name} is missing in a live one"));
        }
        findings.check(!has("mediaPresentationDuration"), || "live, and yet it has a duration".into());
        findings.check(children(root, "UTCTiming").count() > 0, || "no UTCTiming".into());
    } else {
        findings.check(!has("minimumUpdatePeriod"), || "static, and yet it is updated".into());
        findings.check(has("mediaPresentationDuration"), || "static without a duration".into());
    }
    let periods: Vec<_> = children(root, "Period").collect();
    findings.check(!periods.is_empty(), || "no period".into());
    unique(periods.iter().copied(), "Period", findings);
    for pair in periods.windows(2) {
        let (start, next) = (seconds(pair[0], "start"), seconds(pair[1], "start"));
        let end = start.zip(seconds(pair[0], "duration")).map(|(start, duration)| start + duration);
        findings.check(start < next, || "periods are not in order".into());
        findings
            .check(end.zip(next).is_none_or(|(end, next)| end <= next + 1e-5), || "periods overlap".into());
        findings.check(end.is_some(), || "a period that is not the last goes on".into());
    }
    for period in periods {
        period_rules(period, findings);
    }
    let references: Vec<_> =
        root.descendants().filter(|node| node.has_tag_name("ProducerReferenceTime")).collect();
    for latency in root.descendants().filter(|node| node.has_tag_name("Latency")) {
        let id = latency.attribute("referenceId");
        let known = references.iter().any(|reference| reference.attribute("id") == id);
        findings.check(id.is_none() || known, || "Latency refers to no ProducerReferenceTime".into());
    }
}

fn period_rules(period: Node<'_, '_>, findings: &mut Findings) {
    findings.about(format!("Period {}", period.attribute("id").unwrap_or("?")));
    findings.check(period.has_attribute("start"), || "@start is missing".into());
    let sets: Vec<_> = children(period, "AdaptationSet").collect();
    findings.check(!sets.is_empty(), || "no AdaptationSet".into());
    unique(sets.iter().copied(), "AdaptationSet", findings);
    unique(sets.iter().flat_map(|set| children(*set, "Representation")), "Representation", findings);
    for set in sets {
        let all: Vec<_> = children(set, "Representation").collect();
        findings.check(!all.is_empty(), || "no Representation".into());
        let kind = set.attribute("contentType").unwrap_or_default();
        for one in all {
            let mime = one.attribute("mimeType").or(set.attribute("mimeType")).unwrap_or_default();
            findings.check(mime == format!("{kind}/mp4"), || format!("{kind} of type {mime:?}"));
            let (needed, channels): (&[&str], _) = match kind {
                "video" => (&["width", "height", "frameRate", "codecs"], false),
                _ => (&["audioSamplingRate", "codecs"], true),
            };
            for name in needed {
                findings.check(one.has_attribute(*name), || format!("{kind} without @{name}"));
            }
            let has_channels = children(one, "AudioChannelConfiguration").count() == 1;
            findings.check(has_channels == channels, || format!("channels of {kind}"));
            let templates: Vec<_> = children(one, "SegmentTemplate").collect();
            findings.check(templates.len() == 1, || "not one SegmentTemplate".into());
            templates.into_iter().for_each(|template| template_rules(template, findings));
        }
    }
}

/// §5.3.9.
fn template_rules(template: Node<'_, '_>, findings: &mut Findings) {
    let timelines: Vec<_> = children(template, "SegmentTimeline").collect();
    let counted = template.has_attribute("duration");
    findings.check(counted != (timelines.len() == 1), || "@duration or SegmentTimeline, one of both".into());
    let media = template.attribute("media").unwrap_or_default();
    let init = template.attribute("initialization").unwrap_or_default();
    findings.check(media.contains("$Number$"), || format!("@media {media} has no number"));
    findings.check(!init.contains("$Number$"), || format!("@initialization {init} has a number"));
    for url in [media, init] {
        let relative = !url.is_empty() && !url.starts_with('/') && !url.contains(':');
        findings.check(relative, || format!("{url:?} is not relative"));
        let names = url.split('$').skip(1).step_by(2);
        let known = |name: &str| ["RepresentationID", "Number"].contains(&name);
        findings.check(names.clone().all(known), || format!("{url:?} has an unknown identifier"));
    }
    let early = template.has_attribute("availabilityTimeOffset");
    let incomplete = template.attribute("availabilityTimeComplete") == Some("false");
    findings.check(early == incomplete, || "announced early, or as incomplete, but not both".into());
    for timeline in timelines {
        findings.check(!early, || "listed, and yet announced early".into());
        let segments: Vec<_> = children(timeline, "S").collect();
        findings.check(!segments.is_empty(), || "an empty SegmentTimeline".into());
        let first = segments.first().is_some_and(|first| first.has_attribute("t"));
        findings.check(first, || "the first S has no time".into());
        let mut end = 0;
        for segment in segments {
            let number = |name| segment.attribute(name).and_then(|value| value.parse::<u64>().ok());
            let (time, length) = (number("t").unwrap_or(end), number("d").unwrap_or(0));
            findings.check(time >= end && length > 0, || format!("S at {time} overlaps or is empty"));
            end = time + length * (1 + number("r").unwrap_or(0));
        }
    }
}

fn unique<'a, 'i: 'a>(nodes: impl Iterator<Item = Node<'a, 'i>>, what: &str, findings: &mut Findings) {
    let mut ids: Vec<_> = nodes.map(|node| node.attribute("id")).collect();
    findings.check(ids.iter().all(Option::is_some), || format!("{what} without @id"));
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    findings.check(ids.len() == all, || format!("two of {what} have one @id"));
}

fn children<'a, 'i>(node: Node<'a, 'i>, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
    node.children().filter(move |child| child.tag_name().name() == name)
}

fn seconds(node: Node<'_, '_>, attribute: &str) -> Option<f64> {
    values::duration(node.attribute(attribute)?)
}

const NAMESPACE: &str = "urn:mpeg:dash:schema:mpd:2011";

#[cfg(test)]
mod tests;
