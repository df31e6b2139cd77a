//! A session runs without memory of its own: an allocator that forbids it stands guard.

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use modelopt_tests::{Subject, digits, keywords};
use runtime::host::AlignedBytes;
use runtime::{Model, Session, ops};

#[global_allocator]
static GUARD: AllocDisabler = AllocDisabler;

fn check(subject: &Subject) {
    let file = AlignedBytes::copy_of(&subject.quantized().unwrap());
    let samples = subject.samples(Some(3)).unwrap();
    let model = Model::new(file.bytes()).unwrap();
    let mut memory = AlignedBytes::zeroed(Session::memory_bytes(&model, ops::ALL).unwrap());
    let input = model.input(0).unwrap();
    let inputs: Vec<Vec<u8>> = samples
        .iter()
        .map(|sample| evaluate::layout::encode(&input, sample).unwrap())
        .collect();
    let mut output = vec![0; model.output(0).unwrap().bytes()];
    assert_no_alloc(|| {
        let mut session = Session::new(model, ops::ALL, memory.bytes_mut()).unwrap();
        for input in &inputs {
            session.set_input(0, input).unwrap();
            session.run();
            session.output(0, &mut output).unwrap();
        }
    });
    assert!(output.iter().any(|&value| value != 0));
}

#[test]
fn the_digits_run_without_allocating() {
    check(&digits());
}

#[test]
fn the_keywords_run_without_allocating() {
    if let Some(subject) = keywords() {
        check(&subject);
    }
}
