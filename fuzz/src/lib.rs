//! What several fuzz targets do with what they read.

use graph::Graph;
use runtime::host::Runner;

/// More than this is not run: fuzzing looks for mistakes, not for slow models.
const WORK_MAX: u64 = 1 << 22;

/// Takes a graph to the end: passes, the compact file, one run on zeros. Each step may refuse it.
pub fn whole_way(mut graph: Graph) {
    graph
        .verify()
        .expect("an imported graph keeps its own rules");
    if optimize::run(&mut graph, |_| true).is_err() || graph.macs() > WORK_MAX {
        return;
    }
    graph
        .verify()
        .expect("an optimized graph keeps its own rules");
    let Ok(compiled) = compile::compile(&graph, &compile::Options::default()) else {
        return;
    };
    if (compiled.arena_bytes as u64) < WORK_MAX {
        let mut runner = Runner::new(&compiled.bytes).expect("the runtime takes what is compiled");
        runner
            .session()
            .expect("a checked model has a session")
            .run();
    }
}
