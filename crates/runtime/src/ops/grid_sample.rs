//! Samples an image at points that are computed: `out[n, c, p] = in[n, c] at grid[n, p]`, between
//! pixels by the nearest, by linear or by cubic interpolation (with a = -0.75). A point is given as
//! coordinates from -1 to 1, as ONNX's GridSample has it, or in pixels; the last axis first.
//!
//! | operand | shape | types |
//! |---|---|---|
//! | input | `[N, C, H, W]` or `[N, C, D, H, W]` | f32 |
//! | grid | `[N, …, 2]` or `[N, …, 3]` | f32 |
//! | output | `[N, C, …]` | f32 |

use crate::{Op, Run};
use format::{DType, Node, Shape};
use kernels::memory::In;

/// Float in, float out.
pub static F32: Op = Op::new(91, "grid_sample_f32", check, run);

/// How a node samples.
#[derive(Clone, Copy)]
struct Manner {
    /// 0: the nearest pixel, 1: linear, 2: cubic.
    interpolation: u8,
    /// What is behind the edge. 0: zeros, 1: the edge, 2: the image mirrored.
    padding: u8,
    /// What coordinates are. 0: -1 and 1 are the edges of the image, 1: the centres of the outermost
    /// pixels; 2: pixels.
    coordinates: u8,
}

impl Manner {
    fn of(node: &Node<'_>) -> Self {
        let mut params = node.params();
        let (interpolation, padding) = (params.u8(), params.u8());
        Manner { interpolation, padding, coordinates: params.u8() }
    }
}

/// The output for an image and a grid.
fn sampled(image: &Shape, grid: &Shape) -> Option<Shape> {
    let rank = image.rank();
    let fits = (4..=5).contains(&rank)
        && grid.rank() == rank
        && grid.last() == rank - 2
        && grid.dim(0) == image.dim(0);
    let mut dims = [1u32; 5];
    for (axis, size) in dims.iter_mut().enumerate().take(rank) {
        *size = if axis < 2 { image.dim(axis) } else { grid.dim(axis - 1) } as u32;
    }
    fits.then(|| Shape::new(dims.get(..rank)?)).flatten()
}

fn check(node: &Node<'_>) -> Option<()> {
    let (image, grid, output) = (node.input(0)?, node.input(1)?, node.output(0)?);
    let types = [image.dtype, grid.dtype, output.dtype] == [DType::F32; 3];
    (types && sampled(&image.shape, &grid.shape)? == output.shape).then_some(())
}

/// The pixels that one coordinate mixes: places along the axis (`None` counts as zero) and shares.
#[derive(Clone, Copy, Default)]
struct Taps {
    places: [Option<usize>; 4],
    shares: [f32; 4],
    count: usize,
}

fn run(run: &Run<'_>) {
    let manner = Manner::of(&run.node);
    let (Some(image), Some(to)) = (run.node.input(0), run.node.output(0)) else { return };
    let (input, grid) = (run.input::<f32>(0), run.input::<f32>(1));
    let output = run.output::<f32>(0);
    let axes = image.shape.rank().saturating_sub(2).min(3);
    let mut size = [1; 3];
    (0..axes).for_each(|axis| size[axis] = image.shape.dim(axis + 2));
    let (samples, channels) = (to.shape.dim(0), to.shape.dim(1));
    let points = output.len() / (samples * channels).max(1);
    let pixels: usize = size.iter().product();
    for point in 0..samples * points {
        let mut taps = [Taps { places: [Some(0); 4], shares: [1.0; 4], count: 1 }; 3];
        for axis in 0..axes {
            // The grid names the last axis first.
            let coordinate = grid.get(point * axes + axes - 1 - axis);
            taps[axis] = manner.taps(coordinate, size[axis]);
        }
        for c in 0..channels {
            let plane = point / points * channels + c;
            let value = mixed(&input.part(plane * pixels, pixels), size, &taps);
            if let Some(cell) = output.get(plane * points + point % points) {
                cell.set(value);
            }
        }
    }
}

/// The mixture of a plane's pixels.
fn mixed(plane: &In<'_, f32>, size: [usize; 3], taps: &[Taps; 3]) -> f32 {
    let mut sum = 0.0;
    for a in 0..taps[0].count {
        for b in 0..taps[1].count {
            for c in 0..taps[2].count {
                let places = (taps[0].places[a], taps[1].places[b], taps[2].places[c]);
                if let (Some(x), Some(y), Some(z)) = places {
                    let share = taps[0].shares[a] * taps[1].shares[b] * taps[2].shares[c];
                    sum += share * plane.get((x * size[1] + y) * size[2] + z);
                }
            }
        }
    }
    sum
}

impl Manner {
    fn taps(self, coordinate: f32, size: usize) -> Taps {
        let length = size as f32;
        let (low, high) = match self.coordinates {
            0 => (-0.5, length - 0.5),
            _ => (0.0, length - 1.0),
        };
        let mut at = match self.coordinates {
            0 => ((coordinate + 1.0) * length - 1.0) / 2.0,
            1 => (coordinate + 1.0) / 2.0 * (length - 1.0),
            _ => coordinate,
        };
        if self.interpolation == 0 {
            at = libm::rintf(at);
        }
        if at < low || at > high {
            at = match self.padding {
                1 => at.clamp(0.0, length - 1.0),
                2 => mirrored(at, low, high),
                _ => at,
            };
        }
        // A point that is no number is outside of everything.
        let at = if at.is_finite() { at.clamp(-4e6, 4e6) } else { -4e6 };
        let floor = libm::floorf(at);
        let mut taps = Taps::default();
        let first = match self.interpolation {
            0 => {
                (taps.shares[0], taps.count) = (1.0, 1);
                at
            }
            1 => {
                (taps.shares, taps.count) = ([1.0 - (at - floor), at - floor, 0.0, 0.0], 2);
                floor
            }
            _ => {
                (taps.shares, taps.count) = (cubic(at - floor), 4);
                floor - 1.0
            }
        };
        for (i, place) in taps.places.iter_mut().enumerate().take(taps.count) {
            *place = self.place(first as i32 + i as i32, size, [low, high]);
        }
        taps
    }

    /// The pixel at a place that may be outside.
    fn place(self, at: i32, size: usize, [low, high]: [f32; 2]) -> Option<usize> {
        let last = size.checked_sub(1)?;
        if (0..size as i64).contains(&i64::from(at)) {
            return Some(at as usize);
        }
        match self.padding {
            1 => Some(if at < 0 { 0 } else { last }),
            2 => Some((mirrored(at as f32, low, high).max(0.0) as usize).min(last)),
            _ => None,
        }
    }
}

/// A coordinate folded back between two edges.
fn mirrored(at: f32, low: f32, high: f32) -> f32 {
    let range = high - low;
    if range <= 0.0 {
        return low;
    }
    let beyond = if at < low { low - at } else { at - high };
    if beyond <= 0.0 {
        return at;
    }
    let folds = libm::floorf(beyond / range);
    let rest = beyond - folds * range;
    let is_even = libm::fmodf(folds, 2.0) == 0.0;
    if (at < low) == is_even { low + rest } else { high - rest }
}

/// Shares of the four pixels round a point, by its distance from the second.
fn cubic(t: f32) -> [f32; 4] {
    const A: f32 = -0.75;
    let near = |x: f32| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f32| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)]
}

#[cfg(feature = "host")]
pub use host::{Coordinates, GridSample, Interpolation, Outside};

#[cfg(feature = "host")]
mod host {
    use crate::host::{Inferred, Lowered, LoweredOperand, Operand, Operator, required};
    use format::fixed::Rounding;
    use format::{DType, ParamsWriter};
    use std::string::String;
    use std::vec::Vec;

    /// What is between pixels.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(u8)]
    pub enum Interpolation {
        /// The nearest pixel.
        Nearest = 0,
        /// A line between two.
        Linear = 1,
        /// A cubic curve through four.
        Cubic = 2,
    }

    /// What is behind the edges.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(u8)]
    pub enum Outside {
        /// Zeros.
        Zeros = 0,
        /// The pixels at the edge.
        Border = 1,
        /// The image mirrored.
        Reflection = 2,
    }

    /// What coordinates are.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(u8)]
    pub enum Coordinates {
        /// -1 and 1 are the edges of the image.
        Edges = 0,
        /// -1 and 1 are the centres of the outermost pixels.
        Centres = 1,
        /// Pixels from the centre of the first.
        Pixels = 2,
    }

    /// Attributes of sampling at computed points.
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct GridSample {
        /// What is between pixels.
        pub interpolation: Interpolation,
        /// What is behind the edges.
        pub outside: Outside,
        /// What coordinates are.
        pub coordinates: Coordinates,
    }

    impl Operator for GridSample {
        fn name(&self) -> &'static str {
            "grid_sample"
        }

        fn infer(&self, inputs: &[Option<Operand<'_>>]) -> Result<Vec<Inferred>, String> {
            let (image, grid) = (required(inputs, 0)?, required(inputs, 1)?);
            let shape = super::sampled(&image.shape, &grid.shape);
            let misfit = || std::format!("a grid {} does not fit {}", grid.shape, image.shape);
            Ok(std::vec![(image.dtype, shape.ok_or_else(misfit)?)])
        }

        fn lower(
            &self,
            inputs: &[Option<Operand<'_>>],
            _outputs: &[Operand<'_>],
            _rounding: Rounding,
        ) -> Result<Lowered, String> {
            if inputs.iter().flatten().any(|input| input.dtype != DType::F32) {
                return Err("points are sampled in f32 only".into());
            }
            let mut params = ParamsWriter::default();
            params.u8(self.interpolation as u8).u8(self.outside as u8);
            params.u8(self.coordinates as u8);
            let operands = std::vec![LoweredOperand::Input(0), LoweredOperand::Input(1)];
            Ok(Lowered { code: super::F32.code, operands, params: params.finish() })
        }
    }
}

#[cfg(all(test, feature = "host"))]
mod tests {
    use super::{Coordinates, GridSample, Interpolation, Outside};
    use crate::host::{Data, Tensor, evaluate};
    use format::Shape;
    use format::fixed::Rounding;
    use std::vec;
    use std::vec::Vec;

    /// Pixels 1, 2 and 3, 4 at points given as x and y.
    fn samples(interpolation: Interpolation, outside: Outside, points: &[f32]) -> Vec<f32> {
        sampled(Coordinates::Centres, interpolation, outside, points)
    }

    fn sampled(
        coordinates: Coordinates,
        interpolation: Interpolation,
        outside: Outside,
        points: &[f32],
    ) -> Vec<f32> {
        let tensor = |dims: &[u32], values| {
            Some((Tensor { shape: Shape::new(dims).unwrap(), data: Data::F32(values) }, None))
        };
        let count = points.len() as u32 / 2;
        let inputs = [
            tensor(&[1, 1, 2, 2], vec![1.0, 2.0, 3.0, 4.0]),
            tensor(&[1, 1, count, 2], points.to_vec()),
        ];
        let grid = GridSample { interpolation, outside, coordinates };
        let output = evaluate(&grid, &inputs, &[], Rounding::High).unwrap().remove(0);
        output.data.f32().unwrap().to_vec()
    }

    #[test]
    fn points_are_between_pixels_or_outside() {
        let points = [-1.0, 1.0, 0.0, 0.0, 3.0, -1.0, f32::NAN, 0.0];
        let linear = |outside| samples(Interpolation::Linear, outside, &points);
        assert_eq!(linear(Outside::Zeros), [3.0, 2.5, 0.0, 0.0]);
        assert_eq!(linear(Outside::Border)[..3], [3.0, 2.5, 2.0]);
        assert_eq!(linear(Outside::Reflection)[..3], [3.0, 2.5, 1.0]);
        let nearest = samples(Interpolation::Nearest, Outside::Zeros, &[0.5, -0.5]);
        assert_eq!(nearest, [2.0]);
        let cubic = samples(Interpolation::Cubic, Outside::Border, &[0.0, -1.0]);
        assert_eq!(cubic, [1.5]);
    }
    #[test]
    fn coordinates_may_be_pixels() {
        let linear = |coordinates, points: &[f32]| {
            sampled(coordinates, Interpolation::Linear, Outside::Zeros, points)
        };
        assert_eq!(linear(Coordinates::Pixels, &[1.0, 0.0, 0.5, 1.0]), [2.0, 3.5]);
        assert_eq!(linear(Coordinates::Edges, &[0.5, -0.5, 1.0, -0.5]), [2.0, 1.0]);
    }
}
