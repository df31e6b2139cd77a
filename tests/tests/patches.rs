//! Real models with their first layers in stripes: the same bits from less memory.

use compile::{Options, compile};
use modelopt_tests::shared;
use optimize::patches::patch;
use runtime::host::Runner;

fn answers(file: &[u8]) -> Vec<Vec<u8>> {
    let mut runner = Runner::new(file).unwrap();
    let mut session = runner.session().unwrap();
    let model = session.model();
    let (input, output) = (model.input(0).unwrap(), model.output(0).unwrap());
    let answer = |seed: usize| {
        let bytes = (0..input.bytes()).map(|i| (i * (7919 + seed) / 7 % 256) as u8);
        session.set_input(0, &bytes.collect::<Vec<u8>>()).unwrap();
        session.run();
        let mut bytes = vec![0; output.bytes()];
        session.output(0, &mut bytes).unwrap();
        bytes
    };
    (0..20).map(answer).collect()
}

/// Memory before and after, and the share of operations that are added.
fn check(model: &str, stripes: usize) -> Option<([usize; 2], f64)> {
    let source = import::tflite(&shared(model)?, &import::Options::default()).unwrap();
    let mut graph = source.graph;
    optimize::run(&mut graph, |_| true).unwrap();
    let options = Options {
        rounding: source.rounding,
        ..Options::default()
    };
    let whole = compile(&graph, &options).unwrap();
    let patched = patch(&graph, stripes, whole.arena_bytes, &options)
        .unwrap()
        .unwrap();
    let parts = compile(&patched.graph, &options).unwrap();
    assert!(answers(&parts.bytes) == answers(&whole.bytes), "{model}");
    let added = patched.graph.macs() as f64 / graph.macs() as f64 - 1.0;
    println!(
        "{model} in {stripes} stripes: RAM {} -> {} bytes, file {} -> {} bytes, MACs {:+.1} %",
        whole.arena_bytes,
        parts.arena_bytes,
        whole.bytes.len(),
        parts.bytes.len(),
        added * 100.0
    );
    Some(([whole.arena_bytes, parts.arena_bytes], added))
}

#[test]
fn pictures_take_less_memory() {
    let Some(([before, after], added)) = check("models/ic_resnet8_int8.tflite", 2) else {
        return;
    };
    assert!(after * 4 < before * 3 && added < 0.1);
    check("models/ic_resnet8_int8.tflite", 4);
}

/// Its input alone is 27,648 bytes.
#[test]
fn persons_take_less_memory() {
    let Some(([before, after], added)) = check("models/vww_mobilenet_v1_025_int8.tflite", 8) else {
        return;
    };
    assert!(after + 3_000 < before && added < 0.1);
}
