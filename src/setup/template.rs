//! Fills templates, and quotes values for the target language.
//!
//! In: a template with placeholders `<<name>>`, and their values. Out: the text. A placeholder alone on its line takes a value of several lines,
//! each indented like the placeholder; an empty value removes the line. Inserted text is not scanned again, so no value can add a placeholder.
//!
//! Every value from outside goes through [`shell`], [`quoted`] or [`hcl`], although the reader rejects anything that would need it: two
//! safeguards, since people with many rights run the output. A template library would bring a language for what is one function here.

/// Fills the placeholders of a template; a test checks that none is left.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len() * 2);
    for line in template.lines() {
        let alone = line
            .trim()
            .strip_prefix("<<")
            .and_then(|rest| rest.strip_suffix(">>"))
            .and_then(|name| find(values, name));
        if let Some(value) = alone {
            let indent = line.len() - line.trim_start().len();
            for part in value.lines() {
                let indent = if part.is_empty() { 0 } else { indent };
                text.extend(std::iter::repeat_n(' ', indent));
                text.push_str(part);
                text.push('\n');
            }
        } else {
            fill_line(line, values, &mut text);
            text.push('\n');
        }
    }
    text
}

fn fill_line(mut line: &str, values: &[(&str, &str)], text: &mut String) {
    while let Some((before, rest)) = line.split_once("<<") {
        text.push_str(before);
        let filled = rest
            .split_once(">>")
            .and_then(|(name, after)| Some((find(values, name)?, after)));
        match filled {
            Some((value, after)) => {
                text.push_str(value);
                line = after;
            }
            None => {
                text.push_str("<<");
                line = rest;
            }
        }
    }
    text.push_str(line);
}

fn find<'a>(values: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    let (_, value) = values.iter().find(|(known, _)| *known == name)?;
    Some(value)
}

/// The template with or without the lines between `<<#name>>` and `<</name>>`, which stand on lines of their own.
pub(super) fn section(template: &str, name: &str, keep: bool) -> String {
    let (begin, end) = (format!("<<#{name}>>"), format!("<</{name}>>"));
    let mut inside = false;
    let mut text = String::with_capacity(template.len());
    for line in template.lines() {
        if line == begin || line == end {
            inside = line == begin;
        } else if keep || !inside {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// One word of a POSIX shell, whatever it contains; it may have several lines.
pub(super) fn shell(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// A JSON string, which is also a YAML string.
pub(super) fn quoted(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

/// An HCL string: JSON's, with `${` and `%{` escaped.
pub(super) fn hcl(value: &str) -> String {
    in_hcl(&quoted(value))
}

/// A JSON document as an HCL expression, which accepts JSON's objects and lists.
pub(super) fn in_hcl(json: &str) -> String {
    json.replace("${", "$${").replace("%{", "%%{")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_once_and_lines_keep_their_indentation() {
        let template = "a: <<x>> <<y>>\n  <<many>>\n  <<none>>\nshift << 3, <<unknown>>";
        let values = [
            ("x", "<<y>>"),
            ("y", "2"),
            ("many", "p:\n\n  q\n"),
            ("none", ""),
        ];
        assert_eq!(
            fill(template, &values),
            "a: <<y>> 2\n  p:\n\n    q\nshift << 3, <<unknown>>\n"
        );
    }

    #[test]
    fn a_section_is_kept_without_its_marks_or_left_out() {
        let template = "a\n<<#b>>\nb <<b>>\n<</b>>\nc\n";
        assert_eq!(section(template, "b", true), "a\nb <<b>>\nc\n");
        assert_eq!(section(template, "b", false), "a\nc\n");
    }

    #[test]
    fn quotation_marks_of_a_value_stay_inside() {
        assert_eq!(shell("a'b $(c) `d`"), r"'a'\''b $(c) `d`'");
        assert_eq!(quoted("a\"b\\c\n"), r#""a\"b\\c\n""#);
        assert_eq!(hcl("${a} %{b} \""), r#""$${a} %%{b} \"""#);
    }
}
