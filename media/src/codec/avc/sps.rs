//! The sequence parameter set (ITU-T H.264 §7.3.2.1.1) as far as size, format and frame rate need it.

use super::Fields;
use crate::Result;
use crate::codec::bits::{Bits, without_emulation_prevention};
use crate::codec::rate;

/// What a sequence parameter set says about its pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sps {
    pub(super) profile: u8,
    pub(super) constraints: u8,
    pub(super) level: u8,
    pub(super) chroma_format: u8,
    pub(super) luma_depth_minus_8: u8,
    pub(super) chroma_depth_minus_8: u8,
    /// After cropping.
    pub(super) width: u32,
    /// After cropping.
    pub(super) height: u32,
    pub(super) frame_rate: Option<(u32, u32)>,
    /// How slice heads tell fields; `None` where every picture is a frame.
    pub(super) fields: Option<Fields>,
}

impl Sps {
    /// Reads a NAL unit, its header byte included.
    pub(super) fn parse(unit: &[u8]) -> Result<Self> {
        let payload = without_emulation_prevention(unit);
        let bits = &mut Bits::new("H.264 sequence parameter set", &payload);
        if bits.byte(8)? & 0x1f != super::SPS {
            return Err(bits.malformed("the NAL unit is of another type"));
        }
        let profile = bits.byte(8)?;
        let constraints = bits.byte(8)?;
        let level = bits.byte(8)?;
        bits.ue()?; // seq_parameter_set_id
        let format = if has_chroma_format(profile) { Format::parse(bits)? } else { Format::YUV420 };
        let number_bits = small(bits, 12, "log2_max_frame_num_minus4 is out of range")?.saturating_add(4);
        skip_picture_order(bits)?;
        bits.ue()?; // max_num_ref_frames
        bits.skip(1)?; // gaps_in_frame_num_value_allowed_flag
        let (width, height, frames_only) = size(bits, &format)?;
        let fields =
            (!frames_only).then_some(Fields { number_bits, separate_planes: format.separate_planes });
        // Damage in the optional end costs us the frame rate, not the track.
        let frame_rate = vui_frame_rate(bits).unwrap_or(None);
        Ok(Self {
            profile,
            constraints,
            level,
            chroma_format: format.chroma,
            luma_depth_minus_8: format.luma_depth_minus_8,
            chroma_depth_minus_8: format.chroma_depth_minus_8,
            width,
            height,
            frame_rate,
            fields,
        })
    }
}

/// How samples are laid out.
struct Format {
    chroma: u8,
    separate_planes: bool,
    luma_depth_minus_8: u8,
    chroma_depth_minus_8: u8,
}

impl Format {
    const YUV420: Self =
        Self { chroma: 1, separate_planes: false, luma_depth_minus_8: 0, chroma_depth_minus_8: 0 };

    fn parse(bits: &mut Bits<'_>) -> Result<Self> {
        let chroma = small(bits, 3, "chroma_format_idc is out of range")?;
        let separate_planes = chroma == 3 && bits.bit()?;
        let luma_depth_minus_8 = small(bits, 6, "the luma bit depth is out of range")?;
        let chroma_depth_minus_8 = small(bits, 6, "the chroma bit depth is out of range")?;
        bits.skip(1)?; // qpprime_y_zero_transform_bypass_flag
        if bits.bit()? {
            let lists = if chroma == 3 { 12 } else { 8 };
            for list in 0..lists {
                if bits.bit()? {
                    skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
        Ok(Self { chroma, separate_planes, luma_depth_minus_8, chroma_depth_minus_8 })
    }

    /// Luma samples per unit of cropping, across and down, of one frame or field (table 6-1).
    fn crop_unit(&self) -> (u32, u32) {
        match self.chroma {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        }
    }
}

fn small(bits: &mut Bits<'_>, max: u8, problem: &'static str) -> Result<u8> {
    let value = bits.ue()?;
    u8::try_from(value).ok().filter(|value| *value <= max).ok_or_else(|| bits.malformed(problem))
}

fn skip_scaling_list(bits: &mut Bits<'_>, size: u32) -> Result<()> {
    let (mut last, mut next) = (8_i64, 8_i64);
    for _ in 0..size {
        if next != 0 {
            next = last.wrapping_add(bits.se()?) & 0xff;
        }
        last = if next == 0 { last } else { next };
    }
    Ok(())
}

fn skip_picture_order(bits: &mut Bits<'_>) -> Result<()> {
    match bits.ue()? {
        0 => {
            bits.ue()?; // log2_max_pic_order_cnt_lsb_minus4
        }
        1 => {
            bits.skip(1)?; // delta_pic_order_always_zero_flag
            bits.se()?; // offset_for_non_ref_pic
            bits.se()?; // offset_for_top_to_bottom_field
            let cycle = bits.ue()?;
            if cycle > 255 {
                return Err(bits.malformed("the picture order cycle is too long"));
            }
            for _ in 0..cycle {
                bits.se()?;
            }
        }
        2 => {}
        _ => return Err(bits.malformed("pic_order_cnt_type is out of range")),
    }
    Ok(())
}

/// Width and height of the cropped frame (§7.4.2.1.1), and whether there are frames alone, no fields.
fn size(bits: &mut Bits<'_>, format: &Format) -> Result<(u32, u32, bool)> {
    let columns = bits.ue()?.saturating_add(1);
    let map_units = bits.ue()?.saturating_add(1);
    let frames_only = bits.bit()?;
    if !frames_only {
        bits.skip(1)?; // mb_adaptive_frame_field_flag
    }
    bits.skip(1)?; // direct_8x8_inference_flag
    let fields: u32 = if frames_only { 1 } else { 2 };
    let width = columns.saturating_mul(16);
    let height = map_units.saturating_mul(fields).saturating_mul(16);
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(bits.malformed("the picture is larger than any level allows"));
    }
    if !bits.bit()? {
        return Ok((width, height, frames_only));
    }
    let [left, right, top, bottom] = [bits.ue()?, bits.ue()?, bits.ue()?, bits.ue()?];
    let (across, down) = if format.separate_planes { (1, 1) } else { format.crop_unit() };
    let cropped = |side: u32, first: u32, second: u32, unit: u32| {
        side.checked_sub(first.saturating_add(second).saturating_mul(unit)).filter(|left| *left > 0)
    };
    cropped(width, left, right, across)
        .zip(cropped(height, top, bottom, down.saturating_mul(fields)))
        .map(|(width, height)| (width, height, frames_only))
        .ok_or_else(|| bits.malformed("cropping leaves no picture"))
}

/// The frame rate of the video usability information (annex E), when it has one that can be true.
fn vui_frame_rate(bits: &mut Bits<'_>) -> Result<Option<(u32, u32)>> {
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
        bits.ue()?; // chroma sample locations
        bits.ue()?;
    }
    if !bits.bit()? {
        return Ok(None);
    }
    let tick = bits.bits(32)?;
    let scale = bits.bits(32)?;
    // A tick is a field: two of them make a frame (E.2.1).
    Ok(tick.checked_mul(2).and_then(|ticks| rate::reduced(scale, ticks)))
}

/// Profiles whose parameter sets carry chroma format, bit depth and scaling lists (§7.3.2.1.1).
fn has_chroma_format(profile: u8) -> bool {
    matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135)
}

const EXTENDED_ASPECT_RATIO: u8 = 255;
/// Level 6.2 ends at 16 864 luma samples; nothing that plays is near.
const MAX_SIDE: u32 = 16_880;
