//! Turns a board's description, `boards/<name>.toml`, into its linker script `memory.x` and its
//! constants `board.rs`. For the build scripts of images: the description is the only place
//! where a board's addresses and sizes are written.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};
use toml::Table;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Writes both files for the board that has the package's name without its prefix, and tells
/// Cargo to link with the script.
pub fn generate() -> Outcome<()> {
    let package = env::var("CARGO_PKG_NAME")?;
    let name = package
        .strip_prefix("modelopt-firmware-")
        .ok_or("not an image's package")?;
    let folder = env::var("CARGO_MANIFEST_DIR")?;
    let description = Path::new(&folder).with_extension("toml");
    let text = fs::read_to_string(&description)
        .map_err(|error| format!("{}: {error}", description.display()))?;
    let board: Table = text.parse()?;
    let output = env::var("OUT_DIR")?;
    let output = Path::new(&output);
    fs::write(output.join("memory.x"), memory_script(&board)?)?;
    fs::write(output.join("board.rs"), constants(name, &board)?)?;
    println!("cargo:rerun-if-changed={}", description.display());
    println!("cargo:rustc-link-search={}", output.display());
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    // Sections need not start at a page: images are not loaded by an operating system.
    println!("cargo:rustc-link-arg-bins=--nmagic");
    Ok(())
}

fn memory_script(board: &Table) -> Outcome<String> {
    let mut script = String::from("MEMORY\n{\n");
    for (region, key) in [("FLASH", "code"), ("RAM", "ram")] {
        let (address, bytes) = (number(board, key, "address")?, number(board, key, "bytes")?);
        writeln!(
            script,
            "  {region} : ORIGIN = {address:#x}, LENGTH = {bytes:#x}"
        )?;
    }
    script.push_str("}\n");
    Ok(script)
}

fn constants(name: &str, board: &Table) -> Outcome<String> {
    let mut text = format!("pub(crate) const NAME: &str = {name:?};\n");
    let mut constant = |name: &str, kind: &str, value: i64| {
        writeln!(text, "pub(crate) const {name}: {kind} = {value:#x};")
    };
    constant("CLOCK_HZ", "u32", number(board, "counter", "clock_hz")?)?;
    constant(
        "FRAME_BYTES",
        "usize",
        number(board, "link", "frame_bytes")?,
    )?;
    constant(
        "UART_ADDRESS",
        "usize",
        number(board, "link", "uart_address")?,
    )?;
    constant("STACK_BYTES", "usize", number(board, "ram", "stack_bytes")?)?;
    constant("MODEL_ADDRESS", "usize", number(board, "model", "address")?)?;
    constant("MODEL_BYTES", "usize", number(board, "model", "bytes")?)?;
    let is_writable = entry(board, "model", "is_writable")?.as_bool();
    let is_writable = is_writable.ok_or("[model] is_writable is not true or false")?;
    writeln!(
        text,
        "pub(crate) const IS_MODEL_WRITABLE: bool = {is_writable};"
    )?;
    Ok(text)
}

fn entry<'a>(board: &'a Table, section: &str, key: &str) -> Outcome<&'a toml::Value> {
    let value = board.get(section).and_then(|section| section.get(key));
    value.ok_or_else(|| format!("[{section}] {key} is missing").into())
}

fn number(board: &Table, section: &str, key: &str) -> Outcome<i64> {
    let value = entry(board, section, key)?.as_integer();
    value.ok_or_else(|| format!("[{section}] {key} is not a number").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOARD: &str = "
        [code]
        address = 0
        bytes = 0x1000
        [ram]
        address = 0x2000_0000
        bytes = 16_384
        stack_bytes = 1024
    ";

    #[test]
    fn regions_become_a_linker_script() -> Outcome<()> {
        let script = memory_script(&BOARD.parse()?)?;
        let expected = "MEMORY\n{\n  FLASH : ORIGIN = 0x0, LENGTH = 0x1000\n  \
                        RAM : ORIGIN = 0x20000000, LENGTH = 0x4000\n}\n";
        assert_eq!(script, expected);
        Ok(())
    }

    #[test]
    fn what_is_missing_is_named() -> Outcome<()> {
        let error = constants("a", &BOARD.parse()?).err().ok_or("accepted")?;
        assert_eq!(error.to_string(), "[counter] clock_hz is missing");
        Ok(())
    }
}
