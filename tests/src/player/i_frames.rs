//! Keyframe lists (RFC 8216bis section 4.4.3.6): every range must be one picture that decodes by itself.

use anyhow::{Context as _, Result, ensure};

use super::playlist::Media;
use super::{PLAYLIST_TYPE, follow, resolve};
use crate::client::Client;
use crate::player::Findings;

/// One listed keyframe.
#[derive(Debug)]
pub struct Keyframe {
    pub msn: u64,
    /// The initialization section and the range: what a decoder gets.
    pub media: Vec<u8>,
}

/// Reads a list of keyframes, checks it strictly and fetches the newest `count` of them.
pub async fn keyframes(client: &Client, path: &str, count: usize) -> Result<Vec<Keyframe>> {
    let reply = client.get(path).await?.expect(200)?;
    let list = Media::parse(reply.text()?).with_context(|| format!("reading {path}"))?;
    let mut findings = Findings::default();
    findings.about(path);
    follow::check_headers(&reply, PLAYLIST_TYPE, &mut findings);
    check(&list, &mut findings);
    ensure!(findings.is_empty(), "the list of keyframes breaks rules:\n{findings}{}", reply.text()?);

    // The next one is announced by nothing, and waited for.
    let next = format!("{path}?_HLS_msn={}", list.growing_msn());
    let later = Media::parse(client.get(&next).await?.expect(200)?.text()?)?;
    ensure!(later.growing_msn() > list.growing_msn(), "{next} was answered early");

    let map = resolve(path, list.map.as_deref().context("no EXT-X-MAP")?);
    let init = client.get(&map).await?.expect(200)?.body;
    let mut keyframes = Vec::new();
    for segment in later.segments.iter().filter(|segment| !segment.gap).rev().take(count) {
        let (offset, length) =
            segment.range.with_context(|| format!("keyframe {} has no range", segment.msn))?;
        let uri = resolve(path, &segment.uri);
        let range = format!("bytes={offset}-{}", offset + length - 1);
        let reply = client.send(http::Method::GET, &uri, &[("range", &range)], bytes::Bytes::new()).await?;
        let reply = reply.expect(206)?;
        ensure!(reply.body.len() as u64 == length, "{uri}: {} bytes of {length}", reply.body.len());
        ensure!(reply.body.get(4..8) == Some(b"moof"), "{uri}: {range} does not begin with a fragment");
        keyframes.push(Keyframe { msn: segment.msn, media: [&init[..], &reply.body].concat() });
    }
    Ok(keyframes)
}

fn check(list: &Media, findings: &mut Findings) {
    findings.check(list.i_frames_only, || "no EXT-X-I-FRAMES-ONLY".into());
    findings.check(list.version >= 5, || format!("EXT-X-VERSION is {}, EXT-X-MAP needs 5", list.version));
    findings.check(list.part_target.is_none() && list.hint.is_none(), || "keyframes have no parts".into());
    findings.check(list.control.can_block_reload, || "no CAN-BLOCK-RELOAD=YES".into());
    for segment in &list.segments {
        let msn = segment.msn;
        findings.check(segment.gap != segment.range.is_some(), || {
            format!("keyframe {msn} has no range and no gap")
        });
        findings.check(segment.date.is_some(), || format!("keyframe {msn} has no date"));
        findings.check(segment.parts.is_empty(), || format!("keyframe {msn} has parts"));
    }
}
