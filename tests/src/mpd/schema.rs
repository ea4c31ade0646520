//! The schema as a table: each element's attributes and, in their order, its children. What our servers never write is
//! left out, so that it is found when one does.

use super::Kind;
use super::values::Kind::{
    Boolean, DateTime, Double, Duration, FrameRate, Reference, Sap, Text, Type, Unsigned, Word,
};

/// What the schema says of one element.
pub(super) struct Rule {
    /// Name, type, and whether it must be there.
    pub(super) attributes: &'static [(&'static str, Kind, bool)],
    pub(super) children: &'static [&'static str],
}

/// The rule for the elements of this name.
pub(super) fn rule(element: &str) -> Option<&'static Rule> {
    RULES.iter().find(|(name, _)| *name == element).map(|(_, rule)| rule)
}

const DESCRIPTOR: Rule = Rule {
    attributes: &[("schemeIdUri", Word, true), ("value", Text, false), ("id", Text, false)],
    children: &[],
};

const RULES: &[(&str, Rule)] = &[
    (
        "MPD",
        Rule {
            attributes: &[
                ("id", Text, false),
                ("profiles", Word, true),
                ("type", Type, true),
                ("availabilityStartTime", DateTime, false),
                ("publishTime", DateTime, false),
                ("mediaPresentationDuration", Duration, false),
                ("minimumUpdatePeriod", Duration, false),
                ("minBufferTime", Duration, true),
                ("timeShiftBufferDepth", Duration, false),
                ("suggestedPresentationDelay", Duration, false),
                ("maxSegmentDuration", Duration, false),
            ],
            children: &["ServiceDescription", "Period", "UTCTiming"],
        },
    ),
    (
        "ServiceDescription",
        Rule { attributes: &[("id", Unsigned, true)], children: &["Scope", "Latency", "PlaybackRate"] },
    ),
    (
        "Latency",
        Rule {
            attributes: &[
                ("referenceId", Unsigned, false),
                ("target", Unsigned, false),
                ("max", Unsigned, false),
                ("min", Unsigned, false),
            ],
            children: &[],
        },
    ),
    ("PlaybackRate", Rule { attributes: &[("max", Double, false), ("min", Double, false)], children: &[] }),
    (
        "Period",
        Rule {
            attributes: &[("id", Word, true), ("start", Duration, true), ("duration", Duration, false)],
            children: &["AdaptationSet"],
        },
    ),
    (
        "AdaptationSet",
        Rule {
            attributes: &[
                ("id", Unsigned, true),
                ("contentType", Word, true),
                ("mimeType", Word, true),
                ("segmentAlignment", Boolean, true),
                ("startWithSAP", Sap, false),
            ],
            children: &["InbandEventStream", "ProducerReferenceTime", "Role", "Representation"],
        },
    ),
    (
        "ProducerReferenceTime",
        Rule {
            attributes: &[
                ("id", Unsigned, true),
                ("inband", Boolean, false),
                ("type", Reference, false),
                ("wallClockTime", DateTime, true),
                ("presentationTime", Unsigned, true),
            ],
            children: &["UTCTiming"],
        },
    ),
    ("InbandEventStream", DESCRIPTOR),
    ("Role", DESCRIPTOR),
    ("UTCTiming", DESCRIPTOR),
    ("AudioChannelConfiguration", DESCRIPTOR),
    (
        "Representation",
        Rule {
            attributes: &[
                ("id", Word, true),
                ("bandwidth", Unsigned, true),
                ("width", Unsigned, false),
                ("height", Unsigned, false),
                ("frameRate", FrameRate, false),
                ("audioSamplingRate", Text, false),
                ("codecs", Word, true),
            ],
            children: &["AudioChannelConfiguration", "SegmentTemplate"],
        },
    ),
    (
        "SegmentTemplate",
        Rule {
            attributes: &[
                ("media", Word, true),
                ("initialization", Word, true),
                ("startNumber", Unsigned, true),
                ("endNumber", Unsigned, false),
                ("duration", Unsigned, false),
                ("timescale", Unsigned, true),
                ("presentationTimeOffset", Unsigned, true),
                ("availabilityTimeOffset", Double, false),
                ("availabilityTimeComplete", Boolean, false),
            ],
            children: &["SegmentTimeline"],
        },
    ),
    ("SegmentTimeline", Rule { attributes: &[], children: &["S"] }),
    (
        "S",
        Rule {
            attributes: &[("t", Unsigned, false), ("d", Unsigned, true), ("r", Unsigned, false)],
            children: &[],
        },
    ),
];
