//! Compiles the messages twice: as the schemas write them, and with every string as bytes.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost_types::FileDescriptorSet;
use prost_types::field_descriptor_proto::Type;

const SCHEMAS: [&str; 2] = ["write_v1.proto", "write_v2.proto"];

#[allow(
    clippy::disallowed_methods,
    reason = "a build script gets its folder from the environment"
)]
fn main() -> Result<(), Box<dyn Error>> {
    for schema in SCHEMAS {
        println!("cargo::rerun-if-changed={schema}");
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let as_written = protox::compile(SCHEMAS, ["."])?;
    generate(as_written.clone(), &out.join("as_written"))?;
    generate(strings_as_bytes(as_written), &out.join("as_bytes"))?;
    Ok(())
}

fn strings_as_bytes(mut files: FileDescriptorSet) -> FileDescriptorSet {
    let messages = files
        .file
        .iter_mut()
        .flat_map(|file| &mut file.message_type);
    for field in messages.flat_map(|message| &mut message.field) {
        if field.r#type() == Type::String {
            field.set_type(Type::Bytes);
        }
    }
    files
}

fn generate(files: FileDescriptorSet, out: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(out)?;
    prost_build::Config::new().out_dir(out).compile_fds(files)?;
    Ok(())
}
