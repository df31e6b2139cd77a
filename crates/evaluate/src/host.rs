//! A compact model in this program.

use crate::layout::{to_caller, to_tensor};
use crate::predict::{Facts, Input, Output, Predict, PredictError, Prediction, signature};
use runtime::Error;
use runtime::host::{Runner, node_macs};

/// A compact model in this program's own runtime.
#[derive(Debug)]
pub struct Host {
    runner: Runner,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
}

fn refused(error: Error) -> PredictError {
    PredictError {
        what: error.to_string(),
        remedy: format!("`modelopt explain M{}` tells more", error.code()),
    }
}

impl Host {
    /// Checks a model and makes it ready.
    pub fn new(bytes: &[u8]) -> Result<Self, PredictError> {
        let runner = Runner::new(bytes).map_err(refused)?;
        let (inputs, outputs) = signature(runner.meta(), &runner.model().map_err(refused)?);
        Ok(Host {
            runner,
            inputs,
            outputs,
        })
    }
}

impl Predict for Host {
    fn name(&self) -> String {
        format!("host ({})", runtime::Architecture::current().name())
    }

    fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    fn facts(&self) -> Facts {
        let Ok(model) = self.runner.model() else {
            return Vec::new();
        };
        let macs: u64 = model.nodes().map(|node| node_macs(&node)).sum();
        vec![
            ("bytes", model.bytes().len() as f64),
            ("ram_bytes", model.arena_bytes() as f64),
            ("macs", macs as f64),
            ("nodes", model.node_count() as f64),
        ]
    }

    fn predict(&mut self, inputs: &[&[f32]]) -> Result<Prediction, PredictError> {
        if inputs.len() != self.inputs.len() {
            return Err(refused(Error::new(runtime::Reason::Port, inputs.len())));
        }
        let axes = |ports: &[format::meta::Port]| -> Vec<Vec<u8>> {
            ports.iter().map(|port| port.axes.clone()).collect()
        };
        let meta = self.runner.meta();
        let (input_axes, output_axes) = (axes(&meta.inputs), axes(&meta.outputs));
        let mut session = self.runner.session().map_err(refused)?;
        for (index, (values, signature)) in inputs.iter().zip(&self.inputs).enumerate() {
            let values = to_tensor(values, &signature.shape, &input_axes[index]);
            session.set_input_f32(index, &values).map_err(refused)?;
        }
        session.run();
        let mut prediction = Prediction::default();
        for (index, signature) in self.outputs.iter().enumerate() {
            let tensor = session.model().output(index);
            let tensor = tensor.ok_or(refused(Error::new(runtime::Reason::Port, index)))?;
            let mut raw = vec![0; tensor.bytes()];
            session.output(index, &mut raw).map_err(refused)?;
            let mut values = vec![0.0; tensor.shape.elements()];
            session.output_f32(index, &mut values).map_err(refused)?;
            prediction
                .outputs
                .push(to_caller(&values, &signature.shape, &output_axes[index]));
            prediction.raw.push(raw);
        }
        Ok(prediction)
    }
}
