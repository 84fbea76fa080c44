//! A picture of a terminal, as SVG, for the README.
//!
//! In: the text as a terminal gets it, with the colours of [`Tone`]. Out: an SVG that needs nothing from elsewhere.

use std::fmt::Write as _;

use super::paint::Tone;

/// Pixels of a character; monospaced fonts differ little.
const COLUMN: f64 = 8.5;
const LINE: usize = 19;
const MARGIN: usize = 16;
const NO_BREAK: &str = "\u{a0}";
const TONES: [(Tone, &str); 5] = [
    (Tone::Faint, "fill:#8b949e"),
    (Tone::Strong, "font-weight:bold"),
    (Tone::Good, "fill:#56d364"),
    (Tone::Warning, "fill:#e3b341"),
    (Tone::Bad, "fill:#ff7b72;font-weight:bold"),
];

/// The picture of the text.
pub(super) fn svg(text: &str) -> String {
    let lines: Vec<Vec<(&str, &str)>> = text.trim().lines().map(pieces).collect();
    let length = |line: &Vec<(&str, &str)>| line.iter().map(|(_, text)| text.chars().count()).sum();
    let columns: usize = lines.iter().map(length).max().unwrap_or_default();
    let width = (columns as f64 * COLUMN).ceil() as usize + 2 * MARGIN;
    let height = lines.len() * LINE + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#0d1117\"/>\n\
         <g font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace\" font-size=\"14\" \
         fill=\"#e6edf3\">\n"
    );
    for (number, line) in lines.iter().enumerate() {
        let y = MARGIN + (number + 1) * LINE - 5;
        let _written = write!(svg, "<text x=\"{MARGIN}\" y=\"{y}\">");
        for (style, text) in line {
            let text = escaped(text);
            let _written = match *style {
                "" => write!(svg, "{text}"),
                style => write!(svg, "<tspan style=\"{style}\">{text}</tspan>"),
            };
        }
        svg.push_str("</text>\n");
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

/// A line's texts, each with its style.
fn pieces(line: &str) -> Vec<(&'static str, &str)> {
    let coloured = |piece| {
        let (code, text) = str::split_once(piece, 'm').unwrap_or(("", piece));
        let style = TONES.iter().find(|(tone, _)| tone.code() == Some(code));
        (style.map_or("", |(_, style)| *style), text)
    };
    let mut pieces = line.split("\x1b[");
    let first = pieces.next().map(|text| ("", text));
    let all = first.into_iter().chain(pieces.map(coloured));
    all.filter(|(_, text)| !text.is_empty()).collect()
}

/// Plain spaces would be collapsed into one.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace(' ', NO_BREAK)
}

#[cfg(test)]
mod tests {
    use super::super::paint::Paint;
    use super::super::plan::Scene;
    use super::super::view::capitalised;
    use super::*;

    #[test]
    fn a_picture_has_the_words_and_colours_of_the_terminal() {
        let line = format!("a < b & {}, then", Paint::ALWAYS.text(Tone::Bad, "lost"));
        let picture = svg(&line).replace(NO_BREAK, " ");
        assert!(
            picture.contains(
                "a &lt; b &amp; <tspan style=\"fill:#ff7b72;font-weight:bold\">lost</tspan>, then"
            ),
            "{picture}"
        );
        assert!(!picture.contains('\x1b'));
        assert_eq!(svg(&line), svg(&format!("\n{line}\n")));
    }

    /// `demo --for 30s --picture docs/demo.svg` makes it.
    #[test]
    fn the_picture_in_the_docs_shows_the_scenes_of_today() {
        let picture = include_str!("../../../docs/demo.svg").replace(NO_BREAK, " ");
        for scene in Scene::ALL {
            for words in [scene.title().to_owned(), capitalised(scene.title())] {
                assert!(picture.contains(&words), "{words}");
            }
        }
        for words in ["struck", "sent", "stored", "nothing was lost", "Prometheus"] {
            assert!(picture.contains(words), "{words}");
        }
        assert!(!picture.contains("href") && picture.len() < 20_000);
    }
}
