//! `modelopt run`: what a model answers.

use crate::dataset::{self, PreprocessArguments, ReadArguments, SoundArguments};
use crate::failure::Failure;
use crate::model::ImportArguments;
use crate::place::{self, Device};
use crate::say::{self, say};
use evaluate::{Output, Prediction};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Run a model on inputs and print its named outputs.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  modelopt run digits.mopt --input digit.png\n  modelopt run kws.mopt --input inputs.npy --limit 3 --json"
)]
pub(crate) struct Arguments {
    /// The model: ONNX, TFLite or .mopt
    model: PathBuf,
    /// An image, an array or any other data; every sample in it is run
    #[arg(long)]
    input: PathBuf,
    /// Run at most this many samples, spread evenly over the data; the first ones where a model keeps
    /// state from one to the next
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = dataset::parse_limit)]
    limit: Option<usize>,
    /// For .bin files: a sample is this many consecutive rows, the next starts one row later
    #[arg(long, value_name = "ROWS")]
    window: Option<usize>,
    #[command(flatten)]
    sound: SoundArguments,
    /// Values or classes printed per output
    #[arg(long, value_name = "N", default_value_t = 5)]
    top: usize,
    /// Where a compact model runs; `modelopt devices` lists them
    #[arg(long, default_value_t = Device::Host)]
    device: Device,
    #[command(flatten)]
    import: ImportArguments,
    #[command(flatten)]
    preprocess: PreprocessArguments,
}

pub(crate) fn run(arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let mut predict = place::open(
        &arguments.model,
        &arguments.import,
        &arguments.preprocess,
        &arguments.device,
    )?;
    let source = dataset::open(
        &arguments.input,
        predict.inputs(),
        &ReadArguments::new(None, arguments.limit, arguments.window)
            .with_sound(arguments.sound)
            .in_sequence(predict.keeps_state()),
    )?;
    let mut results = Vec::new();
    // Where the reader of the answers has left, there is no use for more of them.
    for sample in source.samples()?.take_while(|_| say::is_read()) {
        let sample = sample?;
        let inputs = dataset::prepare(&sample.values, predict.inputs());
        let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
        let prediction = predict.predict(&inputs).map_err(place::failure)?;
        if json {
            results.push(as_json(&sample.name, predict.outputs(), &prediction));
        } else {
            print(&sample.name, predict.outputs(), &prediction, arguments.top);
        }
    }
    if json {
        say!("{}", Value::from(results));
    }
    Ok(())
}

fn as_json(name: &str, outputs: &[Output], prediction: &Prediction) -> Value {
    let outputs: Vec<Value> = outputs
        .iter()
        .zip(&prediction.outputs)
        .map(|(output, values)| {
            let mut value = json!({ "name": output.name, "shape": output.shape, "values": values });
            if output.labels.len() == values.len() && !values.is_empty() {
                value["labels"] = json!(output.labels);
            }
            value
        })
        .collect();
    json!({ "sample": name, "outputs": outputs, "instructions": prediction.instructions })
}

/// Scores by size with their labels; other outputs by their first values.
fn print(name: &str, outputs: &[Output], prediction: &Prediction, top: usize) {
    say!("{}", say::name(name));
    for (output, values) in outputs.iter().zip(&prediction.outputs) {
        let shape: Vec<String> = output.shape.iter().map(usize::to_string).collect();
        say!("  {} [{}]", say::name(&output.name), shape.join(", "));
        let mut order: Vec<usize> = (0..values.len()).collect();
        let is_scores =
            values.len() <= 1000 && output.shape.iter().filter(|&&size| size > 1).count() <= 1;
        if is_scores {
            order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        }
        for &index in order.iter().take(top) {
            let label = output
                .labels
                .get(index)
                .map(|label| say::name(label))
                .unwrap_or_else(|| index.to_string());
            say!("    {label:20} {:.6}", values[index]);
        }
        if values.len() > top {
            say!("    … {} more", values.len() - top);
        }
    }
    if let Some(instructions) = prediction.instructions {
        say!("  {} instructions", crate::table::grouped(instructions));
    }
}
