//! Generates the Rust code of `proto/nuncio/v1` and the descriptors for server reflection.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

const PROTO_ROOT: &str = "../../proto";
const PACKAGE: &str = "nuncio/v1";

/// Messages that hold secrets: their `Debug` is written by hand, so that it hides them.
const SECRET_MESSAGES: [&str; 14] = [
    ".nuncio.v1.Attachment",
    ".nuncio.v1.BulkGuest",
    ".nuncio.v1.CreateCallerResponse",
    ".nuncio.v1.NextClientSecret",
    ".nuncio.v1.NotifyGuestRequest",
    ".nuncio.v1.OauthAuthentication",
    ".nuncio.v1.PasswordAuthentication",
    ".nuncio.v1.Proxy",
    ".nuncio.v1.PreviewTemplateRequest",
    ".nuncio.v1.RawContent",
    ".nuncio.v1.SendTestEmailRequest",
    ".nuncio.v1.RequestApprovalRequest",
    ".nuncio.v1.TemplateContent",
    ".nuncio.v1.WebhookTarget",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={PROTO_ROOT}");
    let out_dir =
        PathBuf::from(env::var_os("OUT_DIR").expect("Cargo sets it for every build script"));

    let mut protos: Vec<PathBuf> = fs::read_dir(Path::new(PROTO_ROOT).join(PACKAGE))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    protos.retain(|path| path.extension().is_some_and(|extension| extension == "proto"));
    protos.sort();

    let mut compiler = protox::Compiler::new([PROTO_ROOT])?;
    compiler.include_imports(true).include_source_info(true).open_files(&protos)?;
    let descriptors = compiler.file_descriptor_set();
    compiler.include_source_info(false);
    fs::write(out_dir.join("nuncio.v1.bin"), compiler.encode_file_descriptor_set())?;

    // The names lead from a message to its descriptor, and so to its JSON mapping.
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure()
        // Encoding is then deterministic: the same request has the same bytes, and so the same digest.
        .btree_map(".")
        .skip_debug(SECRET_MESSAGES)
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}
