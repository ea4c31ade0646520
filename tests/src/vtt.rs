//! Lists of pictures for seek bars, read strictly and by code of this crate alone (W3C WebVTT §4.1).

use anyhow::{Context as _, Result, ensure};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A list.
#[derive(Debug, Clone)]
pub struct Index {
    /// The date of time 0, in seconds since the Unix epoch.
    pub zero: f64,
    pub cues: Vec<Cue>,
}

/// A picture and its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Cue {
    /// Seconds.
    pub start: f64,
    pub end: f64,
    pub file: String,
    /// Left, top, width and height in pixels; without, all of it.
    pub area: Option<(u32, u32, u32, u32)>,
}

impl Index {
    /// Reads a list whose cues are in order and do not overlap.
    pub fn parse(text: &str) -> Result<Self> {
        let mut blocks = text.split("\n\n");
        ensure!(blocks.next() == Some("WEBVTT"), "it is no WebVTT:\n{text}");
        let (mut zero, mut cues) = (None, Vec::<Cue>::new());
        for block in blocks {
            if block.starts_with("NOTE\n") {
                ensure!(!block.contains("-->"), "an arrow in a note");
                let said = block.lines().find_map(|line| line.strip_prefix("X-PROGRAM-DATE-TIME:"));
                zero = said.map(date).transpose()?.or(zero);
                continue;
            }
            let cue = cue(block.trim_end_matches('\n')).with_context(|| format!("cue {block:?}"))?;
            ensure!(cue.start < cue.end, "{cue:?} ends before it begins");
            ensure!(cues.last().is_none_or(|last| last.end <= cue.start), "{cue:?} overlaps:\n{text}");
            cues.push(cue);
        }
        Ok(Self { zero: zero.context("no date")?, cues })
    }
}

/// Seconds since the Unix epoch.
pub fn date(text: &str) -> Result<f64> {
    let date = OffsetDateTime::parse(text, &Rfc3339).with_context(|| format!("{text} is no date"))?;
    Ok(date.unix_timestamp_nanos() as f64 / 1e9)
}

fn cue(block: &str) -> Result<Cue> {
    let (times, picture) = block.split_once('\n').context("two lines")?;
    ensure!(!picture.contains('\n'), "two lines");
    let (start, end) = times.split_once(" --> ").context("an arrow")?;
    let (file, area) = match picture.split_once("#xywh=") {
        None => (picture, None),
        Some((file, area)) => {
            let numbers: Vec<u32> = area.split(',').map(str::parse).collect::<Result<_, _>>()?;
            let [x, y, width, height] = numbers[..] else { anyhow::bail!("four numbers, not {area}") };
            (file, Some((x, y, width, height)))
        }
    };
    Ok(Cue { start: time(start)?, end: time(end)?, file: file.to_owned(), area })
}

fn time(text: &str) -> Result<f64> {
    let [hours, minutes, seconds] = text.split(':').collect::<Vec<_>>()[..] else {
        anyhow::bail!("{text} is no time")
    };
    ensure!(hours.len() >= 2 && minutes.len() == 2 && seconds.len() == 6, "{text} is no time");
    Ok(hours.parse::<f64>()? * 3600.0 + minutes.parse::<f64>()? * 60.0 + seconds.parse::<f64>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_list_says_is_read_and_what_is_none_is_refused() {
        let good = "WEBVTT\n\nNOTE\nX-PROGRAM-DATE-TIME:1970-01-01T00:00:01.500Z\n\n\
                    00:00:00.000 --> 00:00:10.000\nsheet.0.jpg#xywh=1,2,3,4\n\n01:00:00.500 --> 01:00:01.000\n7.jpg\n";
        let index = Index::parse(good).unwrap();
        assert_eq!((index.zero, index.cues.len()), (1.5, 2));
        assert_eq!(index.cues[0].area, Some((1, 2, 3, 4)));
        assert_eq!((index.cues[1].start, index.cues[1].file.as_str()), (3600.5, "7.jpg"));
        for (right, wrong) in
            [("WEBVTT", "VTT"), (" --> 0", "-->0"), ("3,4", "3"), ("X-PROGRAM", "X"), ("10.000", "00.000")]
        {
            assert!(Index::parse(&good.replacen(right, wrong, 1)).is_err(), "{right}");
        }
    }
}
