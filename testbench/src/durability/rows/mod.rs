//! Every row, in the order of the table.
//!
//! In: the form, from which the rows take their times. Out: rows. Where the
//! emulator's services can fail by themselves (a token that is broken, a role
//! that is denied, a clock that is off) they do; scripted answers stand for what
//! they never say of themselves, in AWS' words.

mod agents;
mod answers;
mod between;
mod builders;
mod certificates;
mod credentials;
mod data;
mod limits;
mod load;
mod machines;
mod processes;
mod series;
mod transport;
mod writers;

use super::form::Form;
use super::row::{Row, Sending};

/// All that are played in this form.
#[must_use]
pub fn rows(form: &Form) -> Vec<Row> {
    let healthy = Row::new(form, "healthy", "nothing");
    let by_vmagent = Row::new(form, "vmagent-healthy", "nothing").sent_by(Sending::Vmagent);
    let mut rows = vec![healthy, by_vmagent];
    rows.extend(credentials::rows(form));
    rows.extend(machines::rows(form));
    rows.extend(agents::rows(form));
    rows.extend(certificates::rows(form));
    rows.extend(answers::rows(form));
    rows.extend(between::rows(form));
    rows.extend(limits::rows(form));
    rows.extend(data::rows(form));
    rows.extend(series::rows(form));
    rows.extend(transport::rows(form));
    rows.extend(writers::rows(form));
    rows.extend(processes::rows(form));
    rows.extend(load::rows(form));
    if form.is_short {
        rows.retain(|row| !row.is_long);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_fit_for_a_command_line() {
        let mut names = std::collections::HashSet::new();
        for row in rows(&Form::short()) {
            let plain = |letter: char| {
                letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-'
            };
            assert!(row.name.chars().all(plain), "{}", row.name);
            assert!(names.insert(row.name), "{} twice", row.name);
        }
    }

    #[test]
    fn the_table_in_the_docs_has_all_of_them() {
        let docs = include_str!("../../../../docs/durability.md");
        let found: Vec<_> = docs
            .lines()
            .skip_while(|line| !line.starts_with("| row | what goes wrong |"))
            .skip(2)
            .map_while(|line| line.strip_prefix("| ")?.split_once(" |"))
            .map(|(name, _)| name)
            .collect();
        let names: Vec<_> = rows(&Form::full()).iter().map(|row| row.name).collect();
        assert_eq!(found, names);
    }

    #[test]
    fn both_forms_have_the_same_rows_and_promises_but_for_the_long_ones() {
        let found = |form| {
            let rows = rows(&form).into_iter().filter(|row| !row.is_long);
            let found = rows.map(|row| (row.name, row.promise));
            found.collect::<Vec<_>>()
        };
        assert_eq!(found(Form::short()), found(Form::full()));
        assert_eq!(found(Form::short()).len(), rows(&Form::short()).len());
    }
}
