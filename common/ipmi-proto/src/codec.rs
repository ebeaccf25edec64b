//! The bit-level packer and unpacker of typed parameters.
