//! The models of `cargo xtask bench host` and `bench wasm`, in every form that a contender takes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::bench_contest;
use crate::figures::{self, Measured, Places};
use crate::process;
use crate::setup::ORACLES_FOLDER;
use crate::workspace::Workspace;

/// Makes the samples and runs the rivals that are Python packages.
const RIVALS: &str = "benches/host/rivals.py";

/// Writes MobileNetV2, which is too large to lie beside the repository.
const MOBILENET: &str = "benches/models/mobilenet_v2.py";

/// A model's files beside the repository.
struct Source {
    short: &'static str,
    float_onnx: Option<&'static str>,
    float_tflite: Option<&'static str>,
    int8_tflite: &'static str,
}

const SOURCES: &[Source] = &[
    Source {
        short: "kws",
        float_onnx: Some("kws_ds_cnn_f32.onnx"),
        float_tflite: None,
        int8_tflite: "kws_ds_cnn_int8.tflite",
    },
    Source {
        short: "vww",
        float_onnx: Some("vww_mobilenet_v1_025_f32.onnx"),
        float_tflite: None,
        int8_tflite: "vww_mobilenet_v1_025_int8.tflite",
    },
    Source {
        short: "ic",
        float_onnx: Some("ic_resnet8_f32.onnx"),
        float_tflite: Some("ic_resnet8_f32.tflite"),
        int8_tflite: "ic_resnet8_int8.tflite",
    },
    Source {
        short: "ad",
        float_onnx: Some("ad_autoencoder_f32.onnx"),
        float_tflite: Some("ad_autoencoder_f32.tflite"),
        int8_tflite: "ad_autoencoder_int8.tflite",
    },
    Source {
        short: "ww",
        float_onnx: None,
        float_tflite: None,
        int8_tflite: "streaming_wakeword_int8.tflite",
    },
];

/// A model, in the forms that there are of it.
pub(crate) struct Subject {
    pub(crate) short: &'static str,
    /// The float ONNX file, where there is one.
    pub(crate) float: Option<Float>,
    pub(crate) float_tflite: Option<PathBuf>,
    pub(crate) int8_tflite: Option<PathBuf>,
    /// Ours in int8.
    pub(crate) int8: PathBuf,
    /// The same, exported as QDQ ONNX.
    pub(crate) qdq_onnx: PathBuf,
    /// Samples as the model takes them, and as preprocessing finds them.
    pub(crate) real: PathBuf,
    pub(crate) raw: PathBuf,
}

/// A float ONNX file and what is made of it.
pub(crate) struct Float {
    pub(crate) onnx: PathBuf,
    /// Ours in float.
    pub(crate) compact: PathBuf,
    /// What ONNX Runtime's own tool quantizes it to, in the form that is the fastest there.
    pub(crate) quantized: PathBuf,
}

/// The program that runs Python rivals.
pub(crate) fn rivals(workspace: &Workspace) -> Command {
    python(workspace, RIVALS)
}

/// A Python script of the repository, with the packages that `cargo xtask setup` installs.
pub(crate) fn python(workspace: &Workspace, script: &str) -> Command {
    let mut python = workspace.command(&format!("{ORACLES_FOLDER}/bin/python"));
    python.arg(script);
    python
}

/// Makes all models and samples.
pub(crate) fn prepare(workspace: &Workspace, places: &Places) -> Result<Vec<Subject>> {
    let samples = places.out.join("samples");
    std::fs::create_dir_all(&samples)?;
    let mut inputs = rivals(workspace);
    process::run(inputs.arg("inputs").arg(&places.shared).arg(&samples))
        .context("`cargo xtask setup` installs what this needs")?;
    let compacts = figures::compacts(places)?;
    let all = SOURCES
        .iter()
        .map(|source| of_source(workspace, places, source, &compacts, &samples));
    let mut all = all.collect::<Result<Vec<Subject>>>()?;
    all.push(mobilenet(workspace, places, &samples)?);
    Ok(all)
}

fn of_source(
    workspace: &Workspace,
    places: &Places,
    source: &Source,
    compacts: &[Measured],
    samples: &Path,
) -> Result<Subject> {
    let models = places.shared.join("models");
    let compact = compacts.iter().find(|made| made.short == source.short);
    let int8 = compact.context("there is no such model")?.compact.clone();
    let float = source.float_onnx.map(|onnx| models.join(onnx));
    let [real, raw] = sample_paths(samples, source.short);
    let float = float.map(|onnx| Float::of(workspace, places, source.short, onnx, &real));
    Ok(Subject {
        short: source.short,
        float: float.transpose()?,
        float_tflite: source.float_tflite.map(|tflite| models.join(tflite)),
        int8_tflite: Some(models.join(source.int8_tflite)),
        qdq_onnx: export(places, &int8)?,
        int8,
        real,
        raw,
    })
}

/// MobileNetV2, quantized with pictures like those that it is run on.
fn mobilenet(workspace: &Workspace, places: &Places, samples: &Path) -> Result<Subject> {
    let short = "mnv2";
    let onnx = places.out.join("mobilenet_v2_f32.onnx");
    process::run(python(workspace, MOBILENET).arg(&onnx))?;
    let int8 = onnx.with_extension("mopt");
    let [calibration, _] = sample_paths(samples, "mnv2_calibration");
    let mut quantize = Command::new(&places.program);
    quantize.arg("quantize").arg(&onnx).arg("--calib");
    figures::json(quantize.arg(&calibration).arg("-o").arg(&int8))?;
    let [real, raw] = sample_paths(samples, short);
    Ok(Subject {
        short,
        float: Some(Float::of(workspace, places, short, onnx, &calibration)?),
        float_tflite: None,
        int8_tflite: None,
        qdq_onnx: export(places, &int8)?,
        int8,
        real,
        raw,
    })
}

/// What our program answers to samples on this machine: the first output's values.
pub(crate) fn answers(places: &Places, model: &Path, samples: &Path) -> Result<Vec<Vec<f64>>> {
    let mut run = Command::new(&places.program);
    let answers = figures::json(run.arg("run").arg(model).arg("--input").arg(samples))?;
    let answers = answers.as_array().context("run prints a list")?.iter();
    let values = answers.map(|sample| bench_contest::numbers(&sample["outputs"][0]["values"]));
    Ok(values.collect())
}

/// A compact model as QDQ ONNX.
fn export(places: &Places, int8: &Path) -> Result<PathBuf> {
    let onnx = int8.with_extension("qdq.onnx");
    let mut export = Command::new(&places.program);
    export.arg("export").arg(int8).args(["--to", "onnx", "-o"]);
    figures::json(export.arg(&onnx))?;
    Ok(onnx)
}

fn sample_paths(samples: &Path, short: &str) -> [PathBuf; 2] {
    ["real", "raw"].map(|kind| samples.join(format!("{short}_{kind}.npy")))
}

impl Float {
    fn of(
        workspace: &Workspace,
        places: &Places,
        short: &str,
        onnx: PathBuf,
        calibration: &Path,
    ) -> Result<Self> {
        let quantized = places.out.join(format!("{short}_u8s8.onnx"));
        let mut quantize = rivals(workspace);
        quantize.arg("quantize").arg(&onnx).arg(calibration);
        process::run(quantize.arg(&quantized))?;
        let compact = places.out.join(format!("{short}_float.mopt"));
        let mut optimize = Command::new(&places.program);
        figures::json(optimize.arg("optimize").arg(&onnx).arg("-o").arg(&compact))?;
        Ok(Float {
            onnx,
            compact,
            quantized,
        })
    }
}
