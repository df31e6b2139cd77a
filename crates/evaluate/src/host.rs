//! A compact model in this program.

use crate::layout::{to_caller, to_tensor};
use crate::predict::{Facts, Input, Output, Predict, PredictError, Prediction, signature};
use runtime::host::{Batch, Runner, node_macs};
use runtime::{Error, Session};

/// Samples of each thread that are worth handing over.
const SAMPLES_PER_THREAD: usize = 8;

/// A compact model in this program's own runtime.
#[derive(Debug)]
pub struct Host {
    batch: Batch,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    facts: Facts,
    keeps_state: bool,
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
        Host::with_threads(bytes, 1)
    }

    /// The same on so many threads, each of which takes samples of its own.
    pub fn with_threads(bytes: &[u8], threads: usize) -> Result<Self, PredictError> {
        let runner = Runner::new(bytes).map_err(refused)?;
        let model = runner.model().map_err(refused)?;
        let (inputs, outputs) = signature(runner.meta(), &model);
        let macs: u64 = model.nodes().map(|node| node_macs(&node)).sum();
        let facts = vec![
            ("bytes", model.bytes().len() as f64),
            ("ram_bytes", model.arena_bytes() as f64),
            ("macs", macs as f64),
            ("nodes", model.node_count() as f64),
        ];
        Ok(Host {
            keeps_state: model.state_bytes() > 0,
            batch: Batch::of(runner, threads).map_err(refused)?,
            inputs,
            outputs,
            facts,
        })
    }

    /// Runs one sample in a thread's session.
    fn answer(
        &self,
        session: &mut Session<'_>,
        inputs: &[&[f32]],
    ) -> Result<Prediction, PredictError> {
        if inputs.len() != self.inputs.len() {
            return Err(refused(Error::new(runtime::Reason::Port, inputs.len())));
        }
        let meta = self.batch.meta();
        let signatures = self.inputs.iter().zip(&meta.inputs);
        for (index, (values, (signature, port))) in inputs.iter().zip(signatures).enumerate() {
            let values = to_tensor(values, &signature.shape, &port.axes);
            session.set_input_f32(index, &values).map_err(refused)?;
        }
        session.run();
        let mut prediction = Prediction::default();
        for (index, (signature, port)) in self.outputs.iter().zip(&meta.outputs).enumerate() {
            let tensor = session.model().output(index);
            let tensor = tensor.ok_or(refused(Error::new(runtime::Reason::Port, index)))?;
            let mut raw = vec![0; tensor.bytes()];
            session.output(index, &mut raw).map_err(refused)?;
            let mut values = vec![0.0; tensor.shape.elements()];
            session.output_f32(index, &mut values).map_err(refused)?;
            let values = to_caller(&values, &signature.shape, &port.axes);
            prediction.outputs.push(values);
            prediction.raw.push(raw);
        }
        Ok(prediction)
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
        self.facts.clone()
    }

    fn keeps_state(&self) -> bool {
        self.keeps_state
    }

    fn predict(&mut self, inputs: &[&[f32]]) -> Result<Prediction, PredictError> {
        let answer = |session: &mut Session<'_>, _| self.answer(session, inputs);
        let answers = self.batch.run(1, answer).map_err(refused)?;
        answers
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?
            .pop()
            .ok_or(refused(Error::new(runtime::Reason::Port, 0)))
    }

    fn at_once(&self) -> usize {
        match self.batch.threads() {
            1 => 1,
            threads => SAMPLES_PER_THREAD * threads,
        }
    }

    fn predict_all(&mut self, samples: &[Vec<&[f32]>]) -> Result<Vec<Prediction>, PredictError> {
        let answer = |session: &mut Session<'_>, index: usize| {
            let inputs = samples.get(index).map_or(&[][..], Vec::as_slice);
            self.answer(session, inputs)
        };
        let answers = self.batch.run(samples.len(), answer).map_err(refused)?;
        answers.into_iter().collect()
    }
}
