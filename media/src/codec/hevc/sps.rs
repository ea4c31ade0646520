//! The sequence parameter set (ITU-T H.265 §7.3.2.2) as far as size, format and frame rate need it.

use crate::Result;
use crate::codec::bits::{Bits, without_emulation_prevention};
use crate::codec::rate;

/// What a sequence parameter set says about its pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sps {
    /// Profile space to general_level_idc, as a configuration record has them.
    pub(super) profile_tier_level: [u8; 12],
    /// Temporal layers: 1 to 7.
    pub(super) layers: u8,
    pub(super) temporal_nesting: bool,
    pub(super) chroma_format: u8,
    pub(super) luma_depth_minus_8: u8,
    pub(super) chroma_depth_minus_8: u8,
    /// After cropping.
    pub(super) width: u32,
    /// After cropping.
    pub(super) height: u32,
    pub(super) frame_rate: Option<(u32, u32)>,
}

impl Sps {
    /// Reads a NAL unit, its header included.
    pub(super) fn parse(unit: &[u8]) -> Result<Self> {
        let payload = without_emulation_prevention(unit);
        let bits = &mut Bits::new("HEVC sequence parameter set", &payload);
        if super::kind(bits.byte(8)?) != super::SPS {
            return Err(bits.malformed("the NAL unit is of another type"));
        }
        bits.skip(8 + 4)?; // layer and temporal id, sps_video_parameter_set_id
        let layers = bits.byte(3)?.saturating_add(1);
        if layers > 7 {
            return Err(bits.malformed("there are too many temporal layers"));
        }
        let temporal_nesting = bits.bit()?;
        let profile_tier_level = profile_tier_level(bits, layers)?;
        bits.ue()?; // sps_seq_parameter_set_id
        let chroma_format = small(bits, 3, "chroma_format_idc is out of range")?;
        let separate_planes = chroma_format == 3 && bits.bit()?;
        let (width, height) = size(bits, if separate_planes { 0 } else { chroma_format })?;
        let luma_depth_minus_8 = small(bits, 8, "the luma bit depth is out of range")?;
        let chroma_depth_minus_8 = small(bits, 8, "the chroma bit depth is out of range")?;
        if luma_depth_minus_8.max(chroma_depth_minus_8) > 7 {
            // The record has three bits for it.
            return Err(bits.malformed("16 bits a sample are more than a record can say"));
        }
        // Damage behind the format costs us the frame rate, not the track.
        let frame_rate = frame_rate(bits, layers).unwrap_or(None);
        Ok(Self {
            profile_tier_level,
            layers,
            temporal_nesting,
            chroma_format,
            luma_depth_minus_8,
            chroma_depth_minus_8,
            width,
            height,
            frame_rate,
        })
    }
}

/// The general part, and past the rest (§7.3.3).
fn profile_tier_level(bits: &mut Bits<'_>, layers: u8) -> Result<[u8; 12]> {
    let mut general = [0; 12];
    for byte in &mut general {
        *byte = bits.byte(8)?;
    }
    let below = layers.saturating_sub(1);
    let mut present = Vec::new();
    for _ in 0..below {
        present.push((bits.bit()?, bits.bit()?));
    }
    if below > 0 {
        bits.skip(u32::from(8_u8.saturating_sub(below)).saturating_mul(2))?;
    }
    for (profile, level) in present {
        bits.skip(if profile { 88 } else { 0 })?;
        bits.skip(if level { 8 } else { 0 })?;
    }
    Ok(general)
}

/// Width and height within the conformance window.
fn size(bits: &mut Bits<'_>, chroma_format: u8) -> Result<(u32, u32)> {
    let (width, height) = (bits.ue()?, bits.ue()?);
    if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
        return Err(bits.malformed("the picture is larger than any level allows, or empty"));
    }
    if !bits.bit()? {
        return Ok((width, height));
    }
    let [left, right, top, bottom] = [bits.ue()?, bits.ue()?, bits.ue()?, bits.ue()?];
    let (across, down) = match chroma_format {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let cropped = |side: u32, first: u32, second: u32, unit: u32| {
        side.checked_sub(first.saturating_add(second).saturating_mul(unit)).filter(|left| *left > 0)
    };
    cropped(width, left, right, across)
        .zip(cropped(height, top, bottom, down))
        .ok_or_else(|| bits.malformed("cropping leaves no picture"))
}

/// Reads on from behind the bit depths to the timing of the video usability information (annex E).
fn frame_rate(bits: &mut Bits<'_>, layers: u8) -> Result<Option<(u32, u32)>> {
    let order_bits = bits.ue()?.saturating_add(4);
    let orders = if bits.bit()? { layers } else { 1 };
    for _ in 0..orders {
        skip_ue(bits, 3)?;
    }
    skip_ue(bits, 6)?; // block sizes, transform depths
    if bits.bit()? && bits.bit()? {
        skip_scaling_lists(bits)?;
    }
    bits.skip(2)?; // amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if bits.bit()? {
        bits.skip(8)?; // PCM bit depths
        skip_ue(bits, 2)?;
        bits.skip(1)?;
    }
    skip_reference_sets(bits)?;
    if bits.bit()? {
        let count = bounded(bits, 32, "there are too many long-term pictures")?;
        bits.skip(count.saturating_mul(order_bits.min(16).saturating_add(1)))?;
    }
    bits.skip(2)?; // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
    if !bits.bit()? {
        return Ok(None);
    }
    if bits.bit()? && bits.byte(8)? == EXTENDED_ASPECT_RATIO {
        bits.skip(32)?;
    }
    if bits.bit()? {
        bits.skip(1)?; // overscan_appropriate_flag
    }
    if bits.bit()? {
        bits.skip(4)?; // video_format, video_full_range_flag
        if bits.bit()? {
            bits.skip(24)?; // colour description
        }
    }
    if bits.bit()? {
        skip_ue(bits, 2)?; // chroma sample locations
    }
    bits.skip(3)?; // neutral chroma, fields, frame and field information
    if bits.bit()? {
        skip_ue(bits, 4)?; // default display window
    }
    if !bits.bit()? {
        return Ok(None);
    }
    let ticks = bits.bits(32)?;
    let scale = bits.bits(32)?;
    // Unlike in H.264, a tick is a picture.
    Ok(rate::reduced(scale, ticks))
}

/// §7.3.4.
fn skip_scaling_lists(bits: &mut Bits<'_>) -> Result<()> {
    for size in 0..4 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !bits.bit()? {
                bits.ue()?; // scaling_list_pred_matrix_id_delta
                continue;
            }
            // The larger two have one more in front, for the mean.
            skip_ue(bits, [16, 64, 65].get(size).copied().unwrap_or(65))?;
        }
    }
    Ok(())
}

/// The short-term reference picture sets (§7.3.7); each may be told by the one before it.
fn skip_reference_sets(bits: &mut Bits<'_>) -> Result<()> {
    let sets = bounded(bits, 64, "there are too many reference picture sets")?;
    let mut pictures = 0_u32;
    for set in 0..sets {
        if set > 0 && bits.bit()? {
            bits.skip(1)?; // delta_rps_sign
            bits.ue()?; // abs_delta_rps_minus1
            let mut kept = 0_u32;
            for _ in 0..=pictures {
                // used_by_curr_pic_flag, or else use_delta_flag
                if bits.bit()? || bits.bit()? {
                    kept = kept.saturating_add(1);
                }
            }
            pictures = kept;
            continue;
        }
        let before = bounded(bits, 16, "a reference picture set is too long")?;
        let after = bounded(bits, 16, "a reference picture set is too long")?;
        pictures = before.saturating_add(after);
        for _ in 0..pictures {
            bits.ue()?;
            bits.skip(1)?;
        }
    }
    Ok(())
}

fn skip_ue(bits: &mut Bits<'_>, count: u32) -> Result<()> {
    for _ in 0..count {
        bits.ue()?;
    }
    Ok(())
}

fn bounded(bits: &mut Bits<'_>, max: u32, problem: &'static str) -> Result<u32> {
    let value = bits.ue()?;
    if value > max { Err(bits.malformed(problem)) } else { Ok(value) }
}

fn small(bits: &mut Bits<'_>, max: u8, problem: &'static str) -> Result<u8> {
    let value = bits.ue()?;
    u8::try_from(value).ok().filter(|value| *value <= max).ok_or_else(|| bits.malformed(problem))
}

const EXTENDED_ASPECT_RATIO: u8 = 255;
/// Level 6.2 ends at 16 888 luma samples; nothing that plays is near.
const MAX_SIDE: u32 = 16_888;
