//! Models that keep variables from run to run, over sequences and behind a reset.

use crate::{Case, cases, equal, import, oracle_of};
use compile::Options as CompileOptions;
use graph::Graph;
use import::{Imported, Options};
use runtime::host::Runner;

/// The outputs for a sequence, and those for the same once more behind a reset.
fn twice(imported: &Imported, samples: &[u8]) -> [Vec<u8>; 2] {
    let options = CompileOptions {
        rounding: imported.rounding,
        ..CompileOptions::default()
    };
    let compiled = compile::compile(&imported.graph, &options).unwrap_or_else(|e| panic!("{e}"));
    let mut runner = Runner::new(&compiled.bytes).unwrap();
    let model = runner.model().unwrap();
    let [input, output] = [model.input(0), model.output(0)].map(|port| port.unwrap().bytes());
    let mut session = runner.session().unwrap();
    [(); 2].map(|()| {
        session.reset();
        let mut outputs = Vec::new();
        for sample in samples.chunks(input) {
            session.set_input(0, sample).unwrap();
            session.run();
            let mut made = vec![0; output];
            session.output(0, &mut made).unwrap();
            outputs.extend(made);
        }
        outputs
    })
}

fn operators(graph: &Graph, name: &str) -> usize {
    let nodes = graph.nodes.iter();
    nodes
        .filter(|node| node.kind.operator().name() == name)
        .count()
}

/// Rings, sums, orders of reading and assigning, and starts: the bytes of TensorFlow Lite Micro.
#[test]
fn variables_equal_tflm() {
    equal("tflite_variables", "operators", 16);
}

/// A reset takes variables back to what the file starts them from.
#[test]
fn a_reset_starts_variables_again() {
    let Some((_folder, all)) = cases("tflite_variables", "operators") else {
        return;
    };
    for Case {
        name,
        path,
        samples,
        expected,
    } in &all
    {
        let mut imported = import(path);
        assert!(
            twice(&imported, samples)
                .iter()
                .all(|made| made == expected),
            "{name}"
        );
        optimize::run(&mut imported.graph, |_| true).unwrap();
        assert!(
            twice(&imported, samples)
                .iter()
                .all(|made| made == expected),
            "{name} with passes"
        );
    }
}

/// Rings of steps are histories once passes have run, and leave neither a copy nor an assignment.
#[test]
fn rings_become_histories() {
    let Some((_folder, all)) = cases("tflite_variables", "operators") else {
        return;
    };
    let made = |name: &str| -> [usize; 3] {
        let case = all.iter().find(|case| case.name == name).unwrap();
        let mut graph = import(&case.path).graph;
        optimize::run(&mut graph, |_| true).unwrap();
        ["history", "assign", "concat"].map(|name| operators(&graph, name))
    };
    assert_eq!(made("ring_True"), [1, 0, 0]);
    assert_eq!(made("ring_False"), [1, 0, 0]);
    assert_eq!(made("ring_values"), [1, 0, 0]);
    assert_eq!(made("one_step"), [1, 0, 0]);
    assert_eq!(made("wake_word"), [4, 0, 2]);
    assert_eq!(made("sum"), [0, 1, 0]);
}

/// Variables of floats, with the sums of each runtime.
#[test]
fn float_variables_are_near_those_of_others() {
    for command in ["floats", "litert"] {
        let Some((_folder, all)) = cases("tflite_variables", command) else {
            return;
        };
        assert!(all.len() > 10, "{} models of {command}", all.len());
        all.iter().for_each(|case| is_near(case, command));
    }
}

fn is_near(case: &Case, command: &str) {
    let mut imported = import(&case.path);
    optimize::run(&mut imported.graph, |_| true).unwrap();
    for made in twice(&imported, &case.samples) {
        assert_eq!(made.len(), case.expected.len(), "{}", case.name);
        let ([made, expected], name) = ([&made, &case.expected], &case.name);
        let [made, expected] = [made, expected].map(|bytes| bytes.as_chunks::<4>().0);
        for (a, b) in made.iter().zip(expected) {
            let [a, b] = [a, b].map(|bytes| f32::from_le_bytes(*bytes));
            let is_near = (a - b).abs() <= 1e-5 * b.abs().max(1.0);
            assert!(is_near, "{name} of {command}: {a}, not {b}");
        }
    }
}

/// What cannot be kept as the file says is refused with node and reason.
#[test]
fn refusals_of_variables_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    if oracle_of(
        "tflite_variables",
        &["refusals", &path.display().to_string()],
    )
    .is_none()
    {
        return;
    }
    let mut count = 0;
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "tflite") {
            let reason = std::fs::read_to_string(path.with_extension("txt")).unwrap();
            let message = import::tflite(&path, &Options::default())
                .unwrap_err()
                .to_string();
            assert!(message.contains(&reason), "{message}, not {reason}");
            count += 1;
        }
    }
    assert_eq!(count, 5);
}
