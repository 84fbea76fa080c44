//! Filled in once the peers are there.
