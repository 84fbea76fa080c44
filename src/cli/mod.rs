//! The command line: what is asked for, and the pages that are made of it.

mod arguments;
pub mod pages;

pub use arguments::{
    COMPLETIONS, CONFIG, Check, MAN, check, command, given, misplaced, wants_schema,
};
