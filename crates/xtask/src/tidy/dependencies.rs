//! The packages of all Cargo workspaces, as Cargo resolves them.

use std::collections::BTreeMap;

use anyhow::Result;
use cargo_metadata::DependencyKind;

use crate::workspace::Workspace;

/// What the rules of the dependencies look at.
#[derive(Clone, Debug, Default)]
pub(super) struct Dependency {
    /// The package's name.
    pub(super) name: String,
    /// Its licence expression, if it states one.
    pub(super) licence: Option<String>,
    /// Whether it is one of the project's own.
    pub(super) is_own: bool,
    /// Names of the packages that it is built from; those of tests and build scripts are not.
    pub(super) uses: Vec<String>,
}

/// Every package once, sorted by name.
pub(super) fn read(workspace: &Workspace) -> Result<Vec<Dependency>> {
    let mut packages = BTreeMap::new();
    for folder in workspace.cargo_workspaces() {
        let metadata = workspace.metadata(&folder)?;
        for package in &metadata.packages {
            let normal = |dependency: &&cargo_metadata::Dependency| {
                dependency.kind == DependencyKind::Normal
            };
            let dependencies = package.dependencies.iter().filter(normal);
            let dependency = Dependency {
                name: package.name.to_string(),
                licence: package.license.clone(),
                is_own: package.source.is_none(),
                uses: dependencies
                    .map(|dependency| dependency.name.clone())
                    .collect(),
            };
            packages.insert(
                (dependency.name.clone(), package.version.clone()),
                dependency,
            );
        }
    }
    Ok(packages.into_values().collect())
}
