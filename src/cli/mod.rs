//! The command line, and the completions and man pages generated from it.

mod arguments;
pub mod pages;
mod sigv4_proxy;

pub use arguments::{
    COMPLETIONS, CONFIG, Check, MAN, RUN, check, command, given, misplaced, short_help,
    wants_schema,
};
pub use sigv4_proxy::translate;
