//! Operands that are stretched to one shape.

use format::{MAX_RANK, Shape};

/// The shape that two shapes broadcast to (ONNX: aligned at the end, 1 stretches).
pub fn broadcast(a: &Shape, b: &Shape) -> Option<Shape> {
    let rank = a.rank().max(b.rank());
    let mut dims = [1u32; MAX_RANK];
    for back in 0..rank {
        let dim = |shape: &Shape| match shape.rank().checked_sub(back + 1) {
            Some(axis) => shape.dim(axis) as u32,
            None => 1,
        };
        let (x, y) = (dim(a), dim(b));
        *dims.get_mut(rank - 1 - back)? = match (x, y) {
            (x, y) if x == y => x,
            (1, y) => y,
            (x, 1) => x,
            _ => return None,
        };
    }
    Shape::new(dims.get(..rank)?)
}

/// As [`broadcast`], or the reason why there is no such shape.
#[cfg(feature = "host")]
pub(crate) fn infer(a: &Shape, b: &Shape) -> Result<Shape, std::string::String> {
    broadcast(a, b).ok_or_else(|| std::format!("{a} and {b} do not broadcast"))
}

/// Element strides of an operand inside a broadcast shape; 0 where it is stretched.
fn strides(operand: &Shape, output: &Shape) -> [usize; MAX_RANK] {
    let mut strides = [0; MAX_RANK];
    let mut step = 1;
    let shift = output.rank() - operand.rank().min(output.rank());
    for axis in (0..operand.rank()).rev() {
        if operand.dim(axis) > 1
            && let Some(stride) = strides.get_mut(axis + shift)
        {
            *stride = step;
        }
        step *= operand.dim(axis);
    }
    strides
}

/// The places of all operands for each element of a broadcast shape in turn.
pub(crate) struct Places<const N: usize> {
    shape: Shape,
    steps: [[usize; MAX_RANK]; N],
    index: [usize; MAX_RANK],
    at: [usize; N],
}

impl<const N: usize> Places<N> {
    pub(crate) fn new(operands: [&Shape; N], shape: Shape) -> Self {
        Places {
            shape,
            steps: operands.map(|operand| strides(operand, &shape)),
            index: [0; MAX_RANK],
            at: [0; N],
        }
    }

    /// The places of the next element.
    pub(crate) fn advance(&mut self) -> [usize; N] {
        let Places {
            shape,
            steps,
            index,
            at,
        } = self;
        let places = *at;
        for axis in (0..shape.rank()).rev() {
            index[axis] += 1;
            at.iter_mut()
                .zip(&*steps)
                .for_each(|(at, steps)| *at += steps[axis]);
            if index[axis] < shape.dim(axis) {
                break;
            }
            at.iter_mut()
                .zip(&*steps)
                .for_each(|(at, steps)| *at -= steps[axis] * index[axis]);
            index[axis] = 0;
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::{Places, broadcast};
    use format::Shape;

    #[test]
    fn a_column_and_a_row_meet() {
        let [column, row] = [[2, 1], [1, 2]].map(|dims| Shape::new(&dims).unwrap());
        let shape = broadcast(&column, &row).unwrap();
        let mut places = Places::new([&column, &row], shape);
        assert_eq!(
            [(); 4].map(|()| places.advance()),
            [[0, 0], [0, 1], [1, 0], [1, 1]]
        );
    }
}
