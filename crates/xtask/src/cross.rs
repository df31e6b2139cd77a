//! The targets that the device code is built for, and the compiler that builds for them.
//!
//! rustup's compiler with its targets is the usual one. Where rustup cannot reach its server,
//! Debian's `rustc-web` is newer than Debian's `rustc` and has the standard library's source in
//! `rust-web-src`, so Cargo builds `core` and `alloc` (`std` for a browser) from that.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;
use crate::workspace::Workspace;

/// The browser's target.
pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// Linux on 64-bit Arm: it comes with the C library that a program needs, and rustup's compiler
/// with the linker.
pub(crate) const ARM64_TARGET: &str = "aarch64-unknown-linux-musl";

/// Every target that the tests build for, other than the host.
pub(crate) const TARGETS: &[&str] = &[
    "thumbv6m-none-eabi",
    "thumbv7m-none-eabi",
    "thumbv7em-none-eabi",
    "thumbv7em-none-eabihf",
    "thumbv8m.main-none-eabihf",
    ARM64_TARGET,
    WASM_TARGET,
];

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_SYSROOT: &str = "/usr";

/// A compiler that can build for [`TARGETS`].
pub(crate) enum Compiler {
    /// The usual one, with every target installed.
    Rustup,
    /// Debian's, which builds the standard library from source.
    Debian {
        /// rustup's linker, since Debian's compiler comes without one for these targets.
        linker: PathBuf,
    },
}

impl Compiler {
    /// The compiler that is ready to use, if there is one.
    pub(crate) fn find(workspace: &Workspace) -> Result<Option<Self>> {
        if missing_targets(workspace)?.is_empty() {
            return Ok(Some(Self::Rustup));
        }
        let source = Path::new(DEBIAN_SYSROOT).join("lib/rustlib/src/rust/library/Cargo.lock");
        let linker = rustup_linker(workspace)?;
        if Path::new(DEBIAN_RUSTC).is_file() && source.is_file() && linker.is_file() {
            return Ok(Some(Self::Debian { linker }));
        }
        Ok(None)
    }

    /// Like [`Compiler::find`], but there must be one.
    pub(crate) fn require(workspace: &Workspace) -> Result<Self> {
        match Self::find(workspace)? {
            Some(compiler) => Ok(compiler),
            None => bail!(
                "the Rust targets {} are not installed; run `cargo xtask setup`",
                missing_targets(workspace)?.join(", ")
            ),
        }
    }

    /// Makes `cargo build --target TARGET` and the like work in this command.
    ///
    /// The environment also reaches what the command starts, such as npm scripts that build.
    pub(crate) fn apply(&self, command: &mut Command, target: &str) {
        let Self::Debian { linker } = self else {
            return;
        };
        let libraries = if target == WASM_TARGET {
            "std,panic_abort"
        } else {
            "core,alloc"
        };
        let target_key = target.replace(['-', '.'], "_").to_uppercase();
        command
            .env("RUSTC", DEBIAN_RUSTC)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_UNSTABLE_BUILD_STD", libraries)
            .env(format!("CARGO_TARGET_{target_key}_LINKER"), linker);
    }
}

/// Targets of [`TARGETS`] that rustup's compiler lacks.
pub(crate) fn missing_targets(workspace: &Workspace) -> Result<Vec<&'static str>> {
    let sysroot = sysroot(workspace)?;
    let is_missing = |target: &&str| {
        !sysroot
            .join("lib/rustlib")
            .join(target)
            .join("lib")
            .is_dir()
    };
    Ok(TARGETS.iter().copied().filter(is_missing).collect())
}

fn rustup_linker(workspace: &Workspace) -> Result<PathBuf> {
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    Ok(sysroot(workspace)?
        .join("lib/rustlib")
        .join(host)
        .join("bin/rust-lld"))
}

fn sysroot(workspace: &Workspace) -> Result<PathBuf> {
    let printed = process::capture(workspace.command("rustc").args(["--print", "sysroot"]))?;
    Ok(PathBuf::from(printed.trim()))
}
