//! A multivariant playlist: the renditions to choose from, and its text (RFC 8216bis §4.4.6).

use super::tag::{Writer, push};

/// The renditions of a broadcast. The order of `variants` is the order of preference: players begin with
/// the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Playlist {
    /// Every segment of every rendition begins with a keyframe.
    pub independent_segments: bool,
    pub steering: Option<Steering>,
    pub audio: Vec<Audio>,
    pub captions: Vec<Captions>,
    pub variants: Vec<Variant>,
    pub i_frames: Vec<IFrames>,
}

/// Who tells players which pathway to take (EXT-X-CONTENT-STEERING, §4.4.6.6).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steering {
    /// Where the steering manifest is.
    pub server: String,
    /// The pathway to begin with.
    pub pathway: Option<String>,
}

/// A stream to play, with the audio group it goes with (EXT-X-STREAM-INF, §4.4.6.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variant {
    pub uri: String,
    /// Peak bits per second of any segment, audio included.
    pub bandwidth: u64,
    /// Average bits per second, audio included.
    pub average_bandwidth: Option<u64>,
    /// RFC 6381 names of all its codecs, audio included, separated by commas.
    pub codecs: Option<String>,
    /// Codecs that some decoders may use instead, e.g. `dvh1.08.07/db4h` (§4.4.6.2).
    pub supplemental_codecs: Option<String>,
    /// Width and height in pixels.
    pub resolution: Option<(u32, u32)>,
    /// Frames per 1000 seconds.
    pub frame_rate: Option<u32>,
    /// GROUP-ID of its audio.
    pub audio: Option<String>,
    /// `None` where it is not known whether there are captions.
    pub closed_captions: Option<ClosedCaptions>,
    /// PATHWAY-ID.
    pub pathway: Option<String>,
}

/// What is known of the captions inside a variant's video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClosedCaptions {
    /// There are none, in any variant.
    None,
    /// GROUP-ID of [`Captions`].
    Group(String),
}

/// A list of a variant's keyframes, for seeking and fast play (EXT-X-I-FRAME-STREAM-INF, §4.4.6.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IFrames {
    pub uri: String,
    /// Peak bits per second when each keyframe is shown for as long as its segment lasts.
    pub bandwidth: u64,
    pub average_bandwidth: Option<u64>,
    pub codecs: Option<String>,
    pub supplemental_codecs: Option<String>,
    pub resolution: Option<(u32, u32)>,
    pub pathway: Option<String>,
}

/// A rendition of the audio alone (EXT-X-MEDIA with TYPE=AUDIO, §4.4.6.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audio {
    pub group: String,
    pub name: String,
    /// Without one the audio is inside the variants.
    pub uri: Option<String>,
    pub language: Option<String>,
    pub default: bool,
    pub autoselect: bool,
    pub channels: Option<u32>,
}

/// Captions inside the video (EXT-X-MEDIA with TYPE=CLOSED-CAPTIONS).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captions {
    pub group: String,
    pub name: String,
    /// `CC1` to `CC4` or `SERVICE1` to `SERVICE63`.
    pub instream_id: String,
    pub language: Option<String>,
    pub default: bool,
    pub autoselect: bool,
}

impl Playlist {
    /// The playlist as text.
    pub fn render(&self) -> String {
        let mut out = format!("#EXTM3U\n#EXT-X-VERSION:{}\n", self.version());
        if self.independent_segments {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        if let Some(Steering { server, pathway }) = &self.steering {
            let tag = Writer::new(&mut out, "#EXT-X-CONTENT-STEERING").quoted("SERVER-URI", server);
            tag.optional("PATHWAY-ID", pathway.as_ref()).end();
        }
        self.audio.iter().for_each(|audio| render_audio(&mut out, audio));
        self.captions.iter().for_each(|captions| render_captions(&mut out, captions));
        self.variants.iter().for_each(|variant| render_variant(&mut out, variant));
        self.i_frames.iter().for_each(|i_frames| render_i_frames(&mut out, i_frames));
        out
    }

    /// §8: `SERVICE` needs 7. Everything else is older than what media playlists of fMP4 need, which is 6.
    fn version(&self) -> u8 {
        let service = |captions: &Captions| captions.instream_id.starts_with("SERVICE");
        if self.captions.iter().any(service) { 7 } else { 6 }
    }
}

fn render_audio(out: &mut String, audio: &Audio) {
    let mut tag = Writer::new(out, "#EXT-X-MEDIA").plain("TYPE", "AUDIO");
    tag = tag.quoted("GROUP-ID", &audio.group).quoted("NAME", &audio.name);
    tag = tag.optional("LANGUAGE", audio.language.as_ref());
    tag = tag.yes("DEFAULT", audio.default).yes("AUTOSELECT", audio.autoselect);
    tag.optional("CHANNELS", audio.channels).optional("URI", audio.uri.as_ref()).end();
}

fn render_captions(out: &mut String, captions: &Captions) {
    let mut tag = Writer::new(out, "#EXT-X-MEDIA").plain("TYPE", "CLOSED-CAPTIONS");
    tag = tag.quoted("GROUP-ID", &captions.group).quoted("NAME", &captions.name);
    tag = tag.optional("LANGUAGE", captions.language.as_ref());
    tag = tag.yes("DEFAULT", captions.default).yes("AUTOSELECT", captions.autoselect);
    tag.quoted("INSTREAM-ID", &captions.instream_id).end();
}

fn render_variant(out: &mut String, variant: &Variant) {
    let mut tag = Writer::new(out, "#EXT-X-STREAM-INF").plain("BANDWIDTH", variant.bandwidth);
    tag = average(tag, variant.average_bandwidth).optional("CODECS", variant.codecs.as_ref());
    tag = tag.optional("SUPPLEMENTAL-CODECS", variant.supplemental_codecs.as_ref());
    tag = resolution(tag, variant.resolution);
    if let Some(rate) = variant.frame_rate {
        tag = tag.plain("FRAME-RATE", format_args!("{}.{:03}", rate / 1000, rate % 1000));
    }
    tag = tag.optional("AUDIO", variant.audio.as_ref());
    tag = match &variant.closed_captions {
        None => tag,
        Some(ClosedCaptions::None) => tag.plain("CLOSED-CAPTIONS", "NONE"),
        Some(ClosedCaptions::Group(group)) => tag.quoted("CLOSED-CAPTIONS", group),
    };
    tag.optional("PATHWAY-ID", variant.pathway.as_ref()).end();
    push(out, format_args!("{}\n", variant.uri));
}

fn render_i_frames(out: &mut String, i_frames: &IFrames) {
    let mut tag = Writer::new(out, "#EXT-X-I-FRAME-STREAM-INF").plain("BANDWIDTH", i_frames.bandwidth);
    tag = average(tag, i_frames.average_bandwidth).optional("CODECS", i_frames.codecs.as_ref());
    tag = tag.optional("SUPPLEMENTAL-CODECS", i_frames.supplemental_codecs.as_ref());
    tag = resolution(tag, i_frames.resolution).optional("PATHWAY-ID", i_frames.pathway.as_ref());
    tag.quoted("URI", &i_frames.uri).end();
}

fn average(tag: Writer<'_>, bandwidth: Option<u64>) -> Writer<'_> {
    match bandwidth {
        Some(average) => tag.plain("AVERAGE-BANDWIDTH", average),
        None => tag,
    }
}

fn resolution(tag: Writer<'_>, resolution: Option<(u32, u32)>) -> Writer<'_> {
    match resolution {
        Some((width, height)) => tag.plain("RESOLUTION", format_args!("{width}x{height}")),
        None => tag,
    }
}
