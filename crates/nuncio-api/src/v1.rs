//! The generated code of `proto/nuncio/v1`.

#![expect(
    clippy::pedantic,
    clippy::large_enum_variant,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "the code is generated; its style is that of its generator"
)]

tonic::include_proto!("nuncio.v1");

/// The descriptors of all services and messages, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nuncio.v1.bin"));

mod hidden;
