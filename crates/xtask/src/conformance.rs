//! `cargo xtask conformance`: the public ONNX node tests, through import, compiler and runtime.
//!
//! The tests are files of the Python package `onnx`, which `cargo xtask setup` installs apart
//! from the machine's own packages. `tests/src/bin/conformance.rs` runs them;
//! `tests/conformance/refusals.tsv` lists what is refused, and why.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::totals::Totals;
use crate::workspace::Workspace;

/// How to report.
#[derive(clap::Args, Default)]
pub(crate) struct Arguments {
    /// Print the counts as JSON
    #[arg(long)]
    json: bool,
    /// Write down what is refused now as what may be refused
    #[arg(long)]
    accept: bool,
}

/// Where the package keeps the tests, below its environment.
const NODE_TESTS: &str = "site-packages/onnx/backend/test/data/node";

/// Runs the tests; fails over a wrong answer, a panic, or a refusal that is not in the list.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let Some(folder) = node_tests(workspace) else {
        bail!("the package `onnx` is missing; `cargo xtask setup` installs it");
    };
    let mut cargo = workspace.command("cargo");
    cargo.args(["run", "--locked", "--quiet", "--release"]);
    cargo.args(["--package", "modelopt-tests"]);
    cargo.args(["--bin", "conformance", "--"]).arg(folder);
    cargo.arg("tests/conformance/refusals.tsv");
    for (is_given, flag) in [(arguments.json, "--json"), (arguments.accept, "--accept")] {
        if is_given {
            cargo.arg(flag);
        }
    }
    match cargo.status()?.success() {
        true => Ok(()),
        false => bail!("the node tests did not end as tests/conformance/refusals.tsv says"),
    }
}

/// The same as a part of the test run.
pub(crate) fn test(workspace: &Workspace) -> Result<Totals> {
    if node_tests(workspace).is_none() {
        println!("skipped: the package `onnx` is missing; `cargo xtask setup` installs it");
        return Ok(Totals {
            skipped: 1,
            ..Totals::default()
        });
    }
    run(workspace, &Arguments::default())?;
    Ok(Totals::ONE_PASSED)
}

/// The folder of the tests, whatever the version of Python.
fn node_tests(workspace: &Workspace) -> Option<PathBuf> {
    let libraries = workspace
        .root
        .join(crate::setup::ORACLES_FOLDER)
        .join("lib");
    let versions = std::fs::read_dir(libraries).ok()?;
    let mut folders = versions.filter_map(|entry| Some(entry.ok()?.path().join(NODE_TESTS)));
    folders.find(|folder| folder.is_dir())
}

#[cfg(test)]
mod tests {
    /// A run fails over a refusal that is not in the list, one in it that is none, a wrong answer and a
    /// panic: so the list tells what the table must say.
    #[test]
    fn the_table_follows_the_list_of_refusals() {
        let readme = include_str!("../../../README.md");
        let list = include_str!("../../../tests/conformance/refusals.tsv");
        let mut lines = readme.lines();
        let head = lines.find(|line| line.starts_with("| total | passed | refused"));
        assert!(head.is_some(), "the table is missing");
        let row = lines.nth(1).unwrap_or_default().replace(',', "");
        let counts: Vec<usize> = row
            .split('|')
            .filter_map(|cell| cell.trim().parse().ok())
            .collect();
        let [total, passed, refused, wrong, panicked] = counts[..] else {
            panic!("'{row}' is no row of five counts");
        };
        assert_eq!(refused, list.lines().count());
        assert_eq!(passed + refused, total);
        assert_eq!([wrong, panicked], [0, 0]);
    }
}
