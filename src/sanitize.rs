//! Makes text from a peer safe to show in a log, a response or a page.

/// Maximum length in bytes.
const LONGEST: usize = 1024;

/// One line of at most 1 KiB without control characters, and without those that reorder the text around them; truncation is marked with `…`.
#[must_use]
pub fn sanitize(text: &str) -> String {
    sanitize_within(text, LONGEST)
}

/// Like [`sanitize`], with at most `longest` bytes.
#[must_use]
pub fn sanitize_within(text: &str, longest: usize) -> String {
    let text = text.trim();
    // As almost all of it is.
    if text.len() <= longest && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut line = String::with_capacity(text.len().min(longest + 4));
    for c in text.chars() {
        if line.len() + c.len_utf8() > longest {
            line.push('…');
            break;
        }
        line.push(if breaks_or_reorders(c) { ' ' } else { c });
    }
    line
}

/// Control characters, Unicode's line and paragraph separators and its bidirectional controls.
pub(crate) fn breaks_or_reorders(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::sanitize;

    #[test]
    fn sanitized_text_is_one_bounded_line() {
        assert_eq!(sanitize(" a\r\nX-Evil: b\u{1b}[31m "), "a  X-Evil: b [31m");
        assert_eq!(sanitize("ü\u{85}\u{7f}ü"), "ü  ü");
        assert_eq!(
            sanitize("up\u{202e}detcejer\u{2066}\u{2028}x\u{61c}\u{200f}."),
            "up detcejer  x  ."
        );
        let long = sanitize(&"ü".repeat(2000));
        assert!(long.len() <= 1024 + 3 && long.ends_with('…'));
    }
}
