//! Texts with places in them, and values quoted for the language they are put into.
//!
//! In: a template in which `<<name>>` marks a place, and what belongs there. Out: the text. A place that stands alone on
//! its line takes a value of several lines, each indented as the place is, and goes away with its line where the value is
//! empty. What was put in is not looked at again, so no value can bring a place of its own.
//!
//! Every value that comes from outside goes through [`shell`], [`quoted`] or [`hcl`] first, although the reader lets
//! nothing through that would need it: two locks, since what is printed here is run by people with the right to do much.
//! A template library would bring a language for what is one function here.

/// Fills the places of a template; a test holds that none is left.
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

/// One word of a POSIX shell, whatever is in it; it may have several lines.
pub(super) fn shell(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// A string of JSON, which is one of YAML too.
pub(super) fn quoted(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}

/// A string of HCL: that of JSON, in which `${` and `%{` would begin a template.
pub(super) fn hcl(value: &str) -> String {
    in_hcl(&quoted(value))
}

/// A JSON document as an expression of HCL, which takes JSON's objects and lists as they are.
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
    fn quotation_marks_of_a_value_stay_inside() {
        assert_eq!(shell("a'b $(c) `d`"), r"'a'\''b $(c) `d`'");
        assert_eq!(quoted("a\"b\\c\n"), r#""a\"b\\c\n""#);
        assert_eq!(hcl("${a} %{b} \""), r#""$${a} %%{b} \"""#);
    }
}
