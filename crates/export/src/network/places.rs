//! Which values lie where in the plan's memory. A slice of whole rows lies inside of what it is taken from,
//! and what is joined of rows consists of its parts: both become layers here.

use super::{Kind, Layer, Network, Value, WHOLE};
use crate::Error;
use format::{Model, Place, Tensor};

/// What was written to memory, the latest last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Places(Vec<Write>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Write {
    /// The bytes from the first up to the second, which is not one of them.
    bytes: [usize; 2],
    value: usize,
}

/// Bytes of a value, from the first up to the second.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    value: usize,
    bytes: [usize; 2],
}

impl Places {
    /// A value now takes the place of a tensor.
    pub(super) fn write(&mut self, tensor: &Tensor, value: usize) {
        let bytes = [tensor.offset, tensor.offset + tensor.bytes()];
        let is_gone = |old: &Write| bytes[0] <= old.bytes[0] && old.bytes[1] <= bytes[1];
        self.0.retain(|old| !is_gone(old));
        self.0.push(Write { bytes, value });
    }

    /// What lies where a tensor is, in order; `None` where something is missing.
    fn pieces(&self, tensor: &Tensor) -> Option<Vec<Piece>> {
        let (mut at, end) = (tensor.offset, tensor.offset + tensor.bytes());
        let mut pieces = Vec::new();
        while at < end {
            let holds = |write: &Write| write.bytes[0] <= at && at < write.bytes[1];
            let index = self.0.iter().rposition(holds)?;
            let found = self.0[index];
            let newer = self.0[index..].iter().map(|write| write.bytes[0]);
            let next = newer.filter(|&start| start > at).min().unwrap_or(end);
            let until = next.min(found.bytes[1]).min(end);
            let bytes = [at, until].map(|place| place - found.bytes[0]);
            let value = found.value;
            pieces.push(Piece { value, bytes });
            at = until;
        }
        Some(pieces)
    }
}

/// The first axis with more than one element, and the elements behind it.
fn rows(dims: &[usize]) -> (usize, usize) {
    let last = dims.len().saturating_sub(1);
    let axis = dims.iter().position(|&size| size > 1).unwrap_or(last);
    (axis, dims.iter().skip(axis + 1).product())
}

impl Network {
    /// The value that a tensor holds now, under the tensor's dimensions and scale.
    pub(super) fn read(
        &mut self,
        model: &Model<'_>,
        tensor: &Tensor,
        index: usize,
    ) -> Result<usize, Error> {
        if tensor.place == Place::Constant {
            let value = self.add(tensor, format!("constant{}", self.values.len()));
            self.values[value].data = Some(model.constant(tensor).to_vec());
            return Ok(value);
        }
        let pieces = self.places.pieces(tensor).ok_or(Error::Plan(index))?;
        let like = self.add(tensor, String::new());
        let like = self.values.remove(like);
        let width = tensor.dtype.bytes();
        let parts: Vec<usize> = pieces
            .iter()
            .map(|piece| self.part(piece, width, index))
            .collect::<Result<_, _>>()?;
        if parts
            .iter()
            .any(|&part| self.values[part].dtype != like.dtype)
        {
            return Err(Error::Plan(index));
        }
        let joined = match parts[..] {
            [part] => part,
            _ => self.joined(&parts, &like, index),
        };
        Ok(self.shaped(joined, &like, index))
    }

    /// What is read of a value.
    fn part(&mut self, piece: &Piece, width: usize, index: usize) -> Result<usize, Error> {
        let [start, end] = piece.bytes.map(|place| place / width);
        let whole = self.values[piece.value].clone();
        let elements = whole.dims.iter().product::<usize>();
        if piece.bytes.iter().any(|place| !place.is_multiple_of(width)) || end > elements {
            return Err(Error::Plan(index));
        }
        if [start, end] == [0, elements] {
            return Ok(piece.value);
        }
        let (mut axis, mut row) = rows(&whole.dims);
        let mut from = whole.clone();
        if [start, end].iter().any(|place| !place.is_multiple_of(row)) {
            (axis, row, from.dims) = (0, 1, vec![elements]);
        }
        let source = self.shaped(piece.value, &from, index);
        let mut ranges: Vec<[usize; 3]> = from.dims.iter().map(|&size| [0, 1, size]).collect();
        ranges[axis] = [start / row, 1, (end - start) / row];
        from.dims[axis] = (end - start) / row;
        Ok(self.push(Kind::Slice(ranges), vec![source], &from, index))
    }

    /// Values one behind the other in memory.
    fn joined(&mut self, parts: &[usize], like: &Value, index: usize) -> usize {
        let elements = |network: &Network, part: usize| -> usize {
            network.values[part].dims.iter().product()
        };
        let (mut axis, mut row) = rows(&like.dims);
        let mut whole = like.clone();
        if parts
            .iter()
            .any(|&part| !elements(self, part).is_multiple_of(row))
        {
            (axis, row) = (0, 1);
            whole.dims = vec![like.dims.iter().product()];
        }
        let mut operands = Vec::new();
        for &part in parts {
            let mut piece = whole.clone();
            piece.dims[axis] = elements(self, part) / row;
            operands.push(self.shaped(part, &piece, index));
        }
        self.push(Kind::Concat(axis), operands, &whole, index)
    }

    /// A value under the dimensions and the scale of another.
    fn shaped(&mut self, value: usize, like: &Value, index: usize) -> usize {
        let held = &self.values[value];
        let alike = held.dims == like.dims
            && held.scale == like.scale
            && held.zero_point == like.zero_point;
        match alike {
            true => value,
            false => self.push(Kind::Reshape, vec![value], like, index),
        }
    }

    fn push(&mut self, kind: Kind, inputs: Vec<usize>, like: &Value, index: usize) -> usize {
        let output = self.values.len();
        self.values.push(Value {
            name: format!("value{output}"),
            data: None,
            ..like.clone()
        });
        self.layers.push(Layer {
            index,
            rounding: None,
            kind,
            inputs,
            output,
            limits: WHOLE,
        });
        output
    }
}
