//! Links with the script of cortex-m-rt, and the memory of the board from `boards`.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let board = match env::var_os("CARGO_FEATURE_HELIUM") {
        Some(_) => "boards/mps3-an547.x",
        None => "boards/mps2-an386.x",
    };
    println!("cargo:rerun-if-changed={board}");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::copy(here.join(board), out.join("memory.x"))?;
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    // Sections need not start at a page: images are not loaded by an operating system.
    println!("cargo:rustc-link-arg-bins=--nmagic");
    Ok(())
}
