//! A reading of ISO BMFF boxes (ISO/IEC 14496-12) that shares no code with our writer.

use anyhow::{Context as _, Result, bail, ensure};

/// What a media initialization section says of its one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    pub track: u32,
    /// Ticks per second.
    pub timescale: u32,
    pub video: bool,
}

/// What one part's `moof`s and `mdat`s hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    pub sequences: Vec<u32>,
    /// `tfdt` of the first fragment, in ticks.
    pub decode_time: u64,
    /// Ticks.
    pub duration: u64,
    pub samples: u32,
    /// The first sample can be decoded by itself.
    pub starts_with_sync: bool,
}

impl Init {
    /// Reads `ftyp` and `moov`; the file must be fragmented and have one track.
    pub fn parse(data: &[u8]) -> Result<Self> {
        let top = children(data)?;
        ensure!(top.first().is_some_and(|(kind, _)| kind == b"ftyp"), "does not begin with ftyp");
        let moov = find(&top, b"moov")?;
        let moov = children(moov)?;
        find(&children(find(&moov, b"mvex")?)?, b"trex")?;
        ensure!(moov.iter().filter(|(kind, _)| kind == b"trak").count() == 1, "not exactly one track");
        let trak = children(find(&moov, b"trak")?)?;
        let tkhd = find(&trak, b"tkhd")?;
        let track = be32(tkhd, if tkhd.first() == Some(&1) { 20 } else { 12 })?;
        let mdia = children(find(&trak, b"mdia")?)?;
        let mdhd = find(&mdia, b"mdhd")?;
        let timescale = be32(mdhd, if mdhd.first() == Some(&1) { 20 } else { 12 })?;
        let handler = find(&mdia, b"hdlr")?.get(8..12).context("hdlr is short")?;
        ensure!(timescale > 0, "the timescale is 0");
        match handler {
            b"vide" => Ok(Self { track, timescale, video: true }),
            b"soun" => Ok(Self { track, timescale, video: false }),
            other => bail!("a track of {:?}", String::from_utf8_lossy(other)),
        }
    }
}

impl Fragment {
    /// Reads one or more `moof`+`mdat` pairs whose times follow each other.
    pub fn parse(data: &[u8], init: &Init) -> Result<Self> {
        let mut whole: Option<Self> = None;
        let mut moof: Option<(&[u8], usize)> = None;
        let mut offset = 0;
        for (kind, body) in children(data)? {
            let start = offset;
            offset += body.len() + 8;
            match &kind {
                b"moof" => moof = Some((body, start)),
                b"mdat" => {
                    let (body_of_moof, at) = moof.take().context("mdat without moof")?;
                    let next = fragment(body_of_moof, start + 8 - at, body.len(), init)?;
                    match &mut whole {
                        None => whole = Some(next),
                        Some(all) => {
                            ensure!(
                                all.decode_time + all.duration == next.decode_time,
                                "a gap inside the part"
                            );
                            all.duration += next.duration;
                            all.samples += next.samples;
                            all.sequences.extend(next.sequences);
                        }
                    }
                }
                b"styp" | b"prft" | b"emsg" | b"sidx" => {}
                other => bail!("an unexpected box {:?}", String::from_utf8_lossy(other)),
            }
        }
        ensure!(moof.is_none(), "moof without mdat");
        whole.context("no fragment")
    }
}

/// `mdat_at`: where the media data begins, counted from the start of the `moof`.
fn fragment(moof: &[u8], mdat_at: usize, mdat_len: usize, init: &Init) -> Result<Fragment> {
    let moof = children(moof)?;
    let sequence = be32(find(&moof, b"mfhd")?, 4)?;
    let traf = children(find(&moof, b"traf")?)?;
    ensure!(moof.iter().filter(|(kind, _)| kind == b"traf").count() == 1, "not exactly one traf");
    let tfhd = find(&traf, b"tfhd")?;
    ensure!(be32(tfhd, 4)? == init.track, "tfhd names another track than the init section");
    let flags = be32(tfhd, 0)? & 0xff_ffff;
    ensure!(flags & 0x2_0000 != 0, "default-base-is-moof is not set");
    ensure!(flags & 0x1 == 0, "CMAF forbids base-data-offset");
    let mut at = 8;
    let mut default = |bit: u32| -> Result<Option<u32>> {
        if flags & bit == 0 {
            return Ok(None);
        }
        at += 4;
        be32(tfhd, at - 4).map(Some)
    };
    default(0x2)?;
    let (default_duration, default_size, default_flags) = (default(0x8)?, default(0x10)?, default(0x20)?);

    let tfdt = find(&traf, b"tfdt")?;
    let decode_time = match tfdt.first() {
        Some(1) => u64::from(be32(tfdt, 4)?) << 32 | u64::from(be32(tfdt, 8)?),
        _ => u64::from(be32(tfdt, 4)?),
    };
    let (mut duration, mut size, mut samples, mut sync) = (0_u64, 0_usize, 0_u32, None);
    for (_, trun) in traf.iter().filter(|(kind, _)| kind == b"trun") {
        let flags = be32(trun, 0)? & 0xff_ffff;
        let count = be32(trun, 4)?;
        ensure!(flags & 0x1 != 0, "trun has no data offset");
        ensure!(
            be32(trun, 8)? as usize == mdat_at + size,
            "trun's data offset does not point at its samples"
        );
        let mut at = 12;
        let mut field = |present: bool| -> Result<Option<u32>> {
            if !present {
                return Ok(None);
            }
            at += 4;
            be32(trun, at - 4).map(Some)
        };
        let first_flags = field(flags & 0x4 != 0)?;
        for index in 0..count {
            let sample_duration = field(flags & 0x100 != 0)?.or(default_duration).context("no duration")?;
            let sample_size = field(flags & 0x200 != 0)?.or(default_size).context("no sample size")?;
            let own_flags = field(flags & 0x400 != 0)?;
            field(flags & 0x800 != 0)?;
            ensure!(sample_size > 0, "an empty sample");
            duration += u64::from(sample_duration);
            size += sample_size as usize;
            if samples == 0 && index == 0 {
                let flags = own_flags.or(first_flags).or(default_flags).unwrap_or(0);
                sync = Some(flags & 0x1_0000 == 0);
            }
        }
        samples += count;
    }
    ensure!(samples > 0, "a fragment without samples");
    ensure!(size == mdat_len, "samples take {size} bytes, mdat has {mdat_len}");
    Ok(Fragment {
        sequences: vec![sequence],
        decode_time,
        duration,
        samples,
        starts_with_sync: sync == Some(true),
    })
}

type Box4<'a> = ([u8; 4], &'a [u8]);

fn children(mut data: &[u8]) -> Result<Vec<Box4<'_>>> {
    let mut all = Vec::new();
    while !data.is_empty() {
        let size = be32(data, 0)? as usize;
        let kind: [u8; 4] = data.get(4..8).context("a box header is cut off")?.try_into()?;
        ensure!(size >= 8 && size <= data.len(), "box {:?} has size {size}", String::from_utf8_lossy(&kind));
        let (this, rest) = data.split_at(size);
        all.push((kind, this.get(8..).unwrap_or_default()));
        data = rest;
    }
    Ok(all)
}

fn find<'a>(boxes: &[Box4<'a>], kind: &[u8; 4]) -> Result<&'a [u8]> {
    let found = boxes.iter().find(|(other, _)| other == kind);
    Ok(found.with_context(|| format!("no {} box", String::from_utf8_lossy(kind)))?.1)
}

fn be32(data: &[u8], at: usize) -> Result<u32> {
    let bytes = data.get(at..at + 4).context("a box is too short")?;
    Ok(u32::from_be_bytes(bytes.try_into()?))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// One second of 25 pictures, as FFmpeg's muxer writes it.
    fn ffmpeg_fragment() -> Vec<u8> {
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=64x36:rate=25", "-t", "1"])
            .args(["-c:v", "libx264", "-g", "25", "-video_track_timescale", "90000", "-f", "mp4"])
            .args(["-movflags", "+frag_keyframe+empty_moov+default_base_moof+skip_trailer", "pipe:1"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    #[test]
    fn boxes_that_ffmpeg_wrote_are_understood() {
        let file = ffmpeg_fragment();
        let at = file.windows(4).position(|kind| kind == b"moof").unwrap() - 4;
        let (head, media) = file.split_at(at);
        let init = Init::parse(head).unwrap();
        assert_eq!(init, Init { track: 1, timescale: 90_000, video: true });
        let fragment = Fragment::parse(media, &init).unwrap();
        assert_eq!((fragment.samples, fragment.duration, fragment.decode_time), (25, 90_000, 0));
        assert!(fragment.starts_with_sync);

        assert!(Fragment::parse(&media[..media.len() - 1], &init).is_err(), "cut off");
        let other = Init { track: 2, ..init };
        assert!(Fragment::parse(media, &other).is_err(), "another track");
        assert!(Init::parse(media).is_err(), "media is no init section");
    }
}
