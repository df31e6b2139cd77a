//! Dependencies between the project's own packages point one way.

use super::dependencies::Dependency;
use super::files::Finding;

/// For every package, from the device upwards, those that it may be built from.
///
/// Tests may use more: a dependency of tests is not in the product.
const LAYERS: &[(&str, &[&str])] = &[
    ("modelopt-format", &[]),
    ("modelopt-kernels", &["modelopt-format"]),
    ("modelopt-runtime", &["modelopt-format", "modelopt-kernels"]),
    ("modelopt-wire", &["modelopt-format"]),
    ("modelopt-data", &["modelopt-format"]),
    (
        "modelopt-graph",
        &["modelopt-format", "modelopt-kernels", "modelopt-runtime"],
    ),
    (
        "modelopt-import",
        &["modelopt-format", "modelopt-runtime", "modelopt-graph"],
    ),
    (
        "modelopt-compile",
        &[
            "modelopt-format",
            "modelopt-kernels",
            "modelopt-runtime",
            "modelopt-graph",
        ],
    ),
    (
        "modelopt-optimize",
        &[
            "modelopt-format",
            "modelopt-kernels",
            "modelopt-runtime",
            "modelopt-graph",
            "modelopt-compile",
            "modelopt-data",
        ],
    ),
    (
        "modelopt-export",
        &["modelopt-format", "modelopt-kernels", "modelopt-runtime"],
    ),
    (
        "modelopt-train",
        &[
            "modelopt-format",
            "modelopt-runtime",
            "modelopt-graph",
            "modelopt-compile",
            "modelopt-data",
            "modelopt-optimize",
        ],
    ),
    (
        "modelopt-evaluate",
        &["modelopt-format", "modelopt-runtime", "modelopt-data"],
    ),
    (
        "modelopt-oracle",
        &["modelopt-format", "modelopt-data", "modelopt-evaluate"],
    ),
    (
        "modelopt-device",
        &[
            "modelopt-format",
            "modelopt-runtime",
            "modelopt-wire",
            "modelopt-data",
            "modelopt-evaluate",
        ],
    ),
    ("modelopt-wasm", DEVICE),
    ("modelopt-firmware", DEVICE),
    // What `modelopt export` has written for the image of one model.
    ("model", &["modelopt-runtime"]),
    ("modelopt", HOST),
    ("modelopt-benches", HOST),
    ("modelopt-tests", HOST),
    ("modelopt-fuzz", HOST),
    ("xtask", &[]),
];

/// What runs on a device.
const DEVICE: &[&str] = &[
    "modelopt-format",
    "modelopt-kernels",
    "modelopt-runtime",
    "modelopt-wire",
];

/// What the command line stands on: everything but itself and the device programs.
const HOST: &[&str] = &[
    "modelopt-format",
    "modelopt-kernels",
    "modelopt-runtime",
    "modelopt-wire",
    "modelopt-data",
    "modelopt-graph",
    "modelopt-import",
    "modelopt-optimize",
    "modelopt-train",
    "modelopt-compile",
    "modelopt-export",
    "modelopt-evaluate",
    "modelopt-oracle",
    "modelopt-device",
];

/// A package of firmware for one family of boards, beside the part that all share.
const FIRMWARE_PREFIX: &str = "modelopt-firmware-";

/// Finds own packages that the table lacks, and dependencies that it does not allow.
pub(super) fn check(packages: &[Dependency]) -> Vec<Finding> {
    let own: Vec<&Dependency> = packages.iter().filter(|package| package.is_own).collect();
    let mut findings = Vec::new();
    for package in &own {
        let path = package.name.clone();
        let Some(allowed) = allowed(&package.name) else {
            let message = "the table of layers has no such package; add it where it belongs";
            findings.push(Finding {
                path,
                line: 0,
                message: message.to_owned(),
            });
            continue;
        };
        let is_own = |name: &&String| own.iter().any(|package| package.name == **name);
        for used in package.uses.iter().filter(is_own) {
            if !allowed.contains(&used.as_str()) {
                let message = format!("it may not depend on {used}: see the table of layers");
                findings.push(Finding {
                    path: path.clone(),
                    line: 0,
                    message,
                });
            }
        }
    }
    findings
}

fn allowed(package: &str) -> Option<Vec<&'static str>> {
    if package.starts_with(FIRMWARE_PREFIX) {
        let own = ["modelopt-firmware", "modelopt-firmware-cortex-m", "model"];
        return Some(DEVICE.iter().copied().chain(own).collect());
    }
    let row = LAYERS.iter().find(|(name, _)| *name == package)?;
    Some(row.1.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, uses: &[&str], is_own: bool) -> Dependency {
        let uses = uses.iter().map(|name| (*name).to_owned()).collect();
        Dependency {
            name: name.to_owned(),
            uses,
            is_own,
            licence: None,
        }
    }

    #[test]
    fn a_dependency_upwards_is_found() {
        let findings = check(&[
            package("modelopt-format", &["modelopt-runtime", "serde"], true),
            package("modelopt-runtime", &["modelopt-format"], true),
            package("serde", &[], false),
        ]);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].path, "modelopt-format");
    }

    #[test]
    fn the_evaluator_sees_no_graph() {
        let evaluate = package("modelopt-evaluate", &["modelopt-graph"], true);
        assert_eq!(
            check(&[evaluate, package("modelopt-graph", &[], true)]).len(),
            1
        );
    }

    #[test]
    fn a_package_that_the_table_lacks_is_found() {
        assert_eq!(check(&[package("modelopt-other", &[], true)]).len(), 1);
        assert_eq!(check(&[package("other", &[], false)]), []);
    }

    #[test]
    fn a_boards_firmware_may_use_the_shared_part() {
        let board = package("modelopt-firmware-mps2", &["modelopt-firmware"], true);
        assert_eq!(
            check(&[board, package("modelopt-firmware", &DEVICE[..1], true)]),
            []
        );
    }

    #[test]
    fn the_table_is_in_order_and_so_has_no_cycle() {
        for (row, (name, uses)) in LAYERS.iter().enumerate() {
            for used in *uses {
                let position = LAYERS.iter().position(|(name, _)| name == used);
                assert!(
                    position.is_some_and(|position| position < row),
                    "{name} uses {used}"
                );
            }
        }
    }
}
