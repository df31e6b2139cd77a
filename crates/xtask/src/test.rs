//! `cargo xtask test`: every check and every test, with the totals of each runner.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use cargo_metadata::Package;

use crate::cross::{Compiler, TARGETS, WASM_TARGET};
use crate::totals::{Counter, Totals};
use crate::workspace::Workspace;
use crate::{agreement, arm64, bench, conformance, fuzz, process, tidy};

/// What to run.
#[derive(clap::Args, Default)]
pub(crate) struct Arguments {
    /// Run these steps only, in the usual order
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(step_names()))]
    steps: Vec<String>,
}

/// One part of the test run.
struct Step {
    name: &'static str,
    run: fn(&Workspace) -> Result<Totals>,
}

/// Cheap checks come first; images and modules are built before the tests that load them.
const STEPS: &[Step] = &[
    Step {
        name: "tidy",
        run: tidy::check,
    },
    Step {
        name: "format",
        run: check_format,
    },
    Step {
        name: "lint",
        run: check_lints,
    },
    Step {
        name: "cross",
        run: build_device_packages,
    },
    Step {
        name: "firmware",
        run: build_firmware,
    },
    Step {
        name: "wasm",
        run: test_node_packages,
    },
    Step {
        name: "device",
        run: test_device_packages,
    },
    Step {
        name: "arm64",
        run: arm64::test,
    },
    Step {
        name: "host",
        run: test_workspace,
    },
    Step {
        name: "budgets",
        run: bench::test,
    },
    Step {
        name: "conformance",
        run: conformance::test,
    },
    Step {
        name: "agreement",
        run: agreement::test,
    },
    Step {
        name: "fuzz",
        run: fuzz::test,
    },
];

/// Packages that run on devices: they must build for every target, without default features.
const DEVICE_PACKAGES: &[&str] = &[
    "modelopt-format",
    "modelopt-kernels",
    "modelopt-runtime",
    "modelopt-wire",
];

/// The compiler version that the code is free of lints with; a later one may have more of them.
const LINT_VERSION: &str = "1.95";

/// Runs the steps, all of them even if one fails, and fails if any did.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let is_wanted =
        |step: &&Step| arguments.steps.is_empty() || arguments.steps.iter().any(|n| n == step.name);
    let mut sum = Totals::default();
    let mut report = Vec::new();
    let mut failures = 0;
    for step in STEPS.iter().filter(is_wanted) {
        println!("\n== {} ==", step.name);
        let start = Instant::now();
        let mut totals = (step.run)(workspace).unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            Totals {
                failed: 1,
                ..Totals::default()
            }
        });
        if totals == Totals::default() {
            eprintln!("nothing to do: this part of the project does not exist yet");
            totals.skipped = 1;
        }
        failures += totals.failed;
        sum += totals;
        report.push(format!(
            "{:<10}{totals} ({:.0} s)",
            step.name,
            start.elapsed().as_secs_f64()
        ));
    }
    println!("\n== totals ==");
    report.iter().for_each(|line| println!("{line}"));
    println!("{sum}");
    if failures > 0 {
        bail!("the tests did not pass; the errors are above, step by step");
    }
    Ok(())
}

fn step_names() -> Vec<&'static str> {
    STEPS.iter().map(|step| step.name).collect()
}

/// Runs one command for each Cargo workspace; each that succeeds is one check passed.
fn for_each_cargo_workspace(
    workspace: &Workspace,
    run: impl Fn(&Path) -> Result<()>,
) -> Result<Totals> {
    let mut totals = Totals::default();
    for folder in workspace.cargo_workspaces() {
        run(&folder).with_context(|| folder.display().to_string())?;
        totals += Totals::ONE_PASSED;
    }
    Ok(totals)
}

fn check_format(workspace: &Workspace) -> Result<Totals> {
    for_each_cargo_workspace(workspace, |folder| {
        let mut cargo = workspace.command("cargo");
        process::run(cargo.current_dir(folder).args(["fmt", "--all", "--check"]))
            .context("run `cargo fmt --all`")
    })
}

/// Lints of the root workspace; the others' packages are for targets of their own, where
/// compiling them is check enough.
fn check_lints(workspace: &Workspace) -> Result<Totals> {
    let mut clippy = workspace.command("cargo");
    clippy.args([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
    ]);
    clippy.args(lint_flags(workspace)?);
    process::run(&mut clippy)?;
    Ok(Totals::ONE_PASSED)
}

/// What makes warnings errors, with the compiler that the code is free of them with.
pub(crate) fn lint_flags(workspace: &Workspace) -> Result<&'static [&'static str]> {
    let version = process::capture(workspace.command("rustc").arg("--version"))?;
    if version.contains(LINT_VERSION) {
        return Ok(&["-D", "warnings"]);
    }
    println!("warnings are not errors: this is not Rust {LINT_VERSION}");
    Ok(&[])
}

/// Those of [`DEVICE_PACKAGES`] that exist, as arguments of Cargo.
fn device_package_arguments(workspace: &Workspace) -> Result<Vec<String>> {
    let metadata = workspace.metadata(&workspace.root)?;
    let members = metadata.workspace_packages();
    let exists = |name: &&&str| members.iter().any(|package| package.name == **name);
    let packages = DEVICE_PACKAGES.iter().filter(exists);
    Ok(packages
        .flat_map(|name| ["--package".to_owned(), (*name).to_owned()])
        .collect())
}

/// Builds and lints the device packages for every target, the one without compare-and-swap among
/// them.
fn build_device_packages(workspace: &Workspace) -> Result<Totals> {
    let packages = device_package_arguments(workspace)?;
    if packages.is_empty() {
        return Ok(Totals::default());
    }
    let compiler = Compiler::require(workspace)?;
    let mut totals = Totals::default();
    let lint_flags = lint_flags(workspace)?;
    for target in TARGETS {
        let cargo = |verb| {
            let mut cargo = workspace.command("cargo");
            cargo.args([verb, "--locked", "--release", "--quiet"]);
            cargo.args(["--no-default-features", "--target", target]);
            cargo.args(&packages);
            compiler.apply(&mut cargo, target);
            cargo
        };
        process::run(&mut cargo("build"))?;
        totals += Totals::ONE_PASSED;
        // Clippy comes with rustup's compiler alone.
        if matches!(compiler, Compiler::Rustup) {
            process::run(cargo("clippy").arg("--").args(lint_flags))?;
            totals += Totals::ONE_PASSED;
        }
    }
    Ok(totals)
}

/// Builds every firmware image: the packages of `firmware` that name their targets, as in
/// `[package.metadata.firmware] targets = ["thumbv7em-none-eabihf"]`.
fn build_firmware(workspace: &Workspace) -> Result<Totals> {
    let mut totals = Totals::default();
    let compiler = Compiler::require(workspace)?;
    for folder in workspace.cargo_workspaces() {
        for package in workspace.metadata(&folder)?.workspace_packages() {
            for target in firmware_targets(package) {
                let mut build = workspace.command("cargo");
                build
                    .current_dir(&folder)
                    .args(["build", "--locked", "--release", "--quiet"]);
                build.args(["--package", package.name.as_str(), "--target", &target]);
                compiler.apply(&mut build, &target);
                process::run(&mut build)?;
                totals += Totals::ONE_PASSED;
            }
        }
    }
    if totals == Totals::default() {
        bail!("no package of firmware/ has targets in its [package.metadata.firmware]");
    }
    Ok(totals)
}

fn firmware_targets(package: &Package) -> Vec<String> {
    let targets = package.metadata["firmware"]["targets"].as_array();
    let names = targets
        .into_iter()
        .flatten()
        .filter_map(|target| target.as_str());
    names.map(str::to_owned).collect()
}

/// Builds and tests every Node package, by the scripts `build` and `test` of its package.json.
fn test_node_packages(workspace: &Workspace) -> Result<Totals> {
    let mut totals = Totals::default();
    let folders = workspace.node_packages()?;
    if folders.is_empty() {
        return Ok(totals);
    }
    let compiler = Compiler::require(workspace)?;
    for folder in folders {
        for script in ["build", "test"] {
            let mut npm = workspace.command("npm");
            npm.current_dir(workspace.root.join(&folder))
                .args(["run", script]);
            compiler.apply(&mut npm, WASM_TARGET);
            totals += count_tests(&mut npm)?;
        }
    }
    Ok(totals)
}

/// Tests the device packages with overflow checks and debug assertions, which a release build
/// lacks.
fn test_device_packages(workspace: &Workspace) -> Result<Totals> {
    let packages = device_package_arguments(workspace)?;
    if packages.is_empty() {
        return Ok(Totals::default());
    }
    let mut cargo = workspace.command("cargo");
    cargo
        .args(["test", "--locked", "--no-fail-fast", "--all-features"])
        .args(packages);
    count_tests(cargo.args(["--", "--show-output"]))
}

/// Tests the whole workspace optimized, since real models run on thousands of samples; the main
/// job's release build shares what is compiled here.
fn test_workspace(workspace: &Workspace) -> Result<Totals> {
    let mut cargo = workspace.command("cargo");
    cargo.args([
        "test",
        "--locked",
        "--release",
        "--workspace",
        "--no-fail-fast",
    ]);
    count_tests(cargo.args(["--", "--show-output"]))
}

/// Runs a test runner and counts its tests; a runner that fails without a failed test is an
/// error of its own.
pub(crate) fn count_tests(command: &mut Command) -> Result<Totals> {
    let mut counter = Counter::default();
    let succeeded = process::stream(command, |line| counter.read_line(line))?;
    let totals = counter.totals();
    if !succeeded && totals.failed == 0 {
        bail!("the command above failed before or after its tests ({totals})");
    }
    Ok(totals)
}
