//! Compiles `../proto` into Rust: protox stands in for protoc, so that a checkout needs nothing but cargo.

use std::{error::Error, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
    let files = ["write_v1.proto", "write_v2.proto"].map(|name| folder.join(name));
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    let descriptors = protox::compile(&files, [&folder])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
