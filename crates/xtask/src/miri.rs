//! `cargo xtask miri`: the tests of format, runtime and scalar kernels in Miri, which finds what unsafe code
//! may not do: reads out of bounds, references that alias, values that are none.
//!
//! Miri is a component of nightly toolchains: `rustup component add miri rust-src --toolchain nightly`. Tests
//! run as for a RISC-V processor, for which no vector loops exist and no library uses assembly. They take about
//! half an hour, so this is no part of the test run.

use anyhow::Result;

use crate::process;
use crate::workspace::Workspace;

/// A processor whose kernels are the scalar ones.
const TARGET: &str = "riscv64gc-unknown-linux-gnu";

/// The packages, their features, and what of their tests runs: property tests of vector loops against
/// scalar ones, which have thousands of cases, are left out, and so are tests of arithmetic alone over
/// hundreds of thousands of numbers.
const SUITES: [(&str, &[&str], &[&str]); 3] = [
    ("modelopt-format", &["--features", "write"], &[]),
    (
        "modelopt-runtime",
        &["--features", "host", "--lib"],
        &[
            "--skip",
            "host::onnx",
            "--skip",
            "int16_rows_of_any_length_fit",
        ],
    ),
    (
        "modelopt-kernels",
        &["--lib"],
        &["--skip", "armv7em", "--skip", "self_test"],
    ),
];

/// Runs every suite; fails at the first that fails.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    for (package, options, tests) in SUITES {
        let mut cargo = workspace.command("cargo");
        // Miri rounds functions such as `powi` at random otherwise, and libraries may not.
        cargo.env(
            "MIRIFLAGS",
            "-Zmiri-disable-isolation -Zmiri-deterministic-floats",
        );
        cargo.env("RUSTUP_TOOLCHAIN", "nightly");
        // A case takes seconds here; other runs have hundreds of them.
        cargo.env("PROPTEST_CASES", "2");
        cargo.args(["miri", "test", "--target", TARGET, "--package", package]);
        cargo.args(options).arg("--").args(tests);
        process::run(&mut cargo)?;
    }
    Ok(())
}
