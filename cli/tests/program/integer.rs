//! Whole networks in integer arithmetic from end to end: a transformer as exporters write it, recurrent
//! networks, and one that makes images.

use crate::writer::{Writer, file, float, int, ints, noise, npy, text};
use crate::{json, refused};
use rten_onnx::onnx::GraphProto;
use serde_json::Value;

/// Tokens, their features, features inside, heads, features of the layers between, classes.
const TOKENS: usize = 12;
const FEATURES: usize = 6;
const WIDTH: usize = 16;
const HEADS: usize = 2;
const INNER: usize = 32;
const CLASSES: usize = 4;

impl Writer {
    fn linear(&mut self, x: &str, inputs: usize, outputs: usize) -> String {
        let weights = self.weights(&[inputs, outputs], (3.0 / inputs as f32).sqrt());
        let bias = self.weights(&[outputs], 0.2);
        let product = self.node("MatMul", &[x, &weights], vec![]);
        self.node("Add", &[&product, &bias], vec![])
    }

    /// Layer normalization in its parts.
    fn normalized(&mut self, x: &str) -> String {
        let axes = || vec![ints("axes", &[-1])];
        let mean = self.node("ReduceMean", &[x], axes());
        let centred = self.node("Sub", &[x, &mean], vec![]);
        let two = self.scalar(2.0);
        let squares = self.node("Pow", &[&centred, &two], vec![]);
        let variance = self.node("ReduceMean", &[&squares], axes());
        let epsilon = self.scalar(1e-5);
        let raised = self.node("Add", &[&variance, &epsilon], vec![]);
        let deviation = self.node("Sqrt", &[&raised], vec![]);
        let normal = self.node("Div", &[&centred, &deviation], vec![]);
        let gamma = noise(WIDTH, 77).iter().map(|v| 1.0 + 0.3 * v).collect();
        let gamma = self.constant(&[WIDTH], gamma);
        let beta = self.weights(&[WIDTH], 0.3);
        let scaled = self.node("Mul", &[&normal, &gamma], vec![]);
        self.node("Add", &[&scaled, &beta], vec![])
    }

    /// `[1, T, W]` as `[1, H, T, W / H]`, its axes in another order if asked for.
    fn heads(&mut self, x: &str, order: &[i64]) -> String {
        let dims = [1, TOKENS, HEADS, WIDTH / HEADS].map(|size| size as i64);
        let dims = self.whole(&dims);
        let parts = self.node("Reshape", &[x, &dims], vec![]);
        self.node("Transpose", &[&parts], vec![ints("perm", order)])
    }

    /// Scores, of which tokens see none for those behind them: chosen from or added to.
    fn masked(&mut self, scores: &str, how: &str) -> String {
        let is_ahead = |at: usize| at % TOKENS > at / TOKENS;
        let mask = (0..TOKENS * TOKENS).map(is_ahead);
        if how == "Add" {
            let mask = mask.map(|ahead| if ahead { -1e9 } else { 0.0 }).collect();
            let mask = self.constant(&[TOKENS, TOKENS], mask);
            return self.node("Add", &[scores, &mask], vec![]);
        }
        let mask = mask.map(|ahead| f32::from(u8::from(ahead))).collect();
        let mask = self.constant(&[1, 1, TOKENS, TOKENS], mask);
        let mask = self.node("Cast", &[&mask], vec![int("to", 9)]);
        let nothing = self.scalar(f32::NEG_INFINITY);
        self.node("Where", &[&mask, &nothing, scores], vec![])
    }

    fn attention(&mut self, x: &str, mask: Option<&str>) -> String {
        let [q, k, v] = [0; 3].map(|_| self.linear(x, WIDTH, WIDTH));
        let q = self.heads(&q, &[0, 2, 1, 3]);
        let k = self.heads(&k, &[0, 2, 3, 1]);
        let v = self.heads(&v, &[0, 2, 1, 3]);
        let scores = self.node("MatMul", &[&q, &k], vec![]);
        let root = self.scalar(((WIDTH / HEADS) as f32).sqrt());
        let scores = self.node("Div", &[&scores, &root], vec![]);
        let scores = match mask {
            Some(how) => self.masked(&scores, how),
            None => scores,
        };
        let shares = self.node("Softmax", &[&scores], vec![int("axis", -1)]);
        let mixed = self.node("MatMul", &[&shares, &v], vec![]);
        let mixed = self.node("Transpose", &[&mixed], vec![ints("perm", &[0, 2, 1, 3])]);
        let dims = self.whole(&[1, TOKENS as i64, WIDTH as i64]);
        let joined = self.node("Reshape", &[&mixed, &dims], vec![]);
        self.linear(&joined, WIDTH, WIDTH)
    }

    /// GELU in its parts.
    fn gelu(&mut self, x: &str) -> String {
        let root = self.scalar(std::f32::consts::SQRT_2);
        let inner = self.node("Div", &[x, &root], vec![]);
        let curve = self.node("Erf", &[&inner], vec![]);
        let one = self.scalar(1.0);
        let raised = self.node("Add", &[&curve, &one], vec![]);
        let product = self.node("Mul", &[x, &raised], vec![]);
        let half = self.scalar(0.5);
        self.node("Mul", &[&product, &half], vec![])
    }

    pub(crate) fn transformer(mut self, mask: Option<&str>) -> GraphProto {
        self.input("x", &[1, TOKENS, FEATURES]);
        let embedded = self.linear("x", FEATURES, WIDTH);
        let places = self.weights(&[1, TOKENS, WIDTH], 0.5);
        let mut stream = self.node("Add", &[&embedded, &places], vec![]);
        for _ in 0..2 {
            let normal = self.normalized(&stream);
            let attended = self.attention(&normal, mask);
            stream = self.node("Add", &[&stream, &attended], vec![]);
            let normal = self.normalized(&stream);
            let wide = self.linear(&normal, WIDTH, INNER);
            let bent = self.gelu(&wide);
            let narrow = self.linear(&bent, INNER, WIDTH);
            stream = self.node("Add", &[&stream, &narrow], vec![]);
        }
        let normal = self.normalized(&stream);
        let flat = vec![ints("axes", &[1]), int("keepdims", 0)];
        let mean = self.node("ReduceMean", &[&normal], flat);
        let classes = self.linear(&mean, WIDTH, CLASSES);
        self.output(&classes);
        self.graph
    }

    /// Tokens by the root of the mean of their squares: quotients of what is computed.
    pub(crate) fn root_mean_square(mut self) -> GraphProto {
        self.input("x", &[1, TOKENS, FEATURES]);
        let wide = self.linear("x", FEATURES, WIDTH);
        let squares = self.node("Mul", &[&wide, &wide], vec![]);
        let mean = self.node("ReduceMean", &[&squares], vec![ints("axes", &[-1])]);
        let epsilon = self.scalar(1e-3);
        let raised = self.node("Add", &[&mean, &epsilon], vec![]);
        let root = self.node("Sqrt", &[&raised], vec![]);
        let normal = self.node("Div", &[&wide, &root], vec![]);
        let gamma = self.weights(&[WIDTH], 1.0);
        let scaled = self.node("Mul", &[&normal, &gamma], vec![]);
        let flat = vec![ints("axes", &[1]), int("keepdims", 0)];
        let mean = self.node("ReduceMean", &[&scaled], flat);
        let classes = self.linear(&mean, WIDTH, CLASSES);
        self.output(&classes);
        self.graph
    }

    /// Choices by comparisons and by a constant mask, between norms over channels.
    pub(crate) fn choices(mut self) -> GraphProto {
        self.input("x", &[1, 1, TOKENS, FEATURES * 2]);
        let image = self.convolved("x", 1, 8);
        let neighbours = vec![int("size", 3), float("alpha", 2.0)];
        let damped = self.node("LRN", &[&image], neighbours);
        let [limit, slope, zero] = [0.4, 0.25, 0.0].map(|number| self.scalar(number));
        let is_large = self.node("Greater", &[&damped, &limit], vec![]);
        let small = self.node("Mul", &[&damped, &slope], vec![]);
        let bent = self.node("Where", &[&is_large, &small, &damped], vec![]);
        let mask = self.whole(&[1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1, 0]);
        let mask = self.node("Cast", &[&mask], vec![int("to", 9)]);
        let masked = self.node("Where", &[&mask, &bent, &zero], vec![]);
        let normal = self.node("LpNormalization", &[&masked], vec![int("axis", 1)]);
        let classes = self.convolved(&normal, 8, 3);
        let shares = self.node("ReduceMax", &[&classes], vec![ints("axes", &[2])]);
        self.output(&shares);
        self.graph
    }

    /// A recurrence over the tokens, of which the last state is classified.
    pub(crate) fn recurrent(mut self, operator: &str, gates: usize) -> GraphProto {
        self.input("x", &[1, TOKENS, FEATURES]);
        let steps = self.node("Transpose", &["x"], vec![ints("perm", &[1, 0, 2])]);
        let rows = gates * WIDTH;
        let weights = self.weights(&[1, rows, FEATURES], 0.7);
        let recurrence = self.weights(&[1, rows, WIDTH], 0.4);
        let bias = self.weights(&[1, 2 * rows], 0.3);
        let operands = [&steps, &weights, &recurrence, &bias].map(String::as_str);
        let hidden = int("hidden_size", WIDTH as i64);
        self.node(operator, &operands, vec![hidden]);
        // The second result is the last state.
        if let Some(node) = self.graph.node.last_mut() {
            node.output = vec!["states".into(), "last".into()];
        }
        let dims = self.whole(&[1, WIDTH as i64]);
        let last = self.node("Reshape", &["last", &dims], vec![]);
        let classes = self.linear(&last, WIDTH, CLASSES);
        self.output(&classes);
        self.graph
    }

    /// A convolution of 3 x 3 and its activation.
    fn convolved(&mut self, x: &str, inputs: usize, outputs: usize) -> String {
        let scale = (1.0 / (3.0 * inputs as f32)).sqrt();
        let weights = self.weights(&[outputs, inputs, 3, 3], scale);
        let bias = self.weights(&[outputs], 0.2);
        let pads = vec![ints("pads", &[1, 1, 1, 1])];
        let made = self.node("Conv", &[x, &weights, &bias], pads);
        self.node("Relu", &[&made], vec![])
    }

    /// An image is halved twice, and grown again: by a transposed convolution and by interpolation,
    /// with what it was beside it.
    pub(crate) fn segmentation(mut self) -> GraphProto {
        self.input("x", &[1, 1, TOKENS, FEATURES * 2]);
        let whole = self.convolved("x", 1, 8);
        let pool = || vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
        let half = self.node("MaxPool", &[&whole], pool());
        let half = self.convolved(&half, 8, 12);
        let small = self.node("AveragePool", &[&half], pool());
        let small = self.convolved(&small, 12, 16);
        let weights = self.weights(&[16, 12, 4, 4], 0.2);
        let bias = self.weights(&[12], 0.2);
        let stride = vec![ints("strides", &[2, 2]), ints("pads", &[1, 1, 1, 1])];
        let grown = self.node("ConvTranspose", &[&small, &weights, &bias], stride);
        let joined = self.node("Concat", &[&grown, &half], vec![int("axis", 1)]);
        let joined = self.convolved(&joined, 24, 8);
        let scales = self.constant(&[4], vec![1.0, 1.0, 2.0, 2.0]);
        let linear = vec![text("mode", "linear")];
        let grown = self.node("Resize", &[&joined, "", &scales], linear);
        let joined = self.node("Concat", &[&grown, &whole], vec![int("axis", 1)]);
        let classes = self.convolved(&joined, 16, 3);
        let shares = self.node("ReduceMax", &[&classes], vec![ints("axes", &[2])]);
        self.output(&shares);
        self.graph
    }
}

#[test]
fn images_grow_in_integers() {
    let graph = Writer::default().segmentation();
    let [_, compared] = quantized_on(graph, &[], 2 * FEATURES);
    println!("{}", compared["b"]);
    let ratio = compared["b"]["sqnr_db"].as_f64().unwrap();
    assert!(ratio >= 28.0, "{ratio} dB");
}

#[test]
fn quotients_and_choices_run_in_integers() {
    let [_, compared] = quantized(Writer::default().root_mean_square(), "int8");
    assert!(agreement(&compared) >= 0.95);
    let [made, compared] = quantized_on(Writer::default().choices(), &[], 2 * FEATURES);
    let layers = made["layers"].as_array().unwrap();
    for operator in ["choose", "less", "div"] {
        let layers = layers.iter().filter(|layer| layer["operator"] == operator);
        assert!(layers.count() > 0, "no {operator}: {made}");
    }
    let ratio = compared["b"]["sqnr_db"].as_f64().unwrap();
    assert!(ratio >= 20.0, "{ratio} dB");
}

/// Quantizes a model without any float node, and compares it with its source.
fn quantized(graph: GraphProto, activations: &str) -> [Value; 2] {
    quantized_on(graph, &["--activations", activations], FEATURES)
}

/// As [`quantized`] with such options, on samples of so many columns.
fn quantized_on(graph: GraphProto, options: &[&str], columns: usize) -> [Value; 2] {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| std::fs::write(folder.path().join(name), bytes);
    write("model.onnx", file(graph, 13)).unwrap();
    write("calib.npy", npy(&[96, TOKENS, columns], 1)).unwrap();
    write("test.npy", npy(&[400, TOKENS, columns], 2)).unwrap();
    let quantize = [
        "quantize",
        "model.onnx",
        "--calib",
        "calib.npy",
        "--require-int8",
    ];
    let quantize = [&quantize[..], options].concat();
    let made = json(folder.path(), &quantize);
    assert_eq!(made["float"], Value::Array(vec![]), "{made}");
    let compare = ["compare", "model.onnx", "model.mopt", "--data", "test.npy"];
    [made, json(folder.path(), &compare)]
}

/// The share of samples with the same largest output as the source's.
fn agreement(compared: &Value) -> f64 {
    println!("{}", compared["b"]);
    compared["b"]["agreement"].as_f64().unwrap()
}

#[test]
fn a_transformer_runs_in_integers() {
    let [_, compared] = quantized(Writer::default().transformer(None), "int8");
    assert!(agreement(&compared) >= 0.95);
}

/// Minus infinity and the like leave no room for scores in eight bits.
#[test]
fn transformers_need_not_look_ahead() {
    for how in ["Where", "Add"] {
        let graph = Writer::default().transformer(Some(how));
        let [_, compared] = quantized(graph, "int8");
        assert!(agreement(&compared) >= 0.95, "{how}");
    }
}

/// Some layers in int16 among others in int8, by name, with conversions between them.
#[test]
fn int8_and_int16_mix() {
    let graph = Writer::default().transformer(None);
    let softmax = graph
        .node
        .iter()
        .filter(|node| node.op_type.as_deref() == Some("Softmax"));
    let names: Vec<String> = softmax.filter_map(|node| node.name.clone()).collect();
    let options: Vec<&str> = names.iter().flat_map(|name| ["--int16", name]).collect();
    let [made, compared] = quantized_on(graph, &options, FEATURES);
    let layers = made["layers"].as_array().unwrap();
    let of = |operator: &str| -> Vec<&Value> {
        let found = layers.iter().filter(|layer| layer["operator"] == operator);
        found.map(|layer| &layer["type"]).collect()
    };
    assert_eq!(of("softmax"), ["int16"; 2]);
    assert!(of("layer_norm").iter().all(|dtype| *dtype == "int8"));
    assert!(agreement(&compared) >= 0.95);
}

/// int8 weights, which all steps share, with states of int8 or int16.
#[test]
fn recurrent_networks_run_in_integers() {
    for (operator, gates) in [("LSTM", 4), ("GRU", 3)] {
        for (activations, least) in [("int8", 0.85), ("int16", 0.98)] {
            let graph = Writer::default().recurrent(operator, gates);
            let [made, compared] = quantized(graph, activations);
            let agreement = agreement(&compared);
            println!("{operator} {activations}: {} bytes", made["bytes"]);
            assert!(agreement >= least, "{operator} {activations}: {agreement}");
        }
    }
}

/// A node that cannot run in int16 is named, with the reason.
#[test]
fn nodes_without_an_int16_form_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::default();
    writer.input("x", &[1, TOKENS, FEATURES]);
    let power = writer.node("Pow", &["x", "x"], vec![]);
    writer.output(&power);
    std::fs::write(folder.path().join("power.onnx"), file(writer.graph, 13)).unwrap();
    std::fs::write(
        folder.path().join("calib.npy"),
        npy(&[8, TOKENS, FEATURES], 1),
    )
    .unwrap();
    for (name, reason) in [
        ("Pow0", "there is no int16 pow"),
        ("Pow7", "there is no node 'Pow7'"),
    ] {
        let quantize = [
            "quantize",
            "power.onnx",
            "--calib",
            "calib.npy",
            "--int16",
            name,
        ];
        let errors = refused(folder.path(), &quantize);
        assert!(
            errors.contains("--int16: ") && errors.contains(reason),
            "{errors}"
        );
    }
}

/// Every float node that is left is named, with the reason.
#[test]
fn float_nodes_are_refused_where_integers_are_required() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::default();
    writer.input("x", &[1, TOKENS, FEATURES]);
    let positive = writer.node("Exp", &["x"], vec![]);
    let power = writer.node("Pow", &[&positive, "x"], vec![]);
    let rest = writer.node("Mod", &[&power, &positive], vec![int("fmod", 1)]);
    let axis = writer.whole(&[1]);
    let sums = writer.node("CumSum", &[&rest, &axis], vec![]);
    let product = writer.node("ReduceProd", &[&sums], vec![ints("axes", &[2])]);
    let whole = writer.node("Cast", &[&product], vec![int("to", 6)]);
    let real = writer.node("Cast", &[&whole], vec![int("to", 1)]);
    writer.output(&real);
    let write = |name: &str, bytes: Vec<u8>| std::fs::write(folder.path().join(name), bytes);
    write("powers.onnx", file(writer.graph, 13)).unwrap();
    write("calib.npy", npy(&[8, TOKENS, FEATURES], 1)).unwrap();
    let quantize = [
        "quantize",
        "powers.onnx",
        "--calib",
        "calib.npy",
        "--require-int8",
    ];
    let errors = refused(folder.path(), &quantize);
    for line in [
        "3 of the model's nodes stay in float; leave out --require-int8, or change them:",
        "node 'Mod2' (remainder): there is no int8 remainder",
        "node 'Cast5' (cast): it converts f32 to int32, and there is no int8 form of that",
        "node 'Cast6' (cast): it converts int32 to f32, and there is no int8 form of that",
    ] {
        assert!(errors.contains(line), "{errors}");
    }
    assert!(!folder.path().join("powers.mopt").exists());
}
