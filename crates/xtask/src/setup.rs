//! `cargo xtask setup`: installs what the tests need on a Debian machine that has Rust.
//!
//! What is there already is left as it is, so running it again is cheap.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cross::{self, Compiler};
use crate::process;
use crate::workspace::Workspace;

/// A program that the tests start, and Debian's package that holds it.
const PROGRAMS: &[(&str, &str)] = &[
    ("qemu-system-arm", "qemu-system-arm"),
    ("qemu-system-riscv32", "qemu-system-misc"),
    ("qemu-aarch64", "qemu-user"),
    ("chromium", "chromium"),
    ("node", "nodejs"),
    ("npm", "npm"),
];

/// Debian's compiler and the source of its standard library, for where rustup cannot be used.
const FALLBACK_PACKAGES: &[&str] = &["rustc-web", "rust-web-src"];

/// The Python packages that conformance tests compare with.
const ORACLES: &str = "tests/oracles/requirements.txt";

/// Where they are installed, apart from the machine's own.
pub(crate) const ORACLES_FOLDER: &str = "target/oracles";

/// The fuzzer's front end, from the package registry.
const FUZZER: [&str; 2] = ["cargo-fuzz", "0.13.2"];

/// Installs Debian packages, Rust targets, the fuzzer, Node packages and Python packages, in this order.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    install_programs(workspace)?;
    install_targets(workspace)?;
    install_fuzzer(workspace)?;
    install_node_packages(workspace)?;
    install_oracles(workspace)?;
    println!("setup is complete; `cargo xtask test` runs the tests");
    Ok(())
}

fn install_programs(workspace: &Workspace) -> Result<()> {
    let is_missing = |(program, _): &&(&str, &str)| !process::is_installed(program);
    let packages: Vec<&str> = PROGRAMS
        .iter()
        .filter(is_missing)
        .map(|(_, package)| *package)
        .collect();
    if packages.is_empty() {
        println!("programs: all present");
        return Ok(());
    }
    install_debian_packages(workspace, &packages)
}

/// Recommended packages are left out: they are not needed, and on a machine that has a newer
/// release's qemu-utils they break the installation.
fn install_debian_packages(workspace: &Workspace, packages: &[&str]) -> Result<()> {
    if !process::is_installed("apt-get") {
        bail!(
            "this machine has no apt-get; install by hand: {}",
            packages.join(", ")
        );
    }
    process::run(as_root(workspace, "apt-get")?.args(["update", "--quiet=2"]))?;
    let mut install = as_root(workspace, "apt-get")?;
    install.args(["install", "--yes", "--quiet=2", "--no-install-recommends"]);
    process::run(install.args(packages))
        .with_context(|| format!("cannot install Debian's {}", packages.join(", ")))
}

/// A command as the superuser: as it is for root, by sudo for anyone else.
fn as_root(workspace: &Workspace, program: &str) -> Result<Command> {
    let user_id = process::capture(workspace.command("id").arg("-u"))?;
    let mut command = workspace.command(if user_id.trim() == "0" { "env" } else { "sudo" });
    command.args(["DEBIAN_FRONTEND=noninteractive", program]);
    Ok(command)
}

fn install_targets(workspace: &Workspace) -> Result<()> {
    let missing = cross::missing_targets(workspace)?;
    if missing.is_empty() {
        println!("Rust targets: all present");
        return Ok(());
    }
    let by_rustup = process::run(
        workspace
            .command("rustup")
            .args(["target", "add"])
            .args(missing),
    );
    let Err(error) = by_rustup else { return Ok(()) };
    if Compiler::find(workspace)?.is_some() {
        println!("Rust targets: built by Debian's compiler, which is present");
        return Ok(());
    }
    eprintln!("warning: {error:#}; installing Debian's compiler and its library's source instead");
    install_debian_packages(workspace, FALLBACK_PACKAGES)?;
    Compiler::require(workspace).map(|_| ())
}

fn install_fuzzer(workspace: &Workspace) -> Result<()> {
    let [package, version] = FUZZER;
    if process::is_installed(package) {
        println!("fuzzer: present");
        return Ok(());
    }
    let mut install = workspace.command("cargo");
    process::run(install.args([
        "install",
        package,
        "--version",
        version,
        "--locked",
        "--quiet",
    ]))
}

/// Installs what the lock file of each Node package names.
fn install_node_packages(workspace: &Workspace) -> Result<()> {
    for folder in workspace.node_packages()? {
        let mut npm = workspace.command("npm");
        npm.current_dir(workspace.root.join(&folder));
        process::run(npm.args(["ci", "--no-audit", "--no-fund"]))
            .with_context(|| format!("cannot install the Node packages of {}", folder.display()))?;
    }
    Ok(())
}

/// Makes a folder of Python packages with the versions that are pinned, unless it is there.
fn install_oracles(workspace: &Workspace) -> Result<()> {
    let wanted = std::fs::read_to_string(workspace.root.join(ORACLES))?;
    let folder = workspace.root.join(ORACLES_FOLDER);
    let stamp = folder.join("installed.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        println!("Python packages: all present");
        return Ok(());
    }
    let mut probe = workspace.command("python3");
    if process::capture(probe.args(["-c", "import venv, ensurepip"])).is_err() {
        install_debian_packages(workspace, &["python3", "python3-venv"])?;
    }
    let mut make = workspace.command("python3");
    process::run(make.args(["-m", "venv", "--clear", ORACLES_FOLDER]))?;
    let mut pip = workspace.command(&folder.join("bin/pip").to_string_lossy());
    process::run(pip.args(["install", "--quiet", "--requirement", ORACLES]))
        .with_context(|| format!("cannot install the Python packages of {ORACLES}"))?;
    std::fs::write(&stamp, wanted)?;
    Ok(())
}
