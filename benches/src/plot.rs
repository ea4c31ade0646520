//! A plot of ratios: a bar for each row on a logarithmic scale, and where it has to reach.

use std::fmt::Write as _;

use crate::report::Row;

/// An SVG of the rows that were compared with something; `None` when there is none.
pub fn ratios(rows: &[Row]) -> Option<String> {
    let compared: Vec<_> = rows.iter().filter_map(|row| Some((row, row.ratio?))).collect();
    let values = || compared.iter().flat_map(|(row, ratio)| [Some(*ratio), row.at_least]).flatten();
    let (low, high) =
        values().fold((0.5, 2.0), |(low, high): (f64, f64), value| (low.min(value), high.max(value)));
    if compared.is_empty() || !(low > 0.0 && high.is_finite()) {
        return None;
    }
    let x = |value: f64| LABELS + BARS * (value / low).ln() / (high / low).ln();
    let height = TOP + ROW * compared.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    for tick in [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0] {
        if tick < low || tick > high {
            continue;
        }
        let (x, colour) = (x(tick), if tick == 1.0 { "#000" } else { "#ccc" });
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"20\" x2=\"{x:.1}\" y2=\"{height}\" stroke=\"{colour}\"/>\
             <text x=\"{x:.1}\" y=\"14\" text-anchor=\"middle\">{tick}x</text>"
        );
    }
    for (index, (row, ratio)) in compared.iter().enumerate() {
        let y = TOP + ROW * index as f64;
        let peer = row.peer.as_deref().unwrap_or_default();
        let reached = row.at_least.is_none_or(|least| *ratio >= least);
        let (from, to) = (x(ratio.min(1.0)), x(ratio.max(1.0)));
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"12\" fill=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{ratio:.2}</text>",
            LABELS - 8.0,
            y + 11.0,
            escaped(&format!("{} / {peer}", row.measure)),
            (to - from).max(1.0),
            if reached { "#3a7" } else { "#c44" },
            to + 4.0,
            y + 11.0,
        );
        if let Some(least) = row.at_least {
            let (x, bottom) = (x(least), y + 14.0);
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" stroke=\"#36c\" \
                 stroke-width=\"3\"><title>at least {least}</title></line>",
                y - 2.0
            );
        }
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Units of the picture: the text on the left, the bars, room for a number on the right.
const LABELS: f64 = 470.0;
const BARS: f64 = 400.0;
const WIDTH: f64 = LABELS + BARS + 60.0;
const TOP: f64 = 28.0;
const ROW: f64 = 20.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Better;

    #[test]
    fn a_row_that_falls_short_is_red_and_one_without_a_peer_is_not_drawn() {
        let row = || Row::of("a & b", "n", vec![1.0]);
        let rows = [
            row(),
            row().against("x", vec![2.0], Better::Higher, Some(1.0)),
            row().against("y", vec![0.5], Better::Higher, None),
        ];
        let svg = ratios(&rows).unwrap();
        assert_eq!((svg.matches("#c44").count(), svg.matches("#3a7").count()), (1, 1), "{svg}");
        assert!(svg.contains("a &amp; b / x"));
        assert_eq!(ratios(&[row()]), None);
    }
}
