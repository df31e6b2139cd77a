//! The subcommands, one file each: arguments, help, run.

pub(crate) mod bench;
pub(crate) mod compare;
pub(crate) mod devices;
pub(crate) mod evaluate;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod inspect;
pub(crate) mod ops;
pub(crate) mod optimize;
pub(crate) mod quantize;
pub(crate) mod run;
