//! Bars, as SVG that is legible on white and on black.
//!
//! In: groups of named numbers, each with the floor that no number can be below. Out: a picture of its own, without a script or a font: it follows the reader's colour scheme. Each
//! group has a scale of its own, since a batch of 10,000 samples would leave nothing to see of one of 500.

use std::collections::BTreeMap;
use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const LABELS: f64 = 190.0;
/// Behind it there is room for its number.
const LONGEST: f64 = WIDTH - LABELS - 70.0;
const ROW: f64 = 22.0;
const HEAD: f64 = 34.0;

const STYLE: &str = "
text { font: 13px sans-serif; fill: #1f2328; }
.title { font-size: 15px; font-weight: 600; }
.group { font-weight: 600; }
.ours { fill: #1a7f37; } .signs { fill: #0969da; } .unsigned { fill: #8c959f; } .floor { fill: #cf222e; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .ours { fill: #3fb950; } .signs { fill: #4493f8; } .unsigned { fill: #6e7681; } .floor { fill: #ff7b72; }
}
";

/// Bars of one scale.
pub(super) struct Group {
    pub(super) title: String,
    /// Marked across the bars; not where it is no number.
    pub(super) floor: f64,
    pub(super) bars: Vec<(String, f64)>,
}

/// A bar for each number, by group.
pub(super) fn bars(title: &str, groups: &[Group], signs: &BTreeMap<String, bool>) -> String {
    let rows: usize = groups.iter().map(|group| group.bars.len()).sum();
    let height = 2.0 * HEAD + HEAD * groups.len() as f64 + ROW * rows as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">\
         \n<style>{STYLE}</style>\n<text class=\"title\" x=\"8\" y=\"22\">{title}</text>\n"
    );
    let mut legend = 8.0;
    for (class, words) in [
        ("ours", "amp-sidecar, signs"),
        ("signs", "signs"),
        ("unsigned", "forwards unsigned"),
        ("floor", "floor: receive, hash, sign, encrypt, send"),
    ] {
        put(
            &mut svg,
            &format!(
                "<rect class=\"{class}\" x=\"{legend}\" y=\"36\" width=\"12\" height=\"12\"/>\
             <text x=\"{}\" y=\"47\">{words}</text>\n",
                legend + 18.0
            ),
        );
        legend += 150.0;
    }
    let mut y = 2.0 * HEAD;
    for Group { title, floor, bars } in groups {
        put(
            &mut svg,
            &format!(
                "<text class=\"group\" x=\"8\" y=\"{}\">{title}</text>\n",
                y + 20.0
            ),
        );
        y += HEAD;
        let top = y;
        let most = bars
            .iter()
            .map(|(_, value)| *value)
            .fold(f64::MIN_POSITIVE, f64::max);
        for (name, value) in bars {
            let width = LONGEST * value / most;
            let class = match signs.get(name) {
                _ if name.starts_with("amp-sidecar") => "ours",
                Some(true) => "signs",
                _ => "unsigned",
            };
            put(
                &mut svg,
                &format!(
                    "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text><rect class=\"{class}\" x=\"{LABELS}\" y=\"{y}\" \
                 width=\"{width:.1}\" height=\"{}\" rx=\"2\"/><text x=\"{:.1}\" y=\"{}\">{value:.3}</text>\n",
                    LABELS - 8.0,
                    y + 14.0,
                    ROW - 5.0,
                    LABELS + width + 6.0,
                    y + 14.0,
                ),
            );
            y += ROW;
        }
        if floor.is_finite() {
            let x = LABELS + LONGEST * floor / most;
            let (top, height) = (top - 3.0, y - top + 1.0);
            put(
                &mut svg,
                &format!(
                    "<rect class=\"floor\" x=\"{x:.1}\" y=\"{top}\" width=\"2\" height=\"{height}\"/>\n"
                ),
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Writing into a string cannot fail.
fn put(svg: &mut String, more: &str) {
    let _written = svg.write_str(more);
}
