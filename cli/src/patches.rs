//! `--patches`: the first layers in stripes of rows, where that saves working memory.

use crate::failure::Failure;
use crate::say::say;
use crate::table::{grouped, shortened};
use compile::Options;
use graph::Graph;
use optimize::patches::patch;
use serde_json::{Value, json};

#[derive(clap::Args)]
pub(crate) struct PatchArguments {
    /// Compute the first layers in N stripes of rows, up to the layer with which the model takes the
    /// least RAM: answers of integers stay the same to the bit, rows where stripes meet are computed
    /// twice
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..))]
    patches: Option<u16>,
}

/// What became of the option.
pub(crate) struct Patches {
    stripes: usize,
    /// The last layer in stripes, if any are.
    last: Option<String>,
    /// Before and after.
    ram_bytes: [usize; 2],
    macs: [u64; 2],
}

impl PatchArguments {
    /// Changes the graph, if it is asked for and takes less RAM then.
    pub(crate) fn apply(
        &self,
        graph: &mut Graph,
        options: &Options,
    ) -> Result<Option<Patches>, Failure> {
        let Some(stripes) = self.patches.map(usize::from) else {
            return Ok(None);
        };
        let before = compile::compile(graph, options)?.arena_bytes;
        let mut patches = Patches {
            stripes,
            last: None,
            ram_bytes: [before; 2],
            macs: [graph.macs(); 2],
        };
        if let Some(patched) = patch(graph, stripes, before, options)? {
            *graph = patched.graph;
            patches.last = Some(patched.last);
            patches.ram_bytes[1] = patched.ram_bytes;
            patches.macs[1] = graph.macs();
        }
        Ok(Some(patches))
    }

    /// The option as it would be typed.
    pub(crate) fn recipe(&self) -> String {
        self.patches
            .map_or(String::new(), |stripes| format!(" --patches {stripes}"))
    }
}

impl Patches {
    pub(crate) fn as_json(&self) -> Value {
        json!({
            "stripes": self.stripes, "last": self.last, "ram_bytes_before": self.ram_bytes[0],
            "ram_bytes": self.ram_bytes[1], "macs_before": self.macs[0], "macs": self.macs[1],
        })
    }

    pub(crate) fn print(&self) {
        let Some(last) = &self.last else {
            say!(
                "patches: {} stripes save no RAM, whichever layers are in them; nothing was changed",
                self.stripes
            );
            return;
        };
        let [[ram_before, ram], macs] = [self.ram_bytes.map(|bytes| bytes as u64), self.macs];
        say!(
            "patches: all up to '{}' in {} stripes, RAM {} -> {} bytes, MACs {} -> {} ({:+.1} %)",
            shortened(last),
            self.stripes,
            grouped(ram_before),
            grouped(ram),
            grouped(macs[0]),
            grouped(macs[1]),
            (macs[1] as f64 / macs[0].max(1) as f64 - 1.0) * 100.0,
        );
    }
}
