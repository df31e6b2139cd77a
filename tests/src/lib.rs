//! Models and data for tests across crates: the digits that are in the repository, and real
//! models beside it where they are there.

use data::{Expected, Source};
use evaluate::{Input, layout};
use format::fixed::Rounding;
use format::meta::Preprocess;
use optimize::quantize::{self, Activations, Method, Sample, WeightType};
use std::error::Error;
use std::path::{Path, PathBuf};

/// A source model and what to calibrate and test it on.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The ONNX file.
    pub model: PathBuf,
    /// Its data.
    pub data: PathBuf,
    /// What is done to the data.
    pub preprocess: Preprocess,
}

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The digits in the repository.
pub fn digits() -> Subject {
    let folder = root().join("demo/digits");
    let preprocess = Preprocess {
        scale: 1.0 / 16.0,
        channels_first: true,
        ..Preprocess::default()
    };
    Subject {
        model: folder.join("digits.onnx"),
        data: folder.join("test.npy"),
        preprocess,
    }
}

/// A file of the folder of real models and data. `None`, with a line that says so, where it is not
/// there.
pub fn shared(path: &str) -> Option<PathBuf> {
    let shared =
        std::env::var_os("MODELOPT_SHARED").map_or(root().join("../shared"), PathBuf::from);
    let found = Some(shared.join(path)).filter(|path| path.is_file());
    if found.is_none() {
        println!("skipped: ../shared is missing");
    }
    found
}

/// The keyword model and its 1,000 inputs, where they are there.
pub fn keywords() -> Option<Subject> {
    Some(Subject {
        model: shared("models/kws_ds_cnn_f32.onnx")?,
        data: shared("data/kws/test_inputs_f32.npy")?,
        preprocess: Preprocess::default(),
    })
}

impl Subject {
    /// Samples as the model takes them, in the caller's layout.
    pub fn samples(&self, limit: Option<usize>) -> Result<Vec<Vec<f32>>, Box<dyn Error>> {
        let graph = import::onnx(&self.model, &import::Options::default())?.graph;
        let port = graph.inputs.first().ok_or("the model has no input")?;
        let shape: Vec<usize> = port
            .shape
            .dims()
            .iter()
            .map(|&size| size as usize)
            .collect();
        let expected = Expected {
            name: port.name.clone(),
            shape: shape[1..].to_vec(),
            channels_first: self.preprocess.channels_first,
            channel: None,
        };
        let input = Input {
            name: port.name.clone(),
            shape,
            preprocess: self.preprocess.clone(),
        };
        let options = data::Options {
            limit,
            ..data::Options::default()
        };
        let source = Source::open(&self.data, &[expected], &options)?;
        let mut samples = Vec::new();
        for sample in source.samples()? {
            let mut values = sample?.values;
            evaluate::prepare(&input, &mut values);
            samples.push(values);
        }
        Ok(samples)
    }

    /// The compact model in int8, calibrated on 100 samples.
    pub fn quantized(&self) -> Result<Vec<u8>, Box<dyn Error>> {
        self.quantized_to(Activations::Int8)
    }

    /// The same with activations of a type.
    pub fn quantized_to(&self, activations: Activations) -> Result<Vec<u8>, Box<dyn Error>> {
        self.quantized_in(activations, WeightType::Int8)
    }

    /// The same with weights of a type too.
    pub fn quantized_in(
        &self,
        activations: Activations,
        weights: WeightType,
    ) -> Result<Vec<u8>, Box<dyn Error>> {
        let mut graph = import::onnx(&self.model, &import::Options::default())?.graph;
        optimize::run(&mut graph, |_| true)?;
        let port = graph.inputs.first().ok_or("the model has no input")?;
        let shape: Vec<usize> = port
            .shape
            .dims()
            .iter()
            .map(|&size| size as usize)
            .collect();
        let samples = self.samples(Some(100))?;
        let stored =
            |values: &Vec<f32>| -> Sample { vec![layout::to_tensor(values, &shape, &port.axes)] };
        let compared: Vec<Sample> = samples.iter().step_by(4).map(stored).collect();
        let mut samples = samples.iter().map(|values| Ok(stored(values)));
        let options = quantize::Options {
            activations,
            weights,
            method: Method::default(),
            bias_correction: true,
            reconstruct: true,
            equalize: true,
            int16: &|_| false,
            keep_float: &|_| false,
            rounding: Rounding::High,
        };
        let quantized = quantize::quantize(&graph, &compared, &mut samples, &options, &mut |_| ())?;
        let options = compile::Options {
            preprocess: vec![self.preprocess.clone()],
            narrow_weights: weights == WeightType::Int4,
            ..compile::Options::default()
        };
        Ok(compile::compile(&quantized.graph, &options)?.bytes)
    }
}
