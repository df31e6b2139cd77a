//! `cargo xtask fuzz`: feeds damaged input to everything that reads bytes from outside.
//!
//! The targets are those of `fuzz/`. What they find beyond the seeds in `fuzz/corpus` stays in
//! the target folder, so that a run leaves the repository as it was; an input that breaks
//! something is kept in `fuzz/artifacts`.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::totals::Totals;
use crate::workspace::Workspace;

/// What to run.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run these targets only
    targets: Vec<String>,
    /// Seconds for each target
    #[arg(long, default_value_t = TEST_SECONDS)]
    seconds: u32,
}

/// Seconds for each target in the test run.
const TEST_SECONDS: u32 = 60;

/// Targets that run at once.
const JOBS: usize = 2;

/// Limits of one input: an input of a kilobyte must not take seconds, or gigabytes.
const LIMITS: [&str; 4] = [
    "-timeout=20",
    "-rss_limit_mb=2048",
    "-malloc_limit_mb=1024",
    "-seed=1",
];

/// Runs the targets named, or all.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let all = targets(workspace)?;
    if let Some(unknown) = arguments.targets.iter().find(|name| !all.contains(name)) {
        bail!(
            "there is no target '{unknown}'; there are {}",
            all.join(", ")
        );
    }
    let chosen = match arguments.targets.is_empty() {
        true => all,
        false => arguments.targets.clone(),
    };
    let totals = fuzz(workspace, &chosen, arguments.seconds)?;
    println!("{totals}");
    match totals.failed {
        0 => Ok(()),
        _ => bail!("inputs that break something are in fuzz/artifacts"),
    }
}

/// Every target for a short time.
pub(crate) fn test(workspace: &Workspace) -> Result<Totals> {
    fuzz(workspace, &targets(workspace)?, TEST_SECONDS)
}

/// The targets are the files of their folder.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let folder = workspace.root.join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).context("there is no fuzz/fuzz_targets")? {
        let path = entry?.path();
        names.extend(
            path.file_stem()
                .map(|stem| stem.to_string_lossy().into_owned()),
        );
    }
    names.sort();
    Ok(names)
}

/// The compiler's switches for fuzzing are not stable yet.
fn cargo_fuzz(workspace: &Workspace, command: &str) -> Command {
    let mut cargo = workspace.command("cargo");
    cargo
        .env("RUSTC_BOOTSTRAP", "1")
        .args(["fuzz", command, "--fuzz-dir", "fuzz", "--release"]);
    cargo
}

fn fuzz(workspace: &Workspace, targets: &[String], seconds: u32) -> Result<Totals> {
    process::run(&mut cargo_fuzz(workspace, "build"))?;
    let found = workspace
        .metadata(&workspace.root.join("fuzz"))?
        .target_directory;
    let waiting = Mutex::new(targets.iter());
    let totals = Mutex::new(Totals::default());
    let work = || -> Result<()> {
        loop {
            let next = waiting.lock().ok().and_then(|mut waiting| waiting.next());
            let Some(target) = next else { return Ok(()) };
            let corpus = found.join("corpus").join(target);
            let passed = fuzz_one(workspace, target, corpus.as_std_path(), seconds)?;
            if let Ok(mut totals) = totals.lock() {
                totals.passed += u64::from(passed);
                totals.failed += u64::from(!passed);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..JOBS).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
    })?;
    Ok(totals.into_inner().unwrap_or_default())
}

/// Whether a target ran to its end. Its output is shown where it did not.
fn fuzz_one(workspace: &Workspace, target: &str, corpus: &Path, seconds: u32) -> Result<bool> {
    std::fs::create_dir_all(corpus)?;
    let mut run = cargo_fuzz(workspace, "run");
    run.arg(target)
        .arg(corpus)
        .arg(format!("fuzz/corpus/{target}"));
    run.arg("--")
        .arg(format!("-max_total_time={seconds}"))
        .args(LIMITS);
    let output = run
        .output()
        .context("cannot start cargo-fuzz; `cargo xtask setup` installs it")?;
    let log = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        let done = log.lines().rev().find(|line| line.starts_with("Done "));
        println!("{target}: {}", done.unwrap_or("done"));
    } else {
        eprintln!("{target}:\n{log}");
    }
    Ok(output.status.success())
}
