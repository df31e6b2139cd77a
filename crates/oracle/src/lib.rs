//! Source models through tract, an executor that shares no code with ours: the reference that
//! compressed models are compared with. Only its float arithmetic is to be trusted.

use evaluate::{Facts, Input, Output, Predict, PredictError, Prediction};
use std::path::Path;
use std::sync::Arc;
use tract_onnx::prelude::*;

/// An ONNX model that is ready to run.
pub struct Oracle {
    plan: Arc<TypedRunnableModel>,
    inputs: Vec<Input>,
    outputs: Vec<Output>,
    bytes: u64,
}

impl Oracle {
    /// Loads a model. `inputs` and `outputs` are those of the file, with all dimensions known.
    pub fn open(
        path: &Path,
        inputs: Vec<Input>,
        outputs: Vec<Output>,
    ) -> Result<Self, PredictError> {
        let refused = |error: TractError| {
            let error = in_a_line(&error);
            PredictError {
            what: format!("the reference executor (tract) does not take the model: {error}"),
            remedy: "compare with what `modelopt optimize` makes of it, or change the node that it names"
                .into(),
        }
        };
        let plan = load(path, &inputs, &outputs).map_err(refused)?;
        let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
        Ok(Oracle {
            plan,
            inputs,
            outputs,
            bytes,
        })
    }
}

/// An error with its causes, some of which take several lines.
fn in_a_line(error: &TractError) -> String {
    let text = format!("{error:#}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn load(path: &Path, inputs: &[Input], outputs: &[Output]) -> TractResult<Arc<TypedRunnableModel>> {
    let mut model = tract_onnx::onnx().model_for_path(path)?;
    model = model.with_input_names(inputs.iter().map(|input| &input.name))?;
    model = model.with_outputs_by_name(outputs.iter().map(|output| &output.name))?;
    for (index, input) in inputs.iter().enumerate() {
        model.set_input_fact(index, f32::fact(&input.shape[..]).into())?;
        // Shapes in the file may be symbolic; ours are known.
        for output in 0..model.outputs.len() {
            model.set_output_fact(output, InferenceFact::default())?;
        }
    }
    model.into_optimized()?.into_runnable()
}

impl Predict for Oracle {
    fn name(&self) -> String {
        "source model in tract".into()
    }

    fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    fn facts(&self) -> Facts {
        vec![("bytes", self.bytes as f64)]
    }

    fn predict(&mut self, inputs: &[&[f32]]) -> Result<Prediction, PredictError> {
        let outputs = run(&self.plan, &self.inputs, inputs).map_err(|error| PredictError {
            what: format!(
                "the reference executor (tract) fails: {}",
                in_a_line(&error)
            ),
            remedy: "check that the data fits the model's inputs".into(),
        })?;
        Ok(Prediction {
            outputs,
            raw: Vec::new(),
            instructions: None,
        })
    }
}

fn run(
    plan: &Arc<TypedRunnableModel>,
    signature: &[Input],
    inputs: &[&[f32]],
) -> TractResult<Vec<Vec<f32>>> {
    let tensors: TractResult<TVec<TValue>> = signature
        .iter()
        .zip(inputs)
        .map(|(input, values)| Ok(Tensor::from_shape(&input.shape, values)?.into()))
        .collect();
    let results = plan.run(tensors?)?;
    results
        .iter()
        .map(|result| {
            let floats = result.cast_to::<f32>()?;
            Ok(floats
                .to_plain_array_view::<f32>()?
                .iter()
                .copied()
                .collect())
        })
        .collect()
}
