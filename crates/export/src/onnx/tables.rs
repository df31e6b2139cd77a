//! Functions of two numbers, picks, interpolations and normalizations.

use super::file::{Elements, int, ints, text};
use super::{Writer, axis, per_axis};
use crate::Error;
use crate::network::{
    Binary, Comparison, Kind, Layer, Mix, Norm, Relation, SMALLEST_DIVISOR, Value,
};
use format::DType;

/// The most by which a weight of 1,024 may differ where images are resized.
const TOLERANCE: f64 = 1.0;

/// How resized images find the places of their pixels, by ONNX's names.
const MANNERS: [&str; 3] = ["half_pixel", "align_corners", "asymmetric"];

impl Writer<'_> {
    /// Layers that are several operators there.
    pub(super) fn composed(
        &mut self,
        layer: &Layer,
        inputs: &[String],
        made: &str,
    ) -> Result<(), Error> {
        let to = &self.network.values[layer.output];
        match &layer.kind {
            Kind::Gather(axis, places) => {
                self.gather(layer, inputs, (*axis, places.as_deref()), made);
            }
            Kind::Resample(mixes) => self.resample(layer, &inputs[0], mixes, made),
            Kind::LayerNorm(norm) => self.layer_norm(&inputs[0], to, norm, made),
            Kind::Compare(comparison) => self.compare(layer, *comparison, inputs, made)?,
            _ => {}
        }
        Ok(())
    }

    fn compare(
        &mut self,
        layer: &Layer,
        comparison: Comparison,
        inputs: &[String],
        made: &str,
    ) -> Result<(), Error> {
        if comparison.is_scaled {
            return Err(Error::Node {
                index: layer.index,
                operator: "compare_scaled",
                target: super::TARGET,
                reason: "it compares in 8 binary places".into(),
            });
        }
        let operands: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let name = match comparison.relation {
            Relation::Less => "Less",
            Relation::LessOrEqual => "LessOrEqual",
            Relation::Equal => "Equal",
            Relation::NotEqual => {
                let equal = format!("{made}_equal");
                self.file.node("Equal", &operands, &equal, vec![]);
                self.file.node("Not", &[&equal], made, vec![]);
                return Ok(());
            }
        };
        self.file.node(name, &operands, made, vec![]);
        Ok(())
    }

    /// A function of two numbers.
    pub(super) fn binary(&mut self, function: Binary, operands: &[&str], made: &str) {
        let name = match function {
            Binary::Add => "Add",
            Binary::Sub => "Sub",
            Binary::Mul => "Mul",
            Binary::Div => {
                let [smallest, divisors] =
                    ["smallest", "divisors"].map(|part| format!("{made}_{part}"));
                let bytes = Elements::F32(SMALLEST_DIVISOR.to_le_bytes().to_vec());
                self.file.constant(&smallest, &[], bytes);
                self.file
                    .node("Add", &[operands[1], &smallest], &divisors, vec![]);
                return self
                    .file
                    .node("Div", &[operands[0], &divisors], made, vec![]);
            }
            Binary::Min => "Min",
            Binary::Max => "Max",
            Binary::SquaredDifference => {
                let difference = format!("{made}_difference");
                self.file.node("Sub", operands, &difference, vec![]);
                return self
                    .file
                    .node("Mul", &[&difference, &difference], made, vec![]);
            }
        };
        self.file.node(name, operands, made, vec![]);
    }

    /// What is made has our order of axes on the way, unless images become images.
    fn gather(
        &mut self,
        layer: &Layer,
        inputs: &[String],
        (along, places): (usize, Option<&[usize]>),
        made: &str,
    ) {
        let network = self.network;
        let (from, to) = (
            &network.values[layer.inputs[0]],
            &network.values[layer.output],
        );
        let mut data = self.plain_data(&inputs[0], from, to, made);
        let indices = match (places, layer.inputs.get(1)) {
            (Some(places), _) => {
                if places.contains(&from.dims[along]) {
                    data = self.lengthened(&data, from, along, made);
                }
                let name = format!("{made}_places");
                self.file.numbers(&name, places);
                name
            }
            (None, Some(&index)) => self.plain(
                &inputs[1],
                &network.values[index],
                &format!("{made}_places"),
            ),
            (None, None) => return,
        };
        let picked = format!("{made}_picked");
        let attributes = vec![int("axis", along as i64)];
        self.file
            .node("Gather", &[&data, &indices], &picked, attributes);
        self.placed(&picked, to, made);
    }

    /// The elements of a value in our order of axes; constants were stretched beside images.
    fn plain_data(&mut self, name: &str, from: &Value, to: &Value, made: &str) -> String {
        let plain = format!("{made}_plain");
        if from.data.is_some() && to.dims.len() == 4 && from.dims.len() < 4 {
            let turned = self.turned(name, &super::FROM_ONNX, &plain);
            return self.reshaped(&turned, &from.dims, &format!("{made}_shaped"));
        }
        self.plain(name, from, &plain)
    }

    /// A value in our order of axes with one zero more along one.
    fn lengthened(&mut self, data: &str, from: &Value, along: usize, made: &str) -> String {
        let rank = from.dims.len();
        let amounts: Vec<usize> = (0..2 * rank)
            .map(|i| usize::from(i == rank + along))
            .collect();
        let names = ["amounts", "zero", "lengthened"].map(|part| format!("{made}_{part}"));
        self.file.numbers(&names[0], &amounts);
        let zero = Elements::F32(0f32.to_le_bytes().to_vec());
        self.file.constant(&names[1], &[], zero);
        self.file
            .node("Pad", &[data, &names[0], &names[1]], &names[2], vec![]);
        names[2].clone()
    }

    fn resample(&mut self, layer: &Layer, input: &str, mixes: &[Mix], made: &str) {
        let network = self.network;
        let (from, to) = (
            &network.values[layer.inputs[0]],
            &network.values[layer.output],
        );
        if let Some(manner) = manner(from, mixes) {
            let sizes = format!("{made}_sizes");
            self.file.numbers(&sizes, &per_axis(to, &to.dims));
            let attributes = vec![
                text("mode", "linear"),
                text("coordinate_transformation_mode", manner),
            ];
            let operands = [input, "", "", &sizes];
            return self.file.node("Resize", &operands, made, attributes);
        }
        let mut mixed = self.plain(input, from, &format!("{made}_plain"));
        let mut dims = from.dims.clone();
        for (index, mix) in mixes.iter().enumerate() {
            let name = |what: &str| format!("{made}_{what}{index}");
            let [before, after] = mix.sizes;
            let outer = dims[..mix.axis].iter().product();
            let inner = dims[mix.axis + 1..].iter().product();
            let stack = self.reshaped(&mixed, &[outer, before, inner], &name("stack"));
            let weights = mix.reals().into_iter().flat_map(f32::to_le_bytes);
            let weights = Elements::F32(weights.collect());
            self.file
                .constant(&name("weights"), &[after, before], weights);
            mixed = name("mixed");
            self.file
                .node("MatMul", &[&name("weights"), &stack], &mixed, vec![]);
            dims[mix.axis] = after;
            mixed = self.reshaped(&mixed, &dims, &name("resized"));
        }
        self.placed(&mixed, to, made);
    }

    /// A normalization in its parts: runtimes find them.
    fn layer_norm(&mut self, input: &str, to: &Value, norm: &Norm, made: &str) {
        let [
            mean,
            deviations,
            squares,
            variance,
            raised,
            root,
            normal,
            scaled,
        ] = [
            "mean",
            "deviations",
            "squares",
            "variance",
            "raised",
            "root",
            "normal",
            "scaled",
        ]
        .map(|part| format!("{made}_{part}"));
        let along: Vec<i64> = (norm.first..to.dims.len())
            .map(|a| axis(to, a) as i64)
            .collect();
        let means = || vec![ints("axes", &along), int("keepdims", 1)];
        let epsilon = format!("{made}_epsilon");
        let bytes = Elements::F32(norm.epsilon.to_le_bytes().to_vec());
        self.file.constant(&epsilon, &[], bytes);
        let mut factors = |what: &str, values: &[f32]| {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            let row = Value {
                name: format!("{made}_{what}"),
                dtype: DType::F32,
                dims: to.dims[norm.first..].to_vec(),
                scale: 0.0,
                zero_point: 0,
                data: Some(bytes.collect()),
            };
            self.constant(&row, &row.name, to.dims.len() == 4);
            row.name
        };
        let (gamma, beta) = (factors("gamma", &norm.gamma), factors("beta", &norm.beta));
        self.file.node("ReduceMean", &[input], &mean, means());
        self.file.node("Sub", &[input, &mean], &deviations, vec![]);
        self.file
            .node("Mul", &[&deviations, &deviations], &squares, vec![]);
        self.file
            .node("ReduceMean", &[&squares], &variance, means());
        self.file
            .node("Add", &[&variance, &epsilon], &raised, vec![]);
        self.file.node("Sqrt", &[&raised], &root, vec![]);
        self.file
            .node("Div", &[&deviations, &root], &normal, vec![]);
        self.file.node("Mul", &[&normal, &gamma], &scaled, vec![]);
        self.file.node("Add", &[&scaled, &beta], made, vec![]);
    }
}

/// The manner of ONNX that has these weights, for images alone.
fn manner(from: &Value, mixes: &[Mix]) -> Option<&'static str> {
    let is_image = from.dims.len() == 4 && mixes.iter().all(|mix| [1, 2].contains(&mix.axis));
    let near = |manner: &&str| {
        let distances = mixes
            .iter()
            .map(|mix| mix.distance(neighbours(mix.sizes, manner)));
        distances.fold(0.0, f64::max) <= TOLERANCE
    };
    MANNERS.into_iter().filter(|_| is_image).find(near)
}

/// The neighbours of every element after resizing, and their shares.
fn neighbours(
    [before, after]: [usize; 2],
    manner: &str,
) -> impl Iterator<Item = [(usize, f64); 2]> {
    let [size, count] = [before, after].map(|size| size as f64);
    let (step, offset) = match manner {
        "align_corners" if after > 1 => ((size - 1.0) / (count - 1.0), 0.0),
        "align_corners" => (0.0, 0.0),
        "half_pixel" => (size / count, 0.5),
        _ => (size / count, 0.0),
    };
    (0..after).map(move |j| {
        let place = ((j as f64 + offset) * step - offset).clamp(0.0, size - 1.0);
        let first = place.floor();
        let second = (first + 1.0).min(size - 1.0);
        [
            (first as usize, 1.0 - (place - first)),
            (second as usize, place - first),
        ]
    })
}
