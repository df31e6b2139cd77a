//! `cargo xtask ci`: what `.ci/run` does.

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{setup, test};

/// Installs what the tests need, then runs all of them.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    setup::run(workspace)?;
    test::run(workspace, &test::Arguments::default())
}
