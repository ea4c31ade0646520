//! The sequence header (AV1 §5.5): profile, level, size, frame rate and colour.

use crate::Result;
use crate::codec::bits::Bits;
use crate::codec::rate;

/// What a sequence header says about its frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sequence {
    profile: u8,
    level: u8,
    high_tier: bool,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) frame_rate: FrameRate,
    colour: Colour,
}

type FrameRate = Option<(u32, u32)>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Colour {
    high_depth: bool,
    twelve_bit: bool,
    monochrome: bool,
    subsampling: (bool, bool),
    sample_position: u8,
    /// Primaries, transfer and matrix (ISO/IEC 23091-2), when they are said.
    description: Option<[u8; 3]>,
    full_range: bool,
}

impl Sequence {
    /// Reads the payload of a sequence header unit.
    pub(super) fn parse(payload: &[u8]) -> Result<Self> {
        let bits = &mut Bits::new("AV1 sequence header", payload);
        let profile = bits.byte(3)?;
        if profile > 2 {
            return Err(bits.malformed("the profile is reserved"));
        }
        bits.skip(1)?; // still_picture
        let reduced = bits.bit()?;
        let (frame_rate, level, high_tier) =
            if reduced { (None, bits.byte(5)?, false) } else { timing_and_level(bits)? };
        let (width_bits, height_bits) = (bits.bits(4)?.saturating_add(1), bits.bits(4)?.saturating_add(1));
        let width = bits.bits(width_bits)?.saturating_add(1);
        let height = bits.bits(height_bits)?.saturating_add(1);
        if !reduced && bits.bit()? {
            bits.skip(7)?; // lengths of frame ids
        }
        bits.skip(3)?; // 128x128 superblocks, filter intra, intra edge filter
        if !reduced {
            skip_inter_tools(bits)?;
        }
        bits.skip(3)?; // superres, CDEF, restoration
        let colour = Colour::parse(bits, profile)?;
        Ok(Self { profile, level, high_tier, width, height, frame_rate, colour })
    }

    /// Bytes two to four of a configuration record.
    pub(super) fn record_fields(&self) -> [u8; 3] {
        let Colour { high_depth, twelve_bit, monochrome, subsampling: (across, down), .. } = self.colour;
        let flag = |set: bool, bit: u8| u8::from(set) << bit;
        let format = flag(high_depth, 6)
            | flag(twelve_bit, 5)
            | flag(monochrome, 4)
            | flag(across, 3)
            | flag(down, 2)
            | self.colour.sample_position;
        // No initial presentation delay is stated.
        [self.profile << 5 | self.level, flag(self.high_tier, 7) | format, 0]
    }

    /// Short where the rest is what a player takes for granted: 4:2:0, BT.709 or unsaid, limited range.
    pub(super) fn codec_string(&self) -> String {
        let tier = if self.high_tier { 'H' } else { 'M' };
        let Colour { monochrome, subsampling: (across, down), sample_position, .. } = self.colour;
        let name = format!("av01.{}.{:02}{tier}.{:02}", self.profile, self.level, self.colour.depth());
        let usual = !monochrome && (across, down) == (true, true) && !self.colour.full_range;
        if usual && self.colour.description.is_none_or(|described| described == BT_709) {
            return name;
        }
        let [primaries, transfer, matrix] = self.colour.description.unwrap_or(BT_709);
        let position = if across && down { sample_position } else { 0 };
        format!(
            "{name}.{}.{}{}{position}.{primaries:02}.{transfer:02}.{matrix:02}.{}",
            u8::from(monochrome),
            u8::from(across),
            u8::from(down),
            u8::from(self.colour.full_range)
        )
    }
}

impl Colour {
    /// §5.5.2.
    fn parse(bits: &mut Bits<'_>, profile: u8) -> Result<Self> {
        let high_depth = bits.bit()?;
        let twelve_bit = profile == 2 && high_depth && bits.bit()?;
        let monochrome = profile != 1 && bits.bit()?;
        let description =
            if bits.bit()? { Some([bits.byte(8)?, bits.byte(8)?, bits.byte(8)?]) } else { None };
        let (full_range, subsampling) = if monochrome {
            (bits.bit()?, (true, true))
        } else if description == Some(SRGB) {
            (true, (false, false))
        } else {
            let full_range = bits.bit()?;
            let subsampling = match profile {
                0 => (true, true),
                1 => (false, false),
                _ if twelve_bit => {
                    let across = bits.bit()?;
                    (across, across && bits.bit()?)
                }
                _ => (true, false),
            };
            (full_range, subsampling)
        };
        let sample_position = if !monochrome && subsampling == (true, true) { bits.byte(2)? } else { 0 };
        Ok(Self { high_depth, twelve_bit, monochrome, subsampling, sample_position, description, full_range })
    }

    fn depth(&self) -> u8 {
        match (self.high_depth, self.twelve_bit) {
            (false, _) => 8,
            (true, false) => 10,
            (true, true) => 12,
        }
    }
}

/// Frame rate, and the level and tier of the first operating point, which is all of the stream.
fn timing_and_level(bits: &mut Bits<'_>) -> Result<(FrameRate, u8, bool)> {
    let mut frame_rate = None;
    let mut delay_bits = None;
    if bits.bit()? {
        let ticks = bits.bits(32)?;
        let scale = bits.bits(32)?;
        if bits.bit()? {
            // num_ticks_per_picture_minus_1, whose code is H.264's.
            let per_picture = bits.ue()?.saturating_add(1);
            frame_rate = ticks.checked_mul(per_picture).and_then(|ticks| rate::reduced(scale, ticks));
        }
        if bits.bit()? {
            delay_bits = Some(bits.bits(5)?.saturating_add(1));
            bits.skip(32 + 5 + 5)?;
        }
    }
    let delays_present = bits.bit()?;
    let points = bits.bits(5)?.saturating_add(1);
    let mut first = None;
    for _ in 0..points {
        bits.skip(12)?; // operating_point_idc
        let level = bits.byte(5)?;
        let high_tier = level > 7 && bits.bit()?;
        first.get_or_insert((level, high_tier));
        if let Some(delay) = delay_bits {
            let model = bits.bit()?;
            bits.skip(if model { delay.saturating_mul(2).saturating_add(1) } else { 0 })?;
        }
        if delays_present {
            let delay = bits.bit()?;
            bits.skip(if delay { 4 } else { 0 })?;
        }
    }
    let (level, high_tier) = first.unwrap_or_default();
    Ok((frame_rate, level, high_tier))
}

fn skip_inter_tools(bits: &mut Bits<'_>) -> Result<()> {
    bits.skip(4)?; // interintra, masked, warped motion, dual filter
    let order_hint = bits.bit()?;
    if order_hint {
        bits.skip(2)?; // joint compound, reference motion vectors
    }
    // Chosen per frame, or forced on or off.
    let screen_content = bits.bit()? || bits.bit()?;
    if screen_content && !bits.bit()? {
        bits.skip(1)?; // seq_force_integer_mv
    }
    if order_hint {
        bits.skip(3)?;
    }
    Ok(())
}

const BT_709: [u8; 3] = [1, 1, 1];
/// BT.709 primaries, sRGB transfer, identity matrix.
const SRGB: [u8; 3] = [1, 13, 0];
