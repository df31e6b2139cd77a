//! Picks and interpolations of integers.

use super::file::{Field, Operator};
use super::{Writer, code};
use crate::Error;
use crate::network::{Comparison, Layer, Mix, Relation, Value};
use format::DType;

/// The most by which a weight of 1,024 may differ where images are resized: means of two axes are then
/// half a step off before they are rounded.
const TOLERANCE: f64 = 1.0;

/// How resized images find the places of their pixels: corners stay in the corners, and pixels are
/// squares.
const MANNERS: [[bool; 2]; 3] = [[false, false], [true, false], [false, true]];

/// Axes of one transpose; the kernels of many devices have no more.
pub(super) const MOST_AXES: usize = 4;

impl Writer<'_> {
    /// Axes that stay side by side are turned as one.
    pub(super) fn turned(&mut self, layer: &Layer, axes: &[usize], first: usize) {
        let (from, to) = (
            &self.network.values[first],
            &self.network.values[layer.output],
        );
        let (dims, order) = merged(&from.dims, axes);
        let input = self.part(from, format!("{}/merged", to.name), dims.clone());
        let source = self.value(first);
        self.reshape(source, (input, &dims), &format!("{}/merged", to.name));
        let numbers: Vec<i32> = order.iter().map(|&axis| axis as i32).collect();
        let numbers = self.numbers(format!("{}/axes", to.name), vec![order.len()], &numbers);
        let made = order.iter().map(|&axis| dims[axis]).collect();
        let operator = (code::TRANSPOSE, vec![input, numbers], Vec::new());
        self.shaped(layer, operator, made);
    }

    /// A tensor of int32 with the dimensions of a value.
    pub(super) fn whole(&mut self, like: &Value, name: String) -> i32 {
        self.tensor_of(&Value {
            name,
            dtype: DType::I32,
            scale: 0.0,
            zero_point: 0,
            data: None,
            ..like.clone()
        })
    }

    /// The integers of a value in 32 bits.
    pub(super) fn widened(&mut self, input: i32, from: &Value, name: String) -> i32 {
        let wide = self.whole(from, name);
        let cast = Operator::new(code::CAST, vec![input], wide, Vec::new());
        self.file.operator(cast);
        wide
    }

    /// Integers of int8 are compared there by what they stand for, in few places; those of 32 bits as they
    /// are.
    pub(super) fn compare(&mut self, layer: &Layer, comparison: Comparison) {
        let network = self.network;
        let to = &network.values[layer.output];
        let mut inputs = Vec::new();
        for (operand, &index) in layer.inputs.iter().enumerate() {
            let input = self.value(index);
            let name = format!("{}/wide{operand}", to.name);
            inputs.push(match comparison.is_scaled {
                true => input,
                false => self.widened(input, &network.values[index], name),
            });
        }
        let kind = match comparison.relation {
            Relation::Equal => code::EQUAL,
            Relation::NotEqual => code::NOT_EQUAL,
            Relation::Less => code::LESS,
            Relation::LessOrEqual => code::LESS_EQUAL,
        };
        let output = self.value(layer.output);
        let operator = Operator::new(kind, inputs, output, Vec::new());
        self.file.operator(operator);
    }

    pub(super) fn gather(
        &mut self,
        layer: &Layer,
        axis: usize,
        places: Option<&[usize]>,
    ) -> Result<(), Error> {
        let first = layer.inputs.first().copied();
        let first = first.ok_or(Error::Plan(layer.index))?;
        let (from, to) = (
            &self.network.values[first],
            &self.network.values[layer.output],
        );
        let (size, mut data) = (from.dims[axis], self.value(first));
        let mut picked = from.dims.clone();
        let operand = match (places, layer.inputs.get(1)) {
            (Some(places), _) => {
                if places.contains(&size) {
                    data = self.lengthened(layer, [first, axis]);
                }
                picked[axis] = places.len();
                let numbers: Vec<i32> = places.iter().map(|&place| place as i32).collect();
                self.numbers(format!("{}/places", to.name), vec![numbers.len()], &numbers)
            }
            (None, Some(&index)) => {
                let counts = self.network.values[index].dims.iter().copied();
                picked.splice(axis..axis + 1, counts);
                self.value(index)
            }
            (None, None) => return Err(Error::Plan(layer.index)),
        };
        let fields = vec![Field::i32(0, axis as i32)];
        self.shaped(layer, (code::GATHER, vec![data, operand], fields), picked);
        Ok(())
    }

    /// A value with one zero more along an axis.
    fn lengthened(&mut self, layer: &Layer, [index, axis]: [usize; 2]) -> i32 {
        let (from, to) = (
            &self.network.values[index],
            &self.network.values[layer.output],
        );
        let mut amounts = vec![[0, 0]; from.dims.len()];
        amounts[axis] = [0, 1];
        let mut dims = from.dims.clone();
        dims[axis] += 1;
        let name = format!("{}/lengthened", to.name);
        let zero = [from.zero_point as i8 as u8, 0, 0, 0];
        let mut operands = vec![self.value(index)];
        operands.extend(self.pad_operands(&name, &amounts, zero, from));
        let output = self.part(from, name, dims);
        let pad = Operator::new(code::PADV2, operands, output, Vec::new());
        self.file.operator(pad);
        output
    }

    /// A tensor between operators, with the type and the scale of a value.
    fn part(&mut self, like: &Value, name: String, dims: Vec<usize>) -> i32 {
        let value = Value {
            name,
            dims,
            data: None,
            ..like.clone()
        };
        self.tensor_of(&value)
    }

    /// Applies an operator whose result has dimensions of its own, which the output may differ from.
    fn shaped(
        &mut self,
        layer: &Layer,
        (kind, inputs, fields): ([i32; 2], Vec<i32>, Vec<Field>),
        dims: Vec<usize>,
    ) {
        let to = &self.network.values[layer.output];
        let output = self.value(layer.output);
        if dims == to.dims {
            let operator = Operator::new(kind, inputs, output, fields);
            return self.file.operator(operator);
        }
        let made = self.part(to, format!("{}/unshaped", to.name), dims);
        self.file
            .operator(Operator::new(kind, inputs, made, fields));
        self.reshape(made, (output, &to.dims), &to.name);
    }

    fn reshape(&mut self, from: i32, (to, dims): (i32, &[usize]), name: &str) {
        let sizes: Vec<i32> = dims.iter().map(|&size| size as i32).collect();
        let sizes = self.numbers(format!("{name}/sizes"), vec![sizes.len()], &sizes);
        let operator = Operator::new(code::RESHAPE, vec![from, sizes], to, Vec::new());
        self.file.operator(operator);
    }

    /// Resized images where TensorFlow Lite has these weights.
    pub(super) fn resample(&mut self, layer: &Layer, mixes: &[Mix]) -> Result<(), Error> {
        let first = layer.inputs.first().copied();
        let first = first.ok_or(Error::Plan(layer.index))?;
        let (from, to) = (
            &self.network.values[first],
            &self.network.values[layer.output],
        );
        let (rows, columns) = match mixes {
            [rows] => (rows.clone(), Mix::identity(rows.axis + 1, 1)),
            [rows, columns] if columns.axis == rows.axis + 1 => (rows.clone(), columns.clone()),
            _ => return self.mixed(layer, mixes),
        };
        let Some([align, half]) = manner([&rows, &columns]) else {
            return self.mixed(layer, mixes);
        };
        let outer = from.dims[..rows.axis].iter().product();
        let inner = from.dims[rows.axis + mixes.len()..].iter().product();
        let [image, resized] =
            [0, 1].map(|side| vec![outer, rows.sizes[side], columns.sizes[side], inner]);
        let mut input = self.value(first);
        if image != from.dims {
            let name = format!("{}/image", to.name);
            let whole = self.part(from, name.clone(), image.clone());
            self.reshape(input, (whole, &image), &name);
            input = whole;
        }
        let sizes = [resized[1] as i32, resized[2] as i32];
        let sizes = self.numbers(format!("{}/pixels", to.name), vec![2], &sizes);
        let fields = vec![Field::i8(2, align.into()), Field::i8(3, half.into())];
        let operator = (code::RESIZE_BILINEAR, vec![input, sizes], fields);
        self.shaped(layer, operator, resized);
        Ok(())
    }
}

/// Dimensions and order of axes for the same elements in the same places, with as few axes as can be.
fn merged(dims: &[usize], axes: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let axes = axes.iter().copied().filter(|&axis| dims[axis] != 1);
    let mut groups: Vec<[usize; 3]> = Vec::new();
    for axis in axes {
        // Axes of one element between two do not keep them apart.
        let follows =
            |last: usize| last < axis && dims[last + 1..axis].iter().all(|&size| size == 1);
        match groups.last_mut() {
            Some([_, last, size]) if follows(*last) => (*last, *size) = (axis, *size * dims[axis]),
            _ => groups.push([axis, axis, dims[axis]]),
        }
    }
    let mut sorted = groups.clone();
    sorted.sort_unstable();
    let place = |group: &[usize; 3]| sorted.iter().position(|other| other == group).unwrap_or(0);
    let order = groups.iter().map(place).collect();
    (sorted.iter().map(|group| group[2]).collect(), order)
}

/// The options under which TensorFlow Lite has the nearest weights, where they are near enough.
fn manner(mixes: [&Mix; 2]) -> Option<[bool; 2]> {
    let distance = |[align, half]: [bool; 2]| {
        let of = |mix: &Mix| mix.distance(neighbours(mix.sizes, align, half));
        of(mixes[0]).max(of(mixes[1]))
    };
    let distances = MANNERS.map(|manner| (distance(manner), manner));
    let nearest = distances.into_iter().min_by(|a, b| a.0.total_cmp(&b.0))?;
    (nearest.0 <= TOLERANCE).then_some(nearest.1)
}

/// The neighbours of every element after resizing and their shares, in 10 binary places as in
/// TensorFlow Lite.
fn neighbours(
    [before, after]: [usize; 2],
    align: bool,
    half: bool,
) -> impl Iterator<Item = [(usize, f64); 2]> {
    const ONE: i64 = 1 << 10;
    let (input, output) = (before as i64, after as i64);
    let step = match align && output > 1 {
        true => (ONE * (input - 1) + (output - 1) / 2) / (output - 1),
        false => (ONE * input + output / 2) / output.max(1),
    };
    let offset = if half { step / 2 - ONE / 2 } else { 0 };
    (0..output).map(move |j| {
        let place = j * step + offset;
        let first = (place / ONE).max(0);
        let second = ((place + ONE - 1) / ONE).min(input - 1);
        let share = (place - ONE * first) as f64 / ONE as f64;
        let first = first.min(input - 1);
        [(first as usize, 1.0 - share), (second as usize, share)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_that_stay_together_are_one() {
        let found = merged(&[1, 3, 2, 4, 5, 6], &[0, 1, 3, 2, 4, 5]);
        assert_eq!(found, (vec![3, 2, 4, 30], vec![0, 2, 1, 3]));
        assert_eq!(merged(&[2, 1, 3], &[0, 2, 1]), (vec![6], vec![0]));
        assert_eq!(merged(&[2, 3, 4], &[1, 2, 0]), (vec![2, 12], vec![1, 0]));
        assert_eq!(merged(&[1, 1], &[1, 0]), (vec![], vec![]));
    }
}
