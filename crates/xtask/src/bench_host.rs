//! `cargo xtask bench host`: the time of one inference on one thread of this machine, beside LiteRT
//! and ONNX Runtime, which run in turns with ours; and that of two threads, of ours alone.

use std::path::Path;

use anyhow::Result;

use crate::bench_contest::{self, Contender};
use crate::bench_subjects::{self, Subject};
use crate::bench_threads;
use crate::figures::{self, Places};
use crate::workspace::Workspace;

const HISTORY: &str = "benches/host/history.jsonl";

/// Measures all models, prints them, and adds a line to the history.
pub(crate) fn run(workspace: &Workspace, as_json: bool) -> Result<()> {
    let places = figures::prepare(workspace)?;
    let mut rows = Vec::new();
    for subject in bench_subjects::prepare(workspace, &places)? {
        let mut contenders = contenders(workspace, &places, &subject)?;
        rows.extend(bench_contest::hold(subject.short, "host", &mut contenders)?);
        rows.extend(bench_threads::rows(&places, subject.short, &subject.int8)?);
    }
    bench_contest::print(&rows, as_json);
    bench_contest::remember(workspace, HISTORY, rows)
}

fn contenders(workspace: &Workspace, places: &Places, subject: &Subject) -> Result<Vec<Contender>> {
    let rival = |runtime, kind, model: &Path| {
        let mut rival = bench_subjects::rivals(workspace);
        Contender::worker(
            runtime,
            kind,
            rival.arg(runtime).arg(model).arg(&subject.real),
        )
    };
    let ours = |kind, model: &Path, samples: &Path| -> Result<Contender> {
        let answers = bench_subjects::answers(places, model, samples)?;
        Ok(Contender::program(
            kind,
            places.program.clone(),
            model.to_owned(),
            answers,
        ))
    };
    let mut all = Vec::new();
    if let Some(float) = &subject.float {
        all.push(rival("onnxruntime", "float", &float.onnx)?);
        all.push(ours("float", &float.compact, &subject.real)?);
        all.push(rival("onnxruntime", "int8 by its tool", &float.quantized)?);
    }
    if let Some(tflite) = &subject.float_tflite {
        all.push(rival("litert", "float", tflite)?);
    }
    if let Some(tflite) = &subject.int8_tflite {
        all.push(rival("litert", "int8", tflite)?);
    }
    all.push(rival("onnxruntime", "int8", &subject.qdq_onnx)?);
    all.push(ours("int8", &subject.int8, &subject.raw)?);
    Ok(all)
}
