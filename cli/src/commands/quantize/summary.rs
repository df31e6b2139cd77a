//! What `modelopt quantize` says of its product.

use super::{Judged, Product};
use crate::float;
use crate::goal::GoalArguments;
use crate::patches::Patches;
use crate::place;
use crate::say::say;
use crate::table::{self, grouped, shortened};
use evaluate::Verdict;
use serde_json::{Value, json};

/// All figures of the product; `output` is the file that was written, and null where a gate did not hold.
pub(super) fn as_json(
    product: &Product,
    judged: Option<&Judged>,
    output: Option<&std::path::Path>,
    source_bytes: u64,
) -> Value {
    let layers: Vec<Value> = product.quantized.layers.iter().map(|layer| json!({
        "name": layer.name, "operator": layer.operator, "shape": layer.shape.dims(), "bytes": layer.bytes,
        "macs": layer.macs, "type": layer.dtype.name(), "scale": layer.output.map(|(scale, _)| scale), "zero_point": layer.output.map(|(_, zero)| zero),
        "sqnr_db": layer.sqnr_db, "bias_corrected": layer.corrected, "rebuilt": layer.rebuilt, "int4_weights": layer.narrow,
    })).collect();
    let float = float::as_json(&product.quantized.float);
    let mut value = json!({
        "output": output.map(|path| path.display().to_string()), "source_bytes": source_bytes, "bytes": product.bytes.len(), "ram_bytes": product.ram_bytes,
        "packed_bytes": product.packed_bytes,
        "samples": product.quantized.samples, "seconds": product.seconds, "equalized": product.quantized.equalized,
        "biases_corrected": product.quantized.corrections[0], "sums_aligned": product.quantized.aligned,
        "layers": layers, "float": float, "patches": product.patches.as_ref().map(Patches::as_json),
    });
    if let Some(judged) = judged {
        value["baseline"] = judged.baseline.to_json();
        value["evaluation"] = judged.evaluation.to_json();
        value["verdicts"] = Value::from(
            judged
                .verdicts
                .iter()
                .map(Verdict::to_json)
                .collect::<Vec<_>>(),
        );
    }
    value
}

pub(super) fn print(
    product: &Product,
    goal: &GoalArguments,
    judged: Option<&Judged>,
    source_bytes: u64,
) {
    let quantized = &product.quantized;
    let mut rows = table::table(
        &[
            "node", "operator", "output", "type", "bytes", "MACs", "scale", "zero", "SQNR dB",
            "bias",
        ],
        4,
    );
    for layer in &quantized.layers {
        let (scale, zero) = layer
            .output
            .map_or((String::new(), String::new()), |(scale, zero)| {
                (format!("{scale:.6}"), zero.to_string())
            });
        rows.add_row([
            shortened(&layer.name),
            layer.operator.to_string(),
            layer.shape.to_string(),
            layer.dtype.to_string(),
            grouped(layer.bytes as u64),
            grouped(layer.macs),
            scale,
            zero,
            layer.sqnr_db.map_or(String::new(), |db| format!("{db:.1}")),
            match (layer.rebuilt, layer.corrected) {
                (true, _) => "rebuilt".into(),
                (false, true) => "bias".into(),
                (false, false) => String::new(),
            },
        ]);
    }
    table::print(rows);
    say!("");
    float::print(&quantized.float);
    let [kept, rolled_back] = quantized.corrections;
    say!(
        "{} samples, {:.2} s; biases corrected in {kept} layers, rolled back in {rolled_back}; {} inputs of sums aligned{}",
        quantized.samples,
        product.seconds,
        quantized.aligned,
        if quantized.equalized {
            "; channels equalized"
        } else {
            ""
        },
    );
    print_sizes(product, goal, source_bytes);
    if let Some(judged) = judged {
        say!(
            "\n{}",
            evaluate::table::side_by_side(&judged.baseline, &judged.evaluation)
        );
        place::print_verdicts(&judged.verdicts);
    }
}

fn print_sizes(product: &Product, goal: &GoalArguments, source_bytes: u64) {
    if let Some(patches) = &product.patches {
        patches.print();
    }
    let narrow = product
        .quantized
        .layers
        .iter()
        .filter(|layer| layer.narrow)
        .count();
    if narrow > 0 {
        say!("int4 weights in {narrow} layers");
    }
    goal.print(product.packed_bytes);
    let bytes = product.bytes.len() as u64;
    let ratio = source_bytes as f64 / bytes.max(1) as f64;
    say!(
        "size {} -> {} bytes ({ratio:.2}x smaller), RAM {} bytes",
        grouped(source_bytes),
        grouped(bytes),
        grouped(product.ram_bytes as u64)
    );
}
