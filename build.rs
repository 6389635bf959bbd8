//! Compiles the contract without protoc, and keeps its descriptor for reflection.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script its folder this way")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut files: Vec<PathBuf> =
        fs::read_dir("proto/photometa/v1")?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.sort();

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true).open_files(&files)?;
    let descriptor = compiler.encode_file_descriptor_set();
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("descriptor.bin"), &descriptor)?;

    let mut config = tonic_prost_build::Config::new();
    // The codec looks messages up in the descriptor.
    config.enable_type_names();
    tonic_prost_build::configure()
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .extern_path(".google.protobuf.Struct", "crate::json::Struct")
        .codec_path("crate::codec::Codec")
        .compile_fds_with_config(prost_types_of(&descriptor)?, config)?;
    Ok(())
}

/// The descriptor set as the code generator's type, without comments: they are written for readers of the
/// contract, and rustdoc would take their brackets for links.
fn prost_types_of(descriptor: &[u8]) -> Result<prost_types::FileDescriptorSet, prost::DecodeError> {
    let mut set = prost_types::FileDescriptorSet::decode(descriptor)?;
    for file in &mut set.file {
        file.source_code_info = None;
    }
    Ok(set)
}
