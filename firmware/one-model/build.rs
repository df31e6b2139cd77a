//! Links with the script of cortex-m-rt, and `memory.x` beside this file.

fn main() {
    println!("cargo:rerun-if-changed=memory.x");
    println!("cargo:rustc-link-search={}", env!("CARGO_MANIFEST_DIR"));
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    // Sections need not start at a page: images are not loaded by an operating system.
    println!("cargo:rustc-link-arg-bins=--nmagic");
}
