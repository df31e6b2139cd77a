//! `cargo xtask tidy`: what the project asks of its source beyond what the compiler checks.
//!
//! One file per rule. A rule of the source takes all files and returns what it found, so its tests
//! hand it small samples; a rule of the dependencies takes Cargo's metadata.

mod dead_files;
mod dependencies;
mod files;
mod large_files;
mod layers;
mod lengths;
mod licences;
mod links;
mod local_names;
mod operators;
mod syntax;
mod unfinished;
mod unsafe_code;

use anyhow::{Result, bail};

use self::files::{Finding, SourceFile};
use crate::totals::Totals;
use crate::workspace::Workspace;

/// A rule of the source, by the name that is printed.
struct Rule {
    name: &'static str,
    check: fn(&[SourceFile]) -> Vec<Finding>,
}

const RULES: &[Rule] = &[
    Rule {
        name: "no dead files",
        check: dead_files::check,
    },
    Rule {
        name: "no large files",
        check: large_files::check,
    },
    Rule {
        name: "files and functions fit a screen",
        check: lengths::check,
    },
    Rule {
        name: "links of documents resolve",
        check: links::check,
    },
    Rule {
        name: "no names of a machine or a registry",
        check: local_names::check,
    },
    Rule {
        name: "operators are listed",
        check: operators::check,
    },
    Rule {
        name: "nothing is unfinished",
        check: unfinished::check,
    },
    Rule {
        name: "unsafe code is confined and proved",
        check: unsafe_code::check,
    },
];

/// Checks every rule, prints what was found and fails if anything was.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let totals = check(workspace)?;
    println!("{totals}");
    if totals.failed > 0 {
        bail!("the source is not tidy");
    }
    Ok(())
}

/// Checks every rule and prints what was found; each rule counts as one test.
pub(crate) fn check(workspace: &Workspace) -> Result<Totals> {
    let files = files::read(workspace)?;
    let mut totals = Totals::default();
    for rule in RULES {
        totals += report(rule.name, &(rule.check)(&files));
    }
    let packages = dependencies::read(workspace)?;
    totals += report("dependencies keep to the layers", &layers::check(&packages));
    totals += report("licences are permissive", &licences::check(&packages));
    Ok(totals)
}

fn report(rule: &str, findings: &[Finding]) -> Totals {
    for finding in findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("ok      {rule}");
        return Totals::ONE_PASSED;
    }
    println!("FAILED  {rule}: {}", findings.len());
    Totals {
        failed: 1,
        ..Totals::default()
    }
}
