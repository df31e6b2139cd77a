//! Compact model to Rust library: a package without `std` whose code is the plan.
//!
//! Every node becomes a constant ([`nodes`]) and a call ([`library`]); operators are called by
//! their paths in `runtime::ops`, so that each of them works here without code of its own, and
//! answers what it answers in a session, to the bit.

mod constants;
mod library;
mod nodes;

use crate::{Error, Options};
use constants::Constants;
use format::meta::Meta;
use format::{ALIGNMENT, DType, Model, Node};
use runtime::ops;

/// A file of the library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path in the library's folder, with `/` between parts.
    pub path: &'static str,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Where the library's one dependency, the runtime, comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dependency {
    /// A folder, absolute or relative to the library's.
    Path(String),
    /// A registry, by version.
    Version(String),
}

/// What a library says of itself.
#[derive(Clone, Debug)]
pub struct Library {
    /// The package's name: see [`is_package_name`].
    pub name: String,
    /// The file that the model comes from, for comments.
    pub source: String,
    /// Name and version of the program that writes it.
    pub tool: String,
    /// The runtime.
    pub runtime: Dependency,
}

/// Names that a package cannot have: Rust's own words and crates, and the library's dependency.
const RESERVED: &str = "abstract alloc as async await become box break const continue core crate \
                        do dyn else enum extern false final fn for gen if impl in let loop \
                        macro match mod move mut override priv proc_macro pub ref return runtime \
                        self static std struct super test trait true try type typeof unsafe \
                        unsized use virtual where while yield";

/// Whether a package may have this name: letters, digits, `-` and `_`, beginning with a letter, and
/// no word that Rust has taken.
pub fn is_package_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(is_part)
        && !RESERVED.split_whitespace().any(|word| word == name)
}

/// The library of a checked model.
pub fn rust(model: &Model<'_>, meta: &Meta, library: &Library) -> Result<Vec<SourceFile>, Error> {
    let file = |path, bytes| SourceFile { path, bytes };
    let constants = Constants::of(model);
    let nodes = nodes::write(model, &constants)?;
    let code = library::write(model, &constants, meta, library)?;
    let mut files = vec![
        file("Cargo.toml", manifest(library).into_bytes()),
        file("src/lib.rs", code.into_bytes()),
        file("src/nodes.rs", nodes.into_bytes()),
        file("src/constants.bin", constants.shared),
    ];
    if !constants.packed.is_empty() {
        files.push(file("src/weights.bin", constants.weights));
        files.push(file("src/packed.bin", constants.packed));
    }
    Ok(files)
}

/// Byte offset and bytes of a node's working memory. A file that was made for other kernels may have
/// planned too little: what is missing is put behind the arena, as a session does.
fn scratch(node: &Node<'_>) -> (usize, usize) {
    let op = ops::ALL.iter().find(|op| op.code == node.code());
    let targets = Options::default().targets.into_iter();
    let needs = targets.filter_map(|target| Some((op?.scratch_bytes)(node, target)));
    let needed = needs.max().unwrap_or(0).next_multiple_of(ALIGNMENT);
    if needed <= node.scratch_bytes().next_multiple_of(ALIGNMENT) {
        return (node.scratch_offset(), node.scratch_bytes());
    }
    (
        node.model().arena_bytes().next_multiple_of(ALIGNMENT),
        needed,
    )
}

/// Bytes of RAM that a model's library takes.
pub fn arena_bytes(model: &Model<'_>) -> usize {
    let ends = model.nodes().map(|node| {
        let (offset, bytes) = scratch(&node);
        offset + bytes
    });
    ends.fold(model.arena_bytes(), usize::max)
}

fn manifest(library: &Library) -> String {
    let Library {
        name, source, tool, ..
    } = library;
    let runtime = match &library.runtime {
        Dependency::Path(path) => format!("path = {path:?}"),
        Dependency::Version(version) => format!("version = \"={version}\""),
    };
    let source = source.escape_debug();
    format!(
        "# Written by {tool} from {source}.\n\
         [package]\n\
         name = {name:?}\n\
         description = \"A model as a library\"\n\
         version = \"0.1.0\"\n\
         edition = \"2024\"\n\
         publish = false\n\
         \n\
         [features]\n\
         # Kernels for the M-profile vector extension (Cortex-M55, M85).\n\
         helium = [\"runtime/helium\"]\n\
         \n\
         [dependencies]\n\
         # Memory is planned for the kernels of this version: after an update, export anew.\n\
         runtime = {{ package = \"modelopt-runtime\", {runtime} }}\n"
    )
}

/// The path of an operator below `runtime::ops`.
fn operator_path(code: u16) -> Result<&'static str, Error> {
    let known = ops::ALL.iter().zip(ops::PATHS);
    let path = known
        .filter(|(op, _)| op.code == code)
        .map(|(_, path)| *path)
        .next();
    path.ok_or_else(|| Error::Refused(format!("operator {code}")))
}

/// The Rust type of a port's elements.
fn element_type(dtype: DType) -> Result<&'static str, Error> {
    Ok(match dtype {
        DType::F32 => "f32",
        DType::I8 => "i8",
        DType::I16 => "i16",
        DType::I32 => "i32",
        DType::I64 => "i64",
        DType::U16 => "u16",
        DType::U32 => "u32",
        DType::U64 => "u64",
        DType::U8 | DType::Bool => "u8",
        DType::F16 | DType::I4 | DType::Channel | DType::ChannelWide => {
            return Err(Error::Library(format!(
                "an input or output is of type {dtype}, which Rust has no type for"
            )));
        }
    })
}

/// A number as Rust writes it, to the bit.
fn real(value: f32) -> String {
    if value.is_finite() {
        format!("{value:?}")
    } else {
        format!("f32::from_bits({:#x})", value.to_bits())
    }
}

#[cfg(test)]
mod tests;
