//! The kernels for 64-bit Arm, on emulated processors.
//!
//! A processor with dot products and one without are emulated, so that both sets of kernels run,
//! and the tests are told which one to expect.

use anyhow::{Result, bail};

use crate::cross::{ARM64_TARGET, Compiler};
use crate::process;
use crate::test::{count_tests, lint_flags};
use crate::totals::Totals;
use crate::workspace::Workspace;

/// Emulates a processor for one program.
const EMULATOR: &str = "qemu-aarch64";

/// A processor, and the kernels that run on it.
const PROCESSORS: &[[&str; 2]] = &[["max", "neon-dotprod"], ["cortex-a53", "neon"]];

/// What is tested: every kernel against plain Rust, every operator of the runtime, and recorded
/// answers of whole models.
const TESTS: &[&[&str]] = &[
    &["--package", "modelopt-kernels", "--all-features", "--lib"],
    &["--package", "modelopt-runtime", "--all-features", "--lib"],
    &["--package", "modelopt-compile", "--test", "golden"],
];

/// A program that answers for the tests of parity, which run later.
const PROGRAM: &[&str] = &[
    "--package",
    "modelopt-runtime",
    "--features",
    "host",
    "--example",
    "answers",
];

/// Runs the tests on each of [`PROCESSORS`]. Debian's compiler has no test harness for this
/// target.
pub(crate) fn test(workspace: &Workspace) -> Result<Totals> {
    if !matches!(Compiler::require(workspace)?, Compiler::Rustup) {
        println!("skipped: the target {ARM64_TARGET} is not installed");
        return Ok(Totals {
            skipped: 1,
            ..Totals::default()
        });
    }
    if !process::is_installed(EMULATOR) {
        bail!("{EMULATOR} is not installed; run `cargo xtask setup`");
    }
    let mut totals = lint(workspace)?;
    let mut build = workspace.command("cargo");
    build
        .args(["build", "--locked", "--release", "--quiet"])
        .args(["--target", ARM64_TARGET])
        .args(PROGRAM)
        .env(variable("LINKER"), "rust-lld");
    process::run(&mut build)?;
    for [processor, kernels] in PROCESSORS {
        for arguments in TESTS {
            let mut cargo = workspace.command("cargo");
            cargo
                .args(["test", "--locked", "--release", "--no-fail-fast"])
                .args(["--target", ARM64_TARGET])
                .args(*arguments)
                .args(["--", "--show-output"])
                .env(variable("LINKER"), "rust-lld")
                .env(variable("RUNNER"), EMULATOR)
                .env("QEMU_CPU", processor)
                .env("EXPECTED_KERNELS", kernels);
            totals += count_tests(&mut cargo)?;
        }
    }
    Ok(totals)
}

/// Lints the kernels with run-time detection; the step `cross` does without.
fn lint(workspace: &Workspace) -> Result<Totals> {
    let mut clippy = workspace.command("cargo");
    clippy
        .args(["clippy", "--locked", "--release", "--quiet"])
        .args(["--package", "modelopt-kernels", "--all-features", "--lib"])
        .args(["--target", ARM64_TARGET, "--"])
        .args(lint_flags(workspace)?);
    process::run(&mut clippy)?;
    Ok(Totals::ONE_PASSED)
}

/// Cargo's setting for the target.
fn variable(setting: &str) -> String {
    let target = ARM64_TARGET.replace('-', "_").to_uppercase();
    format!("CARGO_TARGET_{target}_{setting}")
}
