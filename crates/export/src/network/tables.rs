//! Operators with tables: what these hold, as numbers that other formats can have.

use super::{Comparison, Fold, Kind, Relation};
use format::{DType, Node, Tensor};
use runtime::ops;

/// Weighted means along one axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// The axis.
    pub axis: usize,
    /// Its elements before and after.
    pub sizes: [usize; 2],
    /// For every element after, the weight of every element before, in units of [`Mix::UNIT`].
    pub weights: Vec<i32>,
}

impl Mix {
    /// What a weight of 1 adds.
    pub const UNIT: f32 = 1.0 / 1024.0;

    /// What keeps elements as they are.
    pub(crate) fn identity(axis: usize, size: usize) -> Self {
        let share = |at: usize| 1024 * i32::from(at / size == at % size);
        Mix {
            axis,
            sizes: [size; 2],
            weights: (0..size * size).map(share).collect(),
        }
    }

    /// The largest difference from weights by two neighbours and their shares for every element after.
    pub(crate) fn distance(&self, neighbours: impl Iterator<Item = [(usize, f64); 2]>) -> f64 {
        let mut largest = 0f64;
        for (row, pair) in self.weights.chunks(self.sizes[0].max(1)).zip(neighbours) {
            for (at, &weight) in row.iter().enumerate() {
                let shares = pair.iter().filter(|(place, _)| *place == at);
                let wanted: f64 = shares.map(|(_, share)| share * 1024.0).sum();
                largest = largest.max((f64::from(weight) - wanted).abs());
            }
        }
        largest
    }

    /// The weights as real numbers.
    pub(crate) fn reals(&self) -> Vec<f32> {
        let real = |&weight: &i32| weight as f32 * Mix::UNIT;
        self.weights.iter().map(real).collect()
    }
}

/// A layer normalization.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    /// The first of the axes that are normalized; they go to the last one.
    pub first: usize,
    /// Added to the variance.
    pub epsilon: f32,
    /// One factor for each element of a row.
    pub gamma: Vec<f32>,
    /// One offset for each element of a row.
    pub beta: Vec<f32>,
}

/// The numbers of a constant operand of int16, int32 or int64.
fn numbers(node: &Node<'_>, operand: usize) -> Option<Vec<i64>> {
    let tensor = node.input(operand)?;
    let model = node.model();
    let bytes = model.constant(&tensor);
    Some(match tensor.dtype {
        DType::I16 => {
            let (pairs, _) = bytes.as_chunks::<2>();
            let number = |pair: &[u8; 2]| i64::from(i16::from_le_bytes(*pair));
            pairs.iter().map(number).collect()
        }
        DType::I32 => {
            let (words, _) = bytes.as_chunks::<4>();
            let number = |word: &[u8; 4]| i64::from(i32::from_le_bytes(*word));
            words.iter().map(number).collect()
        }
        DType::I64 => {
            let (words, _) = bytes.as_chunks::<8>();
            words.iter().map(|word| i64::from_le_bytes(*word)).collect()
        }
        _ => return None,
    })
}

pub(super) fn compare(node: &Node<'_>, is_scaled: bool) -> Option<Kind> {
    let relation = match node.params().u8() {
        0 => Relation::Equal,
        1 => Relation::NotEqual,
        2 => Relation::Less,
        3 => Relation::LessOrEqual,
        _ => return None,
    };
    Some(Kind::Compare(Comparison {
        relation,
        is_scaled,
    }))
}

/// Sums are means with another multiplier.
pub(super) fn reduce(node: &Node<'_>, [from, to]: [&Tensor; 2]) -> Option<Kind> {
    let mut params = node.params();
    let [first, last] = [params.u8(), params.u8()].map(usize::from);
    params.u16();
    if node.code() == ops::reduce::WHOLE.code {
        let fold = match params.u8() {
            2 => Fold::Max,
            3 => Fold::Min,
            _ => return None,
        };
        return Some(Kind::Reduce(fold, first, last));
    }
    let (multiplier, shift) = (f64::from(params.i32()), params.i32());
    let factor = multiplier * 2f64.powi(shift - 31) * f64::from(to.scale / from.scale);
    let count: usize = (first..=last).map(|axis| from.shape.dim(axis)).product();
    let fold = match factor * factor * count as f64 > 1.0 {
        true => Fold::Sum,
        false => Fold::Mean,
    };
    Some(Kind::Reduce(fold, first, last))
}

/// Places count from the start, and those outside are the one behind the last.
pub(super) fn gather(node: &Node<'_>, data: &Tensor) -> Option<Kind> {
    let axis = usize::from(node.params().u8());
    let size = data.shape.dim(axis);
    let place = |place: i64| {
        let from_start = if place < 0 {
            place + size as i64
        } else {
            place
        };
        usize::try_from(from_start).map_or(size, |place| place.min(size))
    };
    let is_known = node.input(1)?.place == format::Place::Constant;
    let places = match is_known {
        true => Some(numbers(node, 1)?.into_iter().map(place).collect()),
        false => None,
    };
    Some(Kind::Gather(axis, places))
}

pub(super) fn resample(node: &Node<'_>, from: &Tensor) -> Option<Kind> {
    let mut params = node.params();
    let tables = match node.code() == ops::resample::I8.code {
        true => 1,
        false => 2,
    };
    let mixes = (0..tables).map(|table| mix(node, from, params.u8().into(), 1 + 2 * table));
    mixes.collect::<Option<Vec<_>>>().map(Kind::Resample)
}

/// The table whose positions are operand `at`, and its weights the next.
fn mix(node: &Node<'_>, from: &Tensor, axis: usize, at: usize) -> Option<Mix> {
    let (table, size) = (node.input(at)?.shape, from.shape.dim(axis));
    let (rows, taps) = (table.dim(0), table.dim(1).max(1));
    let mut weights = vec![0; rows * size];
    let pairs = numbers(node, at)?.into_iter().zip(numbers(node, at + 1)?);
    for (index, (position, weight)) in pairs.enumerate() {
        let place = usize::try_from(position).ok().filter(|&at| at < size);
        let cell = place.and_then(|place| weights.get_mut(index / taps * size + place));
        // What is outside is left out.
        if let Some(cell) = cell {
            *cell += weight as i32;
        }
    }
    Some(Mix {
        axis,
        sizes: [size, rows],
        weights,
    })
}

/// Factors and offsets are in steps of the output, and what is added to the variance is in those of the
/// input.
pub(super) fn layer_norm(node: &Node<'_>, [from, to]: [&Tensor; 2]) -> Option<Kind> {
    let mut params = node.params();
    let (first, shift) = (usize::from(params.u8()), i32::from(params.u8()));
    params.u16();
    let raised = u64::from(params.u32()) | u64::from(params.u32()) << 32;
    let reals = |operand: usize, places: i32| {
        let unit = f64::from(to.scale) * 2f64.powi(-places);
        let real = |number: i64| (number as f64 * unit) as f32;
        Some(numbers(node, operand)?.into_iter().map(real).collect())
    };
    let (gamma, beta): (Vec<f32>, Vec<f32>) = (
        reals(1, shift)?,
        reals(2, ops::layer_norm::BETA_PLACES as i32)?,
    );
    let unit = f64::from(from.scale) / gamma.len().max(1) as f64;
    Some(Kind::LayerNorm(Norm {
        first,
        // Rows without variance stay divisible.
        epsilon: (raised.max(1) as f64 * unit * unit) as f32,
        gamma,
        beta,
    }))
}
