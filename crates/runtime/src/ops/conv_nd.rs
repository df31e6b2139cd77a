//! Convolution in one to three dimensions with channels first, whose weights may be computed at run
//! time: `out[n, o, p] = bias[o] + sum over i, k of w[o, i, k] in[n, g(o) + i, p stride - pad + k dilation]`.
//! Where weights are constant and there are no more than two dimensions, see [`super::conv_2d`].
//!
//! | operand | shape | types |
//! |---|---|---|
//! | input | `[N, I, …]` | f32 |
//! | weights | `[O, I / groups, …]` | f32 |
//! | bias | `[O]`; may be left out | f32 |
//! | output | `[N, O, …]` | f32 |

use crate::{Op, Run};
use format::{DType, Node, Params, Shape};

/// Float in, float out.
pub static F32: Op = Op::new(90, "conv_nd_f32", check, run);

/// Most spatial dimensions.
const SPATIAL: usize = 3;

/// Stride, dilation and padding before of every spatial dimension; what is missing is 1, 1 and 0.
fn windows(params: &mut Params<'_>) -> [[usize; 3]; SPATIAL] {
    let mut windows = [[1, 1, 0]; SPATIAL];
    for window in &mut windows {
        *window = [params.u16(), params.u16(), params.u16()].map(usize::from);
    }
    windows
}

/// Three spatial sizes, 1 where there are fewer.
fn spatial(shape: &Shape) -> [usize; SPATIAL] {
    let size = |axis: usize| if axis < shape.rank() { shape.dim(axis) } else { 1 };
    [size(2), size(3), size(4)]
}

fn check(node: &Node<'_>) -> Option<()> {
    let groups = usize::from(node.params().u16());
    let (x, w, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let types = [x.dtype, w.dtype, output.dtype] == [DType::F32; 3];
    let rank = x.shape.rank();
    let ranks = (3..=SPATIAL + 2).contains(&rank) && [w.shape.rank(), output.shape.rank()] == [rank; 2];
    if !ranks || groups == 0 {
        return None;
    }
    let channels = x.shape.dim(1) == w.shape.dim(1).checked_mul(groups)?
        && w.shape.dim(0) == output.shape.dim(1)
        && w.shape.dim(0).is_multiple_of(groups)
        && x.shape.dim(0) == output.shape.dim(0);
    let bias = node.input(2).is_none_or(|bias| {
        bias.dtype == DType::F32 && bias.shape.elements() == w.shape.dim(0)
    });
    (types && channels && bias).then_some(())
}

fn run(run: &Run<'_>) {
    let mut params = run.node.params();
    let groups = usize::from(params.u16()).max(1);
    let windows = windows(&mut params);
    let (Some(from), Some(weights)) = (run.node.input(0), run.node.input(1)) else { return };
    let Some(to) = run.node.output(0) else { return };
    let (input, kernel, output) = (spatial(&from.shape), spatial(&weights.shape), spatial(&to.shape));
    let (x, w, bias) = (run.input::<f32>(0), run.input::<f32>(1), run.input::<f32>(2));
    let [outputs, depth] = [weights.shape.dim(0), weights.shape.dim(1)];
    let (pixels, taps) = (input.iter().product::<usize>(), kernel.iter().product::<usize>());
    let places = output.iter().product::<usize>().max(1);
    for (index, cell) in run.output::<f32>(0).iter().enumerate() {
        let (n, o) = (index / places / outputs, index / places % outputs);
        let place = coordinates(index % places, output);
        let first = n * depth * groups + o / (outputs / groups).max(1) * depth;
        let mut sum = if bias.is_empty() { 0.0 } else { bias.get(o) };
        for tap in 0..taps {
            let Some(pixel) = reached(place, coordinates(tap, kernel), &windows, input) else {
                continue;
            };
            for i in 0..depth {
                let weight = w.get((o * depth + i) * taps + tap);
                sum += weight * x.get((first + i) * pixels + pixel);
            }
        }
        cell.set(sum);
    }
}

/// Coordinates of the element at a flat index.
fn coordinates(index: usize, [_, b, c]: [usize; SPATIAL]) -> [usize; SPATIAL] {
    [index / (b * c).max(1), index / c.max(1) % b.max(1), index % c.max(1)]
}

/// The flat index of the pixel under a tap; `None` in the padding.
fn reached(
    place: [usize; SPATIAL],
    tap: [usize; SPATIAL],
    windows: &[[usize; 3]; SPATIAL],
    size: [usize; SPATIAL],
) -> Option<usize> {
    let mut pixel = 0;
    for axis in 0..SPATIAL {
        let [stride, dilation, before] = windows[axis];
        let at = (place[axis] * stride + tap[axis] * dilation).checked_sub(before)?;
        if at >= size[axis] {
            return None;
        }
        pixel = pixel * size[axis] + at;
    }
    Some(pixel)
}

#[cfg(feature = "host")]
pub use host::ConvNd;

#[cfg(feature = "host")]
mod host {
    use super::SPATIAL;
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter, Shape};
    use std::string::String;
    use std::vec::Vec;

    /// Attributes of a convolution, an entry per spatial dimension.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ConvNd {
        /// From one window to the next.
        pub strides: Vec<usize>,
        /// From one element of a window to the next.
        pub dilations: Vec<usize>,
        /// Zeros before and behind.
        pub padding: Vec<[usize; 2]>,
        /// How many convolutions stand side by side.
        pub groups: usize,
    }

    impl Operator for ConvNd {
        fn name(&self) -> &'static str {
            "conv_nd"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (x, w) = (required(inputs, 0)?, required(inputs, 1)?);
            let misfit = || std::format!("weights {} do not fit {}", w.shape, x.shape);
            let rank = x.shape.rank();
            let counts = [self.strides.len(), self.dilations.len(), self.padding.len()];
            let shapes = (3..=SPATIAL + 2).contains(&rank) && w.shape.rank() == rank;
            if !shapes || counts != [rank - 2; 3] || self.groups == 0 {
                return Err(misfit());
            }
            let depth = w.shape.dim(1).checked_mul(self.groups);
            if depth != Some(x.shape.dim(1)) || !w.shape.dim(0).is_multiple_of(self.groups) {
                return Err(misfit());
            }
            let mut dims = std::vec![x.shape.dim(0) as u32, w.shape.dim(0) as u32];
            for axis in 0..rank - 2 {
                let kernel = w.shape.dim(axis + 2).checked_sub(1).ok_or_else(misfit)?;
                let padded = x.shape.dim(axis + 2) + self.padding[axis].iter().sum::<usize>();
                let room = padded.checked_sub(kernel * self.dilations[axis] + 1);
                dims.push((room.ok_or_else(misfit)? / self.strides[axis].max(1) + 1) as u32);
            }
            Ok(std::vec![(x.dtype, Shape::new(&dims).ok_or("too many dimensions")?)])
        }

        fn macs(&self, inputs: &[Option<Operand<'_>>], outputs: &[Operand<'_>]) -> u64 {
            let taps = required(inputs, 1).map_or(0, |w| w.shape.elements() / w.shape.dim(0).max(1));
            outputs.iter().map(|output| output.shape.elements() as u64).sum::<u64>() * taps as u64
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            _outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            if inputs.iter().flatten().any(|input| input.dtype != DType::F32) {
                return Err("convolutions with computed weights run in f32 only".into());
            }
            let narrow = |number: usize| {
                let short = u16::try_from(number);
                short.map_err(|_| std::format!("{number} does not fit 16 bits"))
            };
            let mut params = ParamsWriter::default();
            params.u16(narrow(self.groups)?);
            for axis in 0..SPATIAL {
                params.u16(narrow(self.strides.get(axis).copied().unwrap_or(1))?);
                params.u16(narrow(self.dilations.get(axis).copied().unwrap_or(1))?);
                params.u16(narrow(self.padding.get(axis).map_or(0, |padding| padding[0]))?);
            }
            let operands = (0..inputs.len()).map(LoweredOperand::Input).collect();
            Ok(Lowered { code: super::F32.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::ConvNd;
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;

    #[test]
    fn windows_slide_over_three_dimensions() {
        let tensor = |dims: &[u32], values| {
            Some((Tensor { shape: Shape::new(dims).unwrap(), data: Data::F32(values) }, None))
        };
        let inputs = [
            tensor(&[1, 1, 2, 1, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            tensor(&[1, 1, 2, 1, 2], vec![1.0, 10.0, 100.0, 1000.0]),
            tensor(&[1], vec![0.5]),
        ];
        let conv = ConvNd {
            strides: vec![1, 1, 2],
            dilations: vec![1; 3],
            padding: vec![[0, 0], [0, 0], [1, 0]],
            groups: 1,
        };
        let output = evaluate(&conv, &inputs, &[], Rounding::High).unwrap().remove(0);
        assert_eq!(output.shape, Shape::new(&[1, 1, 1, 1, 2]).unwrap());
        assert_eq!(output.data, Data::F32(vec![4010.5, 6532.5]));
    }

    #[test]
    fn groups_see_their_channels_only() {
        let tensor = |dims: &[u32], values| {
            Some((Tensor { shape: Shape::new(dims).unwrap(), data: Data::F32(values) }, None))
        };
        let inputs =
            [tensor(&[1, 2, 2], vec![1.0, 2.0, 3.0, 4.0]), tensor(&[2, 1, 1], vec![1.0, 10.0])];
        let conv = ConvNd { strides: vec![1], dilations: vec![1], padding: vec![[0, 0]], groups: 2 };
        let output = evaluate(&conv, &inputs, &[], Rounding::High).unwrap().remove(0);
        assert_eq!(output.data, Data::F32(vec![1.0, 2.0, 30.0, 40.0]));
    }
}
