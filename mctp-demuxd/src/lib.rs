//! The MCTP demultiplexer.
