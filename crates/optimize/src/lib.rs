//! Passes over the graph, one file each. Every pass keeps the meaning of the model, except
//! [`quantize`], which says by how much it changes it.

mod common;
mod dead_channels;
mod fold;
pub mod front_end;
mod fuse;
pub mod half;
mod integers;
mod layout;
pub mod patches;
pub mod quantize;
mod recover;
mod rings;
pub mod streaming;

pub use integers::float_nodes;

use graph::{Error, Graph};

/// A pass: its name, what it does, and the function that applies it and returns how often.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// The name that `--passes` takes.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    run: fn(&mut Graph) -> Result<usize, Error>,
}

/// The passes, in the order in which they run.
pub const PASSES: [Pass; 11] = [
    Pass {
        name: "fold",
        about: "compute what depends on constants only",
        run: fold::run,
    },
    Pass {
        name: "recover",
        about: "find layer norms, GELU and hard-swish in their parts",
        run: recover::run,
    },
    Pass {
        name: "layout",
        about: "cancel transposes and reshapes",
        run: layout::run,
    },
    Pass {
        name: "rings",
        about: "find the latest steps of a stream in variables",
        run: rings::run,
    },
    Pass {
        name: "affine",
        about: "fold scales and offsets into weights",
        run: fuse::affine,
    },
    Pass {
        name: "pad",
        about: "fold padding into windows",
        run: fuse::pad,
    },
    Pass {
        name: "activation",
        about: "fuse activations",
        run: fuse::activation,
    },
    Pass {
        name: "integers",
        about: "make integer operators of quantized ones",
        run: integers::run,
    },
    Pass {
        name: "common",
        about: "compute what is alike once",
        run: common::run,
    },
    Pass {
        name: "dead",
        about: "remove what no output depends on",
        run: |graph| Ok(graph.remove_dead()),
    },
    Pass {
        name: "dead-channels",
        about: "remove channels that nothing depends on",
        run: dead_channels::run,
    },
];

/// How often a pass applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The pass.
    pub name: &'static str,
    /// Changes made.
    pub count: usize,
}

/// Runs the passes that `enabled` accepts, again and again until none applies.
pub fn run(graph: &mut Graph, enabled: impl Fn(&str) -> bool) -> Result<Vec<Applied>, Error> {
    run_observed(graph, enabled, &mut |_, _| Ok(()))
}

/// As [`run`]; `observe` sees the graph after every time that a pass has changed it, and may refuse it.
pub fn run_observed<E: From<Error>>(
    graph: &mut Graph,
    enabled: impl Fn(&str) -> bool,
    observe: &mut dyn FnMut(&'static str, &Graph) -> Result<(), E>,
) -> Result<Vec<Applied>, E> {
    let applied = PASSES.iter().map(|pass| Applied {
        name: pass.name,
        count: 0,
    });
    let mut applied: Vec<Applied> = applied.collect();
    // Every change removes a node or moves a transpose down, so this ends long before.
    for _ in 0..graph.nodes.len() + 8 {
        let mut changes = 0;
        for (pass, applied) in PASSES.iter().zip(&mut applied) {
            if !enabled(pass.name) {
                continue;
            }
            let count = (pass.run)(graph)?;
            applied.count += count;
            changes += count;
            if count > 0 {
                observe(pass.name, graph)?;
            }
        }
        if changes == 0 {
            break;
        }
    }
    graph.verify()?;
    Ok(applied)
}
