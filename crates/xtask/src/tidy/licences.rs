//! Every dependency may be used by anyone: its licence is permissive.

use spdx::{Expression, LicenseReq, ParseMode};

use super::dependencies::Dependency;
use super::files::Finding;

/// Licences that ask for no more than a notice; `deny.toml` has the same list.
const PERMISSIVE: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "NCSA",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Finds packages whose licence is missing, unknown, or asks for more.
pub(super) fn check(packages: &[Dependency]) -> Vec<Finding> {
    let mut findings = Vec::new();
    // An exported model is its owner's, and states no licence.
    let is_exported = |package: &&Dependency| package.is_own && package.name == "model";
    for package in packages.iter().filter(|package| !is_exported(package)) {
        if let Err(message) = check_licence(package.licence.as_deref()) {
            findings.push(Finding {
                path: package.name.clone(),
                line: 0,
                message,
            });
        }
    }
    findings
}

fn check_licence(licence: Option<&str>) -> Result<(), String> {
    let Some(licence) = licence else {
        return Err("the package states no licence expression".to_owned());
    };
    let expression = Expression::parse_mode(licence, ParseMode::LAX).map_err(|error| {
        format!(
            "the licence `{licence}` is not understood: {}",
            error.reason
        )
    })?;
    if expression.evaluate(is_permissive) {
        return Ok(());
    }
    Err(format!(
        "the licence `{licence}` is not in the list of permissive ones"
    ))
}

fn is_permissive(required: &LicenseReq) -> bool {
    let required = required.to_string();
    PERMISSIVE.iter().any(|licence| *licence == required)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(licence: Option<&str>) -> usize {
        let licence = licence.map(str::to_owned);
        check(&[Dependency {
            name: "a".to_owned(),
            licence,
            ..Dependency::default()
        }])
        .len()
    }

    #[test]
    fn licences_that_ask_for_more_are_found() {
        for licence in [
            "GPL-3.0-only",
            "MPL-2.0",
            "MIT AND GPL-2.0-only",
            "Apache-2.0 WITH GCC-exception-3.1",
        ] {
            assert_eq!(check_one(Some(licence)), 1, "{licence}");
        }
    }

    #[test]
    fn missing_and_unknown_licences_are_found() {
        assert_eq!(check_one(None), 1);
        assert_eq!(check_one(Some("Our Own Licence")), 1);
    }

    #[test]
    fn permissive_licences_and_choices_that_contain_one_are_fine() {
        for licence in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-2.0-only OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
        ] {
            assert_eq!(check_one(Some(licence)), 0, "{licence}");
        }
    }

    #[test]
    fn the_list_for_cargo_deny_is_the_same() {
        let settings = include_str!("../../../../deny.toml");
        let listed = settings
            .lines()
            .filter_map(|line| line.trim().strip_prefix('"'));
        let listed: Vec<&str> = listed.filter_map(|line| line.strip_suffix("\",")).collect();
        assert_eq!(listed, PERMISSIVE);
    }
}
